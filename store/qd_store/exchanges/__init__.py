"""The exchanges whose trades can be imported: one small adapter each.

`find_exchange` gives an adapter by name or id; an adapter of one's own, which is anything
that fits the protocol `Exchange`, can be given to an import as well.
"""

from qd_store.exchanges.exchange import Exchange, Pair
from qd_store.exchanges.known import EXCHANGES, find_exchange
from qd_store.exchanges.layout import Layout, TimeUnit

__all__ = [
    "EXCHANGES",
    "Exchange",
    "Layout",
    "Pair",
    "TimeUnit",
    "find_exchange",
]
