"""Make the bars of plain tables anew out of their trades: one market, one transaction.

Imports keep plain bars up to date, so this is for what an upgrade left behind, and for
repairs.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

import psycopg

from qd_schemas.bars import CHAIN
from qd_store.streams import StreamDatabase, TradeReader
from qd_store.tables.bars import BAR_TABLES, BarLadder
from qd_store.tables.locks import lock_market
from qd_store.tables.plain import BarWriter
from qd_store.tables.progress import Steps

_BLOCK_ROWS: Final = 65_536

_BEHIND = """
SELECT market, symbol, trades FROM symbol
WHERE trades > 0 AND (%s OR bars_sequence < trades) ORDER BY market
"""
_TRADES = "SELECT trades FROM symbol WHERE market = %s"
_COMPLETE = "UPDATE symbol SET bars_sequence = trades, bars_time = last_time WHERE market = %s"


def rebuild_bars(
    dsn: str, connection: psycopg.Connection[Any], steps: Steps, *, everything: bool
) -> int:
    """Make the bars that are behind, or all; see `refresh_bars`."""
    behind = connection.execute(_BEHIND, [everything]).fetchall()
    steps.begin(sum(trades for _, _, trades in behind))
    if not behind:
        return 0
    with closing(StreamDatabase(dsn)) as database:
        for market, symbol, _ in behind:
            with connection.transaction():
                _rebuild(database, connection, market, symbol, steps)
    return len(behind)


def _rebuild(
    database: StreamDatabase,
    connection: psycopg.Connection[Any],
    market: int,
    symbol: str,
    steps: Steps,
) -> None:
    lock_market(connection, market)
    row = connection.execute(_TRADES, [market]).fetchone()
    assert row is not None  # never deleted
    bars, ladder = BarWriter(connection, market), BarLadder()
    for resolution in CHAIN:
        bars.delete(BAR_TABLES[resolution])
    with closing(TradeReader(database, market, 1, row[0] + 1, _BLOCK_ROWS)) as reader:
        while (rows := reader.read()) is not None:
            bars.add(ladder.feed(rows))
            bars.flush()
            steps.step(len(rows), symbol)
    bars.add(ladder.unfinished())
    bars.flush()
    connection.execute(_COMPLETE, [market])
