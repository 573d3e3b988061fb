"""The tables of the market database: of which kind they are, and how trades get into them.

::

    kinds       plain PostgreSQL or TimescaleDB: what differs between the two, by name
    bars        the relations of stored bars, and bars of all resolutions out of trades
    copying     rows as PostgreSQL's binary COPY wants them
    chunks      TimescaleDB's chunks, made before the rows that need them
    writer      new trades of a market with marks and bars, in the caller's transaction
    market      one market: its ids, its lock, its files, its writer
    refresh     bring stored bars up to the stored trades

Everything here writes. Reading is `qd_store.reading`; the same queries serve both kinds.
"""

from qd_store.tables.bars import BAR_TABLES, STORED_BAR
from qd_store.tables.kinds import TableKind, kind_of
from qd_store.tables.market import MarketTables, Stored, exchange_id_of
from qd_store.tables.refresh import RefreshProgress, refresh_bars
from qd_store.tables.writer import Written

__all__ = [
    "BAR_TABLES",
    "STORED_BAR",
    "MarketTables",
    "RefreshProgress",
    "Stored",
    "TableKind",
    "Written",
    "exchange_id_of",
    "kind_of",
    "refresh_bars",
]
