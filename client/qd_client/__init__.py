"""What users import: one-call reads, the clients of gateway and symbol master, and their errors.

The names are looked up when they are first used: the command line reads one small module of
this package for its help, and needs none of the others for that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from qd_client.breakout_alerts import alerts
    from qd_client.calls import bars, trades
    from qd_client.client import BarMessage, QDClient, TradeMessage
    from qd_client.consuming import collect, consume, consume_all
    from qd_client.errors import (
        AlreadyLoggedIn,
        ChannelFailed,
        DataTypeUnknown,
        DataUnavailable,
        EncodingFailed,
        ExchangeNotFound,
        GatewayLost,
        GatewayUnavailable,
        LibraryMissing,
        LoginFailed,
        LogoutFailed,
        Lost,
        NoStack,
        NotLoggedIn,
        QdClientError,
        Refused,
        RefusedUnknown,
        SendFailed,
        SessionEnded,
        SessionsFull,
        StackUnreadable,
        StreamIncomplete,
        StreamInterrupted,
        StreamsFull,
        SymbolNotFound,
        SymbolUnknown,
        SymdbTlsFailed,
        SymdbUnavailable,
        TokenMissing,
        TokenRefused,
        TokenUnknown,
        TooFast,
        UsageError,
        VersionRefused,
    )
    from qd_client.frames import to_arrow, to_pandas, to_polars
    from qd_client.model_progress import progress, until_evaluated
    from qd_client.replay import (
        BarRow,
        Bars,
        IntervalEnd,
        Replay,
        Single,
        Slice,
        SyncReplay,
        TradeRow,
        Trades,
    )
    from qd_client.stream import RowStream
    from qd_client.symdb import (
        ChangeKind,
        ExchangeInfo,
        MarketChange,
        MarketInfo,
        SymdbClient,
        SyncSymdbClient,
    )
    from qd_client.sync import SyncQDClient, SyncRowStream

__all__ = [
    "AlreadyLoggedIn",
    "BarMessage",
    "BarRow",
    "Bars",
    "ChangeKind",
    "ChannelFailed",
    "DataTypeUnknown",
    "DataUnavailable",
    "EncodingFailed",
    "ExchangeInfo",
    "ExchangeNotFound",
    "GatewayLost",
    "GatewayUnavailable",
    "IntervalEnd",
    "LibraryMissing",
    "LoginFailed",
    "LogoutFailed",
    "Lost",
    "MarketChange",
    "MarketInfo",
    "NoStack",
    "NotLoggedIn",
    "QDClient",
    "QdClientError",
    "Refused",
    "RefusedUnknown",
    "Replay",
    "RowStream",
    "SendFailed",
    "SessionEnded",
    "SessionsFull",
    "Single",
    "Slice",
    "StackUnreadable",
    "StreamIncomplete",
    "StreamInterrupted",
    "StreamsFull",
    "SymbolNotFound",
    "SymbolUnknown",
    "SymdbClient",
    "SymdbTlsFailed",
    "SymdbUnavailable",
    "SyncQDClient",
    "SyncReplay",
    "SyncRowStream",
    "SyncSymdbClient",
    "TokenMissing",
    "TokenRefused",
    "TokenUnknown",
    "TooFast",
    "TradeMessage",
    "TradeRow",
    "Trades",
    "UsageError",
    "VersionRefused",
    "alerts",
    "bars",
    "collect",
    "consume",
    "consume_all",
    "progress",
    "to_arrow",
    "to_pandas",
    "to_polars",
    "trades",
    "until_evaluated",
]

_MODULES: Final = (
    "errors",
    "symdb",
    "replay",
    "client",
    "stream",
    "sync",
    "calls",
    "consuming",
    "frames",
    "breakout_alerts",
    "model_progress",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            found = getattr(import_module(f"{__name__}.{module}"), name, None)
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__]
