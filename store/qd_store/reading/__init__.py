"""The way out of the market database: trades and bars, all at once or as streams.

::

    queries      what can be asked, as values
    pieces       which stored rows answer a query of bars; pure
    statements   the SQL, the same on both kinds of tables; pure
    wire         the server's bytes to rows; pure
    connection   a socket's side of it, for asyncio; blocking, for code that blocks
    pool         a bounded number of connections
    sources      the rows of a query for one market
    merging      several markets in one time order
    fetch        a running fetch, which knows what is left
    manager      all of it together: query, fetch, fetch_frames

Nothing here writes.
"""

from qd_store.reading.fetch import Fetch
from qd_store.reading.queries import (
    MARKED_BAR,
    BarQuery,
    MergedQuery,
    Query,
    TradeQuery,
    Unfinished,
)

__all__ = ["MARKED_BAR", "BarQuery", "Fetch", "MergedQuery", "Query", "TradeQuery", "Unfinished"]
