"""New trades onto a market: live ones by `MarketAppender`, those of files by the import.

Both go through `add_trades`, which lets only trades in order pass. Live trades carry their
sequences, so they may come again after a lost connection: those stored already are compared,
the others added, all or none. Blocking; from asyncio call it with ``asyncio.to_thread``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import psycopg

from qd_schemas.arrays import TRADE, Rows
from qd_store.amounts import AMOUNT_MAX, AMOUNT_MIN
from qd_store.connections import connect, translating
from qd_store.errors import SequenceGap, TradesDiffer, TradesInvalid, TradesOutOfOrder
from qd_store.exchanges import ExchangeAdapter, find_exchange
from qd_store.exchanges.registry import register
from qd_store.tables import MarketTables, Stored, Written, refresh_bars
from qd_store.times import TIME_MAX_US, TIME_MIN_US

BARS_BEHIND_TRADES_MAX: Final = 100_000
"""As many trades may await stored bars; readers make those bars out of them until then."""

# Marks give the times between which the sequences lie, so that an index answers.
_STORED = """
SELECT sequence, (extract(epoch FROM time) * 1000000)::bigint, price, volume FROM trade
WHERE market = %(market)s AND sequence >= %(first)s AND sequence < %(end)s
  AND time >= (SELECT time FROM trade_mark WHERE market = %(market)s AND sequence <= %(first)s
               ORDER BY sequence DESC LIMIT 1)
  AND time <= coalesce((SELECT time FROM trade_mark
                        WHERE market = %(market)s AND sequence >= %(end)s
                        ORDER BY sequence LIMIT 1), 'infinity')
ORDER BY time, sequence
"""


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did.

    Attributes
    ----------
    added : int
        Trades that are new.
    known : int
        Trades that were stored already, with the same content.
    last_sequence : int
        Of the market now.
    """

    added: int
    known: int
    last_sequence: int


def add_trades(tables: MarketTables, stored: Stored, blocks: Iterable[Rows]) -> Written | None:
    """Add trades to a market, in the caller's transaction.

    Parameters
    ----------
    tables : MarketTables
        The market, locked.
    stored : Stored
        What its `lock` gave.
    blocks : iterable of ndarray
        With fields ``time``, ``price`` and ``volume``; never empty.

    Returns
    -------
    Written or None
        None where there was no row.

    Raises
    ------
    TradesOutOfOrder
        A time is below the one before it. A savepoint around the call rids it of its rows.
    """
    return tables.write(in_order(blocks, stored.last_time), stored)


def in_order(blocks: Iterable[Rows], last_time: int | None) -> Iterator[Rows]:
    """The same blocks, as long as their times do not fall.

    Raises
    ------
    TradesOutOfOrder
        They do, or begin before `last_time`.
    """
    last = TIME_MIN_US if last_time is None else last_time
    for rows in blocks:
        times = rows["time"]
        if times[0] < last or (times[1:] < times[:-1]).any():
            raise TradesOutOfOrder(
                "trades must come in time order, none before the last stored one: sort them"
            )
        last = int(times[-1])
        yield rows


class MarketAppender:
    """Appends live trades to one market.

    Any number may work on a market at a time, and beside an import of it: one waits for the
    other. Stored bars follow at once on plain PostgreSQL; on TimescaleDB when the appender
    closes and before more than `BARS_BEHIND_TRADES_MAX` trades await them.
    """

    def __init__(self, dsn: str, connection: psycopg.Connection[Any], tables: MarketTables) -> None:
        self._dsn = dsn
        self._connection = connection
        self._tables = tables

    @classmethod
    @contextlib.contextmanager
    def open(
        cls, dsn: str, exchange: int | str | ExchangeAdapter, symbol: str
    ) -> Iterator[MarketAppender]:
        """Open a market for appending; a new symbol gets the next id of its exchange.

        Parameters
        ----------
        dsn : str
            The database, migrated.
        exchange : int or str or ExchangeAdapter
            The exchange's id or name, or an adapter of one's own. It is entered in the database.
        symbol : str
            The market's name there.

        Raises
        ------
        UnknownExchange, SymbolIdsExhausted
            About the market.
        DatabaseUnreachable, ConnectionLost, QueryFailed, SchemaMismatch
            About the database.
        """
        adapter = find_exchange(exchange) if isinstance(exchange, int | str) else exchange
        with connect(dsn) as connection:
            with translating():
                register(connection, adapter)
                tables = MarketTables(connection, adapter.exchange_id, symbol)
            yield cls(dsn, connection, tables)
        refresh_bars(dsn)

    def last_sequence(self) -> int:
        """The market's last stored sequence; 0 where it has no trades."""
        with translating(), self._connection.transaction():
            return self._tables.lock().trades

    def append(self, trades: Rows) -> Appended:
        """Add trades, all or none.

        Parameters
        ----------
        trades : ndarray of TRADE
            Of sequences without a gap; the first at most one past the last stored one.

        Returns
        -------
        Appended
            How many were new, and how many known.

        Raises
        ------
        SequenceGap
            Trades before them, or among them, are missing; the error knows which is next.
        TradesDiffer
            A stored trade of one of these sequences is another one.
        TradesOutOfOrder, TradesInvalid
            They are no trades, or not in time order.
        ConnectionLost, QueryFailed
            About the database. After a lost connection open anew and append the same again.
        """
        trades = _valid(trades)
        with translating():
            with self._connection.transaction():
                stored = self._tables.lock()
                if not len(trades):
                    return Appended(0, 0, stored.trades)
                known = _known(trades, stored)
                self._compare(trades[:known])
                fresh = trades[known:]
                add_trades(self._tables, stored, [fresh] if len(fresh) else [])
            if stored.trades - stored.bars_sequence >= BARS_BEHIND_TRADES_MAX:
                refresh_bars(self._dsn)
        return Appended(len(fresh), known, stored.trades + len(fresh))

    def _compare(self, known: Rows) -> None:
        if not len(known):
            return
        first, end = int(known["sequence"][0]), int(known["sequence"][-1]) + 1
        wanted = {"market": self._tables.key, "first": first, "end": end}
        rows = np.array(self._connection.execute(_STORED, wanted).fetchall(), TRADE)
        differ = np.flatnonzero(rows != known)
        if len(differ):
            sequence = first + int(differ[0])
            raise TradesDiffer(
                f"trade {sequence} is stored as {rows[differ[0]]}, given as {known[differ[0]]}: "
                "stored trades never change; is it the right market?",
                sequence=sequence,
            )


def _valid(trades: Rows) -> Rows:
    """The trades with plain zeros, if they are trades."""
    if trades.dtype != TRADE:
        raise TradesInvalid(f"trades have the dtype {trades.dtype}; expected TRADE, {TRADE}")
    price, volume, time = trades["price"], trades["volume"], trades["time"]
    good = (price >= AMOUNT_MIN) & (price <= AMOUNT_MAX)  # not a number is neither
    good &= ((volume >= AMOUNT_MIN) & (volume <= AMOUNT_MAX)) | (volume == 0)
    good &= (time >= TIME_MIN_US) & (time < TIME_MAX_US)
    if not good.all():
        raise TradesInvalid(
            f"{trades[~good][0]} is no trade; expected a price above zero and a volume not below "
            f"it, neither above {AMOUNT_MAX:g} nor as small as none, and a time from 2009 to 2099 "
            "in microseconds"
        )
    sequence = trades["sequence"]
    gaps = np.flatnonzero(sequence[1:] != sequence[:-1] + 1)
    if len(gaps):
        before = int(sequence[gaps[0]])
        raise SequenceGap(
            f"sequence {before} is followed by {sequence[gaps[0] + 1]}; expected {before + 1}",
            next_sequence=before + 1,
        )
    trades = trades.copy()
    trades["volume"] += 0.0  # makes a minus zero plain
    return trades


def _known(trades: Rows, stored: Stored) -> int:
    """How many of the trades have stored sequences."""
    first = int(trades["sequence"][0])
    if not 1 <= first <= stored.trades + 1:
        raise SequenceGap(
            f"trades begin with sequence {first}; expected at most {stored.trades + 1}, the next "
            "of the market, and at least 1: append those between first",
            next_sequence=stored.trades + 1,
        )
    return min(stored.trades + 1 - first, len(trades))
