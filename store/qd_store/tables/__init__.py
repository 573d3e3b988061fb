"""The tables of the market database: of which kind they are, and how trades get into them.

::

    kinds       plain PostgreSQL or TimescaleDB: what differs between the two, by name
    bars        the relations of stored bars, and bars of all resolutions out of trades
    copying     rows as PostgreSQL's binary COPY wants them
    copier      such rows into tables, on a thread of its own
    chunks      TimescaleDB's chunks, made before the rows that need them
    writer      new trades of a market with marks and bars, in the caller's transaction;
                plain, hypertable: what it does on each kind
    locks       the lock that whoever writes a market holds
    market      one market: its ids, its lock, its files, its writer
    refresh     bring stored bars up to the stored trades, with progress;
                rebuild, aggregates: what it does on each kind

Everything here writes. Reading is `qd_store.reading`; the same queries serve both kinds.
"""

from qd_store.tables.bars import BAR_TABLES, STORED_BAR
from qd_store.tables.kinds import TableKind, kind_of
from qd_store.tables.market import MarketTables
from qd_store.tables.progress import RefreshCallback, RefreshProgress
from qd_store.tables.refresh import refresh_bars
from qd_store.tables.writer import Stored, Written

__all__ = [
    "BAR_TABLES",
    "STORED_BAR",
    "MarketTables",
    "RefreshCallback",
    "RefreshProgress",
    "Stored",
    "TableKind",
    "Written",
    "kind_of",
    "refresh_bars",
]
