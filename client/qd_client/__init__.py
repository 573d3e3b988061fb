"""What users import: the QD client and the symbol master's client."""

from qd_client.alerts import alerts
from qd_client.client import BarMessage, QDClient, TradeMessage
from qd_client.errors import (
    AlreadyLoggedIn,
    ChannelFailed,
    DataTypeUnknown,
    DataUnavailable,
    EncodingFailed,
    GatewayLost,
    GatewayUnavailable,
    LoginFailed,
    NotLoggedIn,
    QdClientError,
    Refused,
    SendFailed,
    StreamIncomplete,
    SymbolUnknown,
    UsageError,
)
from qd_client.progress import progress, until_evaluated
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
    "LoginFailed",
    "MarketChange",
    "MarketInfo",
    "NotLoggedIn",
    "QDClient",
    "QdClientError",
    "Refused",
    "SendFailed",
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
