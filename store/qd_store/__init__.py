"""The market database: tables, import of files, streams of trades and bars."""

from qd_store.errors import ConnectionLost, DatabaseUnreachable, StoreError, TooManyStreams
from qd_store.markets import Exchange, Market
from qd_store.store import Store

__all__ = [
    "ConnectionLost",
    "DatabaseUnreachable",
    "Exchange",
    "Market",
    "Store",
    "StoreError",
    "TooManyStreams",
]
