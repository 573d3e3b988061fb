"""The symbol master's client: which markets there are, over gRPC."""

from qd_client.symdb.blocking import SyncSymdbClient
from qd_client.symdb.client import SymdbClient
from qd_client.symdb.values import ChangeKind, ExchangeInfo, MarketChange, MarketInfo

__all__ = [
    "ChangeKind",
    "ExchangeInfo",
    "MarketChange",
    "MarketInfo",
    "SymdbClient",
    "SyncSymdbClient",
]
