"""The exchanges whose trades can be imported: one small adapter each.

`find_exchange` gives an adapter by name or id; an adapter of one's own, which is anything
that fits the protocol `ExchangeAdapter`, can be given to an import as well.
"""

from qd_store.exchanges.adapter import ExchangeAdapter, Pair
from qd_store.exchanges.known import EXCHANGES, find_exchange
from qd_store.exchanges.layout import Layout, TimeUnit

__all__ = [
    "EXCHANGES",
    "ExchangeAdapter",
    "Layout",
    "Pair",
    "TimeUnit",
    "find_exchange",
]
