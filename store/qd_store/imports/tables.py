"""One market's tables during an import, inside the importer's transaction.

A market's id is reserved first, in a transaction of its own, so that importers do not wait
for each other. All else (partition, rows, counts, the file's digest) is one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import psycopg
from psycopg import sql

from qd_schemas.arrays import Rows
from qd_store.errors import SymbolIdsExhausted
from qd_store.markets import SEQUENCE_AT, SYMBOL_ID_MAX, market_key

_LOCK_CLASS = 0x7164_0002  # "qd", a market being imported

_ROW: Final = np.dtype(
    [
        ("fields", ">i2"),
        ("market_bytes", ">i4"),
        ("market", ">i4"),
        ("sequence_bytes", ">i4"),
        ("sequence", ">i8"),
        ("time_bytes", ">i4"),
        ("time", ">i8"),
        ("price_bytes", ">i4"),
        ("price", ">f8"),
        ("volume_bytes", ">i4"),
        ("volume", ">f8"),
    ]
)
"""A row of `trade` in PostgreSQL's binary COPY: all columns are of fixed width."""

_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER: Final = b"\xff\xff"
_EPOCH_2000_US: Final = 946_684_800_000_000  # where PostgreSQL counts from

_STATE = """
SELECT trades, (extract(epoch FROM last_time) * 1000000)::bigint
FROM symbol WHERE exchange_id = %s AND symbol_id = %s
"""
_COUNT = """
UPDATE symbol SET trades = %(trades)s,
    first_time = coalesce(first_time, 'epoch'::timestamptz + %(first)s * interval '1 microsecond'),
    last_time = 'epoch'::timestamptz + %(last)s * interval '1 microsecond'
WHERE exchange_id = %(exchange)s AND symbol_id = %(symbol)s
"""
_FILE = """
INSERT INTO import_file (market, digest, name, rows, rejected, first_sequence)
VALUES (%s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a market holds before an import: trades, and the last one's time."""

    trades: int
    last_time: int | None


class MarketTables:
    """The tables of one market, for one importer.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode; the methods but `reserve` belong in a transaction of it.
    exchange_id : int
        The exchange.
    symbol : str
        The market's name there.
    """

    def __init__(self, connection: psycopg.Connection[Any], exchange_id: int, symbol: str) -> None:
        self._connection = connection
        self._exchange_id = exchange_id
        self._symbol_id = self._reserve(symbol)
        self.key = market_key(exchange_id, self._symbol_id)
        self._partition = sql.Identifier(f"trade_{exchange_id}_{self._symbol_id}")

    def lock(self) -> Stored:
        """Keep other importers of this market out until the transaction ends."""
        self._connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, self.key])
        row = self._connection.execute(_STATE, [self._exchange_id, self._symbol_id]).fetchone()
        assert row is not None  # reserved, and never deleted
        return Stored(*row)

    def imported(self) -> dict[bytes, tuple[int, int]]:
        """The digests of the files imported, with their counts of rows and rejected lines."""
        rows = self._connection.execute(
            "SELECT digest, rows, rejected FROM import_file WHERE market = %s", [self.key]
        )
        return {bytes(digest): (count, rejected) for digest, count, rejected in rows}

    def create(self) -> None:
        """Make the market's table, not yet a partition."""
        # The check spares `attach` a scan. A table of its own locks nothing of the others.
        self._connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE trade, CONSTRAINT one CHECK (market = {}))").format(
                self._partition, sql.Literal(self.key)
            )
        )

    def attach(self) -> None:
        """Index the new table and make it a partition of `trade`."""
        for statement in (
            "CREATE UNIQUE INDEX ON {table} (sequence)",
            "ANALYZE {table}",
            "ALTER TABLE trade ATTACH PARTITION {table} FOR VALUES IN ({key})",
            "ALTER TABLE {table} DROP CONSTRAINT one",
        ):
            self._connection.execute(
                sql.SQL(statement).format(table=self._partition, key=sql.Literal(self.key))
            )

    def copy(self, blocks: Iterable[Rows], stored: int, *, new: bool) -> Added:
        """Add rows to the table, numbering them on from `stored`.

        Parameters
        ----------
        blocks : iterable of ndarray of RAW
            In time order.
        stored : int
            How many trades the market has.
        new : bool
            The table was made in this transaction, so nobody else can see its rows: they
            are written as frozen, and need not be written again by a vacuum.
        """
        statement = sql.SQL("COPY {} FROM STDIN (FORMAT BINARY{})").format(
            self._partition, sql.SQL(", FREEZE" if new else "")
        )
        added = Added(self.key, stored)
        with self._connection.cursor().copy(statement) as copy:
            copy.write(_COPY_HEADER)
            for rows in added.encoded(blocks):
                copy.write(rows)
            copy.write(_COPY_TRAILER)
        return added

    def sequence_at(self, time: int) -> int:
        """The first sequence whose trade is not before a time in microseconds."""
        row = self._connection.execute(SEQUENCE_AT, [self.key, time]).fetchone()
        assert row is not None  # a function always gives one
        return int(row[0])

    def finish(self, added: Added | None, digest: bytes, name: str, rejected: int) -> None:
        """Write the counts and the file's digest."""
        first_sequence = None
        if added is not None and added.rows:
            first_sequence = added.stored + 1
            counts = {
                "trades": added.stored + added.rows,
                "first": added.first_time,
                "last": added.last_time,
                "exchange": self._exchange_id,
                "symbol": self._symbol_id,
            }
            self._connection.execute(_COUNT, counts)
        rows = added.rows if added is not None else 0
        self._connection.execute(_FILE, [self.key, digest, name, rows, rejected, first_sequence])

    def _reserve(self, symbol: str) -> int:
        """The symbol's id; a new symbol takes the next one of its exchange, for ever."""
        with self._connection.transaction():
            self._connection.execute(
                "SELECT 1 FROM exchange WHERE exchange_id = %s FOR UPDATE", [self._exchange_id]
            )
            row = self._connection.execute(
                "SELECT max(symbol_id) FILTER (WHERE symbol = %s), coalesce(max(symbol_id), 0) "
                "FROM symbol WHERE exchange_id = %s",
                [symbol, self._exchange_id],
            ).fetchone()
            assert row is not None  # an aggregate always gives one
            found, last = row
            if found is not None:
                return int(found)
            if last >= SYMBOL_ID_MAX:
                raise SymbolIdsExhausted(
                    f"market {symbol} cannot be added: its exchange has used all "
                    f"{SYMBOL_ID_MAX} symbol ids; import it under another exchange"
                )
            self._connection.execute(
                "INSERT INTO symbol (exchange_id, symbol_id, symbol) VALUES (%s, %s, %s)",
                [self._exchange_id, last + 1, symbol],
            )
            return int(last) + 1


class Added:
    """Rows on their way into a table: their numbering, count and times."""

    def __init__(self, market: int, stored: int) -> None:
        self._market = market
        self.stored = stored
        self.rows = 0
        self.first_time: int | None = None
        self.last_time: int | None = None

    def encoded(self, blocks: Iterable[Rows]) -> Iterator[memoryview]:
        """The rows as PostgreSQL's binary COPY wants them; each view holds until the next."""
        buffer = _template(0, self._market)
        for rows in blocks:
            count = len(rows)
            if not count:
                continue
            if count > len(buffer):
                buffer = _template(count, self._market)
            first = self.stored + self.rows + 1
            block = buffer[:count]
            block["sequence"] = np.arange(first, first + count)
            block["time"] = rows["time"] - _EPOCH_2000_US
            block["price"] = rows["price"]
            block["volume"] = rows["volume"]
            self.rows += count
            self.first_time = self.first_time or int(rows["time"][0])
            self.last_time = int(rows["time"][-1])
            yield block.view(np.uint8).data


def _template(count: int, market: int) -> Rows:
    """Rows with all that is the same in each."""
    rows = np.zeros(count, _ROW)
    rows["fields"] = 5
    rows["market_bytes"] = 4
    rows["market"] = market
    for name in ("sequence", "time", "price", "volume"):
        rows[f"{name}_bytes"] = 8
    return rows
