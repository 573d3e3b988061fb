"""Trades into plain PostgreSQL: a partition for each market, and bars in the same transaction.

Bars come of the trades on their way, by numpy. The unfinished ones are written too, and
written anew by whoever adds trades. A COPY is one table's, so trades go in segments, and the
bars each finished go in between: memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, LiteralString

import numpy as np
import psycopg
from psycopg import sql

from qd_schemas.arrays import Rows
from qd_schemas.bars import CHAIN
from qd_store.tables.bars import (
    BAR_TABLES,
    STORED_BAR,
    BarLadder,
    resume_starts,
    resumed,
)
from qd_store.tables.copier import Copier
from qd_store.tables.copying import BAR_COLUMNS, CopyRows
from qd_store.tables.writer import Stored, TradeWriter

SEGMENT_ROWS: Final = 524_288

_BARS = """
SELECT (extract(epoch FROM time) * 1000000)::bigint, open, high, low, close, volume, trades,
    last_sequence
FROM {} WHERE market = {} AND time >= 'epoch'::timestamptz + {} * interval '1 microsecond'
ORDER BY time
"""
_DELETE = """
DELETE FROM {} WHERE market = {} AND time >= 'epoch'::timestamptz + {} * interval '1 microsecond'
"""


class PlainWriter(TradeWriter):
    """Writes one market's trades and bars.

    Parameters
    ----------
    partition : str
        The name of the market's table.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], market: int, stored: Stored, partition: str
    ) -> None:
        super().__init__(connection, market, stored)
        self._partition = partition
        self._bars = BarWriter(connection, market)

    def _write(self, blocks: Iterator[Rows]) -> None:
        if not self._stored.trades:
            self._create()
        ladder = self._ladder()
        # Nobody else can see a table made in this transaction: its rows are written as
        # frozen, and need not be written again by a vacuum.
        options: LiteralString = "" if self._stored.trades else ", FREEZE"
        with Copier(self._connection) as copier:
            waiting = 0
            for rows in blocks:
                copier.put(self._partition, self._encoded(rows), options)
                waiting += len(rows)
                if ladder is not None:
                    self._bars.add(ladder.feed(rows))
                if waiting >= SEGMENT_ROWS:
                    self._bars.flush(copier)
                    waiting = 0
            if ladder is not None:
                self._bars.add(ladder.unfinished())
            self._bars.flush(copier)
        if not self._stored.trades:
            self._attach()

    def _bars_sequence(self) -> int:
        stored = self._stored
        behind = stored.bars_sequence < stored.trades
        return stored.bars_sequence if behind else stored.trades + self._rows

    def _ladder(self) -> BarLadder | None:
        """What makes the bars; None where stored ones are behind, until they are refreshed."""
        stored = self._stored
        if stored.last_time is None or not stored.trades:
            return BarLadder()
        if stored.bars_sequence < stored.trades:
            return None
        return self._bars.reopened(stored.trades, stored.last_time)

    def _create(self) -> None:
        """Make the market's table, not yet a partition: it locks nothing of the others."""
        self._connection.execute("SELECT make_trade_table(%s)", [self._market])

    def _attach(self) -> None:
        """Index the new table and make it a partition of `trade`."""
        self._connection.execute("SELECT attach_trade_table(%s)", [self._market])


class BarWriter:
    """Writes one market's bars of all resolutions into their tables."""

    def __init__(self, connection: psycopg.Connection[Any], market: int) -> None:
        self._connection = connection
        self._market = market
        self._encoder = CopyRows(market, BAR_COLUMNS)
        self._waiting: list[list[Rows]] = [[] for _ in CHAIN]

    def add(self, bars: list[Rows]) -> None:
        """Take bars of each resolution, to be written by `flush`."""
        for waiting, rows in zip(self._waiting, bars, strict=True):
            if len(rows):
                waiting.append(rows)

    def flush(self, copier: Copier) -> None:
        """Write the bars that wait."""
        for resolution, waiting in zip(CHAIN, self._waiting, strict=True):
            if waiting:
                bars = np.concatenate(waiting)
                columns = {name: bars[name] for name in STORED_BAR.names or ()}
                copier.put(BAR_TABLES[resolution], self._encoder.encoded(**columns))
                waiting.clear()

    def reopened(self, trades: int, last_time: int) -> BarLadder:
        """Take the unfinished bars out of the tables; what goes on from them."""
        starts = resume_starts(last_time)
        bars = [
            self._stored(BAR_TABLES[resolution], start)
            for resolution, start in zip(CHAIN, starts, strict=True)
        ]
        for resolution, rows in zip(CHAIN, bars, strict=True):
            self.delete(BAR_TABLES[resolution], int(rows["time"][-1]))
        return resumed(trades, last_time, bars)

    def delete(self, table: str, from_time: int = 0) -> None:
        """Delete the bars from a time on."""
        self._connection.execute(self._about(_DELETE, table, from_time))

    def _stored(self, table: str, from_time: int) -> Rows:
        found = self._connection.execute(self._about(_BARS, table, from_time)).fetchall()
        return np.array(found, STORED_BAR)

    def _about(self, statement: LiteralString, table: str, time: int) -> sql.Composed:
        return sql.SQL(statement).format(
            sql.Identifier(table), sql.Literal(self._market), sql.Literal(time)
        )
