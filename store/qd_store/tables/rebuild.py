"""Make the bars of plain tables anew out of their trades: one market, one transaction.

Imports keep plain bars up to date, so this is for what an upgrade left behind, and for
repairs.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg

from qd_schemas.bars import CHAIN
from qd_store.reading.blocking import read_trades
from qd_store.tables.bars import BAR_TABLES, BarLadder
from qd_store.tables.copier import Copier
from qd_store.tables.locks import lock_market
from qd_store.tables.plain import BarWriter
from qd_store.tables.progress import Steps

_BEHIND = """
SELECT market, symbol, trades FROM symbol
WHERE trades > 0 AND (%s OR bars_sequence < trades) ORDER BY market
"""
_COMPLETE = "UPDATE symbol SET bars_sequence = trades, bars_time = last_time WHERE market = %s"


def rebuild_bars(
    dsn: str, connection: psycopg.Connection[Any], steps: Steps, *, everything: bool
) -> int:
    """Make the bars that are behind, or all; see `refresh_bars`."""
    behind = connection.execute(_BEHIND, [everything]).fetchall()
    steps.begin(sum(trades for _, _, trades in behind))
    if not behind:
        return 0
    for market, symbol, _ in behind:
        with connection.transaction():
            _rebuild(dsn, connection, market, symbol, steps)
    return len(behind)


def _rebuild(
    dsn: str,
    connection: psycopg.Connection[Any],
    market: int,
    symbol: str,
    steps: Steps,
) -> None:
    lock_market(connection, market)
    bars, ladder = BarWriter(connection, market), BarLadder()
    for resolution in CHAIN:
        bars.delete(BAR_TABLES[resolution])
    # The lock keeps others from adding to the trades.
    with Copier(connection) as copier, closing(read_trades(dsn, market)) as trades:
        for rows in trades:
            bars.add(ladder.feed(rows))
            bars.flush(copier)
            steps.step(len(rows), symbol)
        bars.add(ladder.unfinished())
        bars.flush(copier)
    connection.execute(_COMPLETE, [market])
