"""What users import: one-call reads, the clients of gateway and symbol master, and their errors.

The names are looked up when they are first used: the command line reads one small module of
this package for its help, and needs none of the others for that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from qd_client.breakout_alerts import alerts
    from qd_client.client import BarMessage, QDClient, TradeMessage
    from qd_client.errors import (
        AlreadyLoggedIn,
        ChannelFailed,
        DataTypeUnknown,
        DataUnavailable,
        EncodingFailed,
        GatewayLost,
        GatewayUnavailable,
        LibraryMissing,
        LoginFailed,
        NoStack,
        NotLoggedIn,
        QdClientError,
        Refused,
        SendFailed,
        StackUnreadable,
        StreamIncomplete,
        SymbolUnknown,
        UsageError,
    )
    from qd_client.model_progress import progress, until_evaluated
    from qd_client.symdb import (
        ChangeKind,
        ExchangeInfo,
        MarketChange,
        MarketInfo,
        SymdbClient,
        SyncSymdbClient,
    )

__all__ = [
    "AlreadyLoggedIn",
    "BarMessage",
    "ChangeKind",
    "ChannelFailed",
    "DataTypeUnknown",
    "DataUnavailable",
    "EncodingFailed",
    "ExchangeInfo",
    "GatewayLost",
    "GatewayUnavailable",
    "LibraryMissing",
    "LoginFailed",
    "MarketChange",
    "MarketInfo",
    "NoStack",
    "NotLoggedIn",
    "QDClient",
    "QdClientError",
    "Refused",
    "SendFailed",
    "StackUnreadable",
    "StreamIncomplete",
    "SymbolUnknown",
    "SymdbClient",
    "SyncSymdbClient",
    "TradeMessage",
    "UsageError",
    "alerts",
    "progress",
    "until_evaluated",
]

_MODULES: Final = ("errors", "client", "symdb", "breakout_alerts", "model_progress")


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
