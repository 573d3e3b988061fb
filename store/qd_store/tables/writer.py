"""New trades of one market into the tables, with all that follows from them.

In the caller's transaction: trades, their marks, on plain PostgreSQL their bars, and the
market's counts. Memory is that of some blocks, whatever comes. What differs between the kinds
of tables is in `plain` and `hypertable`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import psycopg

from qd_schemas.arrays import Rows
from qd_store.tables.copier import copy_in
from qd_store.tables.copying import MARK_COLUMNS, TRADE_COLUMNS, CopyRows

MARK_EVERY: Final = 8_192  # trades from one mark to the next; the migrations know it too

_COUNT = """
UPDATE symbol SET trades = %(trades)s, bars_sequence = %(bars_sequence)s,
    first_time = coalesce(first_time, 'epoch'::timestamptz + %(first)s * interval '1 microsecond'),
    last_time = 'epoch'::timestamptz + %(last)s * interval '1 microsecond',
    bars_time = CASE WHEN %(bars_sequence)s = %(trades)s
        THEN 'epoch'::timestamptz + %(last)s * interval '1 microsecond' ELSE bars_time END
WHERE market = %(market)s
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a market holds.

    Attributes
    ----------
    trades : int
        How many trades; also the last sequence.
    last_time : int or None
        The last one's, microseconds since the epoch.
    bars_sequence : int
        Up to which trade stored bars are complete.
    """

    trades: int
    last_time: int | None
    bars_sequence: int


@dataclass(frozen=True, slots=True)
class Written:
    """What a market got.

    Attributes
    ----------
    rows : int
        How many trades, at least one.
    first_sequence : int
        Of the first of them.
    first_time, last_time : int
        Of the first and last of them, microseconds since the epoch.
    """

    rows: int
    first_sequence: int
    first_time: int
    last_time: int


class TradeWriter(ABC):
    """Writes new trades of one market.

    Parameters
    ----------
    connection : psycopg.Connection
        In the transaction that locked the market.
    market : int
        Its key.
    stored : Stored
        What it holds.
    """

    def __init__(self, connection: psycopg.Connection[Any], market: int, stored: Stored) -> None:
        self._connection = connection
        self._market = market
        self._stored = stored
        self._encoder = CopyRows(market, TRADE_COLUMNS)
        self._rows = 0
        self._first_time = 0
        self._last_time = 0
        self._marks: list[tuple[int, int]] = []

    def write(self, blocks: Iterable[Rows]) -> Written | None:
        """Write all blocks; see `MarketTables.write`."""
        filled = (rows for rows in blocks if len(rows))
        first = next(filled, None)
        if first is None:
            return None
        self._first_time = int(first["time"][0])
        self._write(_chained(first, filled))
        self._write_marks()
        self._count()
        return Written(self._rows, self._stored.trades + 1, self._first_time, self._last_time)

    @abstractmethod
    def _write(self, blocks: Iterator[Rows]) -> None:
        """Write trades by a `Copier`, as `_encoded` makes them, and bars where imports do."""

    @abstractmethod
    def _bars_sequence(self) -> int:
        """Up to which trade bars are complete when all is written."""

    def _encoded(self, rows: Rows) -> memoryview:
        """Number rows and give them as COPY wants them; the view holds until the next call."""
        first = self._stored.trades + self._rows + 1
        self._note_marks(first, rows)
        self._rows += len(rows)
        self._last_time = int(rows["time"][-1])
        return self._encoder.encoded(
            sequence=np.arange(first, first + len(rows)),
            time=rows["time"],
            price=rows["price"],
            volume=rows["volume"],
        )

    def _note_marks(self, first: int, rows: Rows) -> None:
        for index in range((1 - first) % MARK_EVERY, len(rows), MARK_EVERY):
            self._marks.append((first + index, int(rows["time"][index])))

    def _write_marks(self) -> None:
        if not self._marks:
            return
        sequences, times = np.array(self._marks, np.int64).T
        encoder = CopyRows(self._market, MARK_COLUMNS)
        copy_in(self._connection, "trade_mark", [encoder.encoded(sequence=sequences, time=times)])

    def _count(self) -> None:
        counts = {
            "market": self._market,
            "trades": self._stored.trades + self._rows,
            "bars_sequence": self._bars_sequence(),
            "first": self._first_time,
            "last": self._last_time,
        }
        self._connection.execute(_COUNT, counts)


def _chained(first: Rows, others: Iterator[Rows]) -> Iterator[Rows]:
    yield first
    yield from others
