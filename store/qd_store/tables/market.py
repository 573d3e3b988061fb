"""One market's tables, for whoever adds trades to it.

A market's id is reserved first, in a transaction of its own, so that importers do not wait
for each other. All else is the caller's one transaction: `lock`, `write`, `remember`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from qd_schemas.arrays import Rows
from qd_store.errors import SymbolIdsExhausted
from qd_store.markets import SYMBOL_ID_MAX, market_key
from qd_store.tables.hypertable import HypertableWriter
from qd_store.tables.kinds import TableKind, kind_of
from qd_store.tables.locks import lock_exchange, lock_market
from qd_store.tables.plain import PlainWriter
from qd_store.tables.writer import Stored, TradeWriter, Written

_STATE = """
SELECT trades, (extract(epoch FROM last_time) * 1000000)::bigint, bars_sequence
FROM symbol WHERE market = %s
"""
_FILE = """
INSERT INTO import_file (market, digest, name, rows, rejected, first_sequence)
VALUES (%s, %s, %s, %s, %s, %s)
"""


class MarketTables:
    """The tables of one market, for one importer.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode; the methods belong in a transaction of it.
    exchange_id : int
        The exchange.
    symbol : str
        The market's name there; a new one gets the next id of its exchange, for ever.

    Raises
    ------
    SymbolIdsExhausted
        A new symbol, and the exchange has used all ids.
    """

    def __init__(self, connection: psycopg.Connection[Any], exchange_id: int, symbol: str) -> None:
        self._connection = connection
        self._exchange_id = exchange_id
        self.symbol_id = self._reserve(symbol)
        self.key = market_key(exchange_id, self.symbol_id)
        self._kind = kind_of(connection)

    def lock(self) -> Stored:
        """Keep other importers of this market out until the transaction ends."""
        lock_market(self._connection, self.key)
        row = self._connection.execute(_STATE, [self.key]).fetchone()
        assert row is not None  # reserved, and never deleted
        return Stored(*row)

    def imported(self) -> dict[bytes, tuple[int, int]]:
        """The digests of the files imported, with their counts of rows and rejected lines."""
        rows = self._connection.execute(
            "SELECT digest, rows, rejected FROM import_file WHERE market = %s", [self.key]
        )
        return {bytes(digest): (count, rejected) for digest, count, rejected in rows}

    def write(self, blocks: Iterable[Rows], stored: Stored) -> Written | None:
        """Add trades to the market, numbering them on from `stored`.

        Everything that follows from them is written too: marks, bars, the market's counts.
        An exception of `blocks` leaves the transaction to be rolled back (a savepoint does).

        Parameters
        ----------
        blocks : iterable of ndarray
            With fields ``time`` (int64, microseconds), ``price`` and ``volume`` (float64),
            of RAW or TRADE or any other; in time order, none before the last stored one.
        stored : Stored
            What `lock` gave.

        Returns
        -------
        Written or None
            None where there was no row.
        """
        return self._writer(stored).write(blocks)

    def remember(self, digest: bytes, name: str, rejected: int, written: Written | None) -> None:
        """Note a file as imported."""
        rows, first = (written.rows, written.first_sequence) if written else (0, None)
        self._connection.execute(_FILE, [self.key, digest, name, rows, rejected, first])

    def _writer(self, stored: Stored) -> TradeWriter:
        if self._kind is TableKind.TIMESCALEDB:
            return HypertableWriter(self._connection, self.key, stored)
        partition = f"trade_{self._exchange_id}_{self.symbol_id}"
        return PlainWriter(self._connection, self.key, stored, partition)

    def _reserve(self, symbol: str) -> int:
        """The symbol's id; a new symbol takes the next one of its exchange, for ever."""
        with self._connection.transaction():
            lock_exchange(self._connection, self._exchange_id)
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
