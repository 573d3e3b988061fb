"""The market database: tables, import of files, streams of trades and bars.

`Store` and `MarketAppender` are looked up when they are first used: the embedded server's process
needs none of the libraries behind them, and starts in half the time.
"""

from typing import TYPE_CHECKING, Any

from qd_store.errors import (
    ConnectionLost,
    DatabaseUnreachable,
    FetchStopped,
    StoreError,
    TooManyStreams,
)
from qd_store.markets import Exchange, Market

if TYPE_CHECKING:
    from qd_store.append import MarketAppender
    from qd_store.store import Store

__all__ = [
    "ConnectionLost",
    "DatabaseUnreachable",
    "Exchange",
    "FetchStopped",
    "Market",
    "MarketAppender",
    "Store",
    "StoreError",
    "TooManyStreams",
]


def __getattr__(name: str) -> Any:
    if name == "Store":
        from qd_store.store import Store

        return Store
    if name == "MarketAppender":
        from qd_store.append import MarketAppender

        return MarketAppender
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
