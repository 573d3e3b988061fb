"""The store as services use it: exchanges, markets, streams of trades and bars.

Reading only, apart from `Store.migrate`; files come in through `qd_store.imports`.
Everything is asyncio. Ordinary queries share one connection; each stream has its own, out
of a bounded number, read in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import psycopg

from qd_schemas.arrays import Rows
from qd_schemas.bars import Resampler, bar_start_at_or_after
from qd_schemas.enums import Resolution
from qd_store import markets
from qd_store.connections import connect, connect_async, translating
from qd_store.errors import ConnectionLost, QueryTimedOut
from qd_store.markets import Exchange, Market
from qd_store.migrate import Migration, check_version, migrate
from qd_store.pool import StreamPool, in_thread

BATCH_ROWS_DEFAULT = 32_768  # 1 MiB of trades
BATCH_ROWS_MAX = 4_194_304
STREAMS_MAX_DEFAULT = 64
QUERY_SECONDS_MAX = 30.0


class Store:
    """A market database, connected to when it is first used, and again after a loss.

    Close it with `aclose`, or use `Store.open`, which connects at once.

    Parameters
    ----------
    dsn : str
        ``postgresql://user:password@host:port/name``; any PostgreSQL from 15.
    streams_max : int
        How many streams may be open at the same time, each with a connection.
    """

    def __init__(self, dsn: str, *, streams_max: int = STREAMS_MAX_DEFAULT) -> None:
        self._dsn = dsn
        self._streams = StreamPool(dsn, streams_max)
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, dsn: str, *, streams_max: int = STREAMS_MAX_DEFAULT
    ) -> AsyncIterator[Store]:
        """Connect, and close when the block ends.

        Raises
        ------
        DatabaseUnreachable
            No connection could be made.
        """
        store = cls(dsn, streams_max=streams_max)
        try:
            store._connection = await connect_async(dsn)
            yield store
        finally:
            await store.aclose()

    async def migrate(self) -> list[Migration]:
        """Bring the tables to this program's version; returns what was applied."""

        def run() -> list[Migration]:
            with translating(), connect(self._dsn) as connection:
                return migrate(connection)

        return await in_thread(run)

    async def check_version(self) -> None:
        """Make sure that the tables are of this program's version; changes nothing.

        Raises
        ------
        SchemaMismatch
            They are missing, older or newer.
        """

        def run() -> None:
            with translating(), connect(self._dsn) as connection:
                check_version(connection)

        await in_thread(run)

    async def exchanges(self) -> list[Exchange]:
        """All exchanges, by id."""
        return [Exchange(*row) for row in await self._rows(markets.EXCHANGES)]

    async def markets(self, exchange_id: int) -> list[Market]:
        """All markets of an exchange that have trades, by symbol id."""
        return [markets.market_of(row) for row in await self._rows(markets.MARKETS, exchange_id)]

    async def market(self, exchange_id: int, symbol_id: int) -> Market | None:
        """A market by its ids; None where there is none."""
        rows = await self._rows(markets.MARKET_BY_ID, exchange_id, symbol_id)
        return markets.market_of(rows[0]) if rows else None

    async def market_by_symbol(self, exchange_id: int, symbol: str) -> Market | None:
        """A market by its exchange's name of it; None where there is none."""
        rows = await self._rows(markets.MARKET_BY_SYMBOL, exchange_id, symbol)
        return markets.market_of(rows[0]) if rows else None

    async def trades(
        self,
        market: Market,
        *,
        first_sequence: int = 1,
        start_time: int | None = None,
        end_time: int | None = None,
        batch_rows: int = BATCH_ROWS_DEFAULT,
    ) -> AsyncGenerator[Rows]:
        """Stream a market's trades in sequence order, which is time order.

        Memory is that of about three batches whatever the market's size. The stream is what
        was stored when it began. Leaving it early, by ``aclose``, by cancellation or by
        forgetting it, ends its query and its connection.

        Parameters
        ----------
        market : Market
            Whose trades.
        first_sequence : int
            Trades from this sequence on.
        start_time, end_time : int, optional
            Trades from `start_time` on and before `end_time`, microseconds since the epoch.
        batch_rows : int
            Rows of a batch, at most.

        Yields
        ------
        numpy.ndarray of TRADE
            Never empty.

        Raises
        ------
        TooManyStreams
            `streams_max` streams are open.
        ConnectionLost
            The database went away; ``next_sequence`` says where to go on.
        """
        if not 1 <= batch_rows <= BATCH_ROWS_MAX:
            raise ValueError(f"batch_rows is {batch_rows}; expected 1 to {BATCH_ROWS_MAX}")
        with self._streams.slot():
            first, end = await self._range(market, first_sequence, start_time, end_time)
            if first >= end:
                return
            stream = self._streams.read(market.key, first, end, batch_rows)
            async with contextlib.aclosing(stream) as batches:
                async for rows in batches:
                    for start in range(0, len(rows), batch_rows):
                        yield rows[start : start + batch_rows]

    async def bars(
        self,
        market: Market,
        resolution: Resolution,
        *,
        start_time: int | None = None,
        end_time: int | None = None,
        batch_rows: int = BATCH_ROWS_DEFAULT,
    ) -> AsyncGenerator[Rows]:
        """Stream a market's bars in time order.

        A bar is computed from all trades of its interval: bars are given whose start lies
        from `start_time` on and before `end_time`. Intervals without trades have no bar.
        See `qd_schemas.bars` for the calendar and the order of summation.

        Parameters
        ----------
        market : Market
            Whose bars.
        resolution : Resolution
            Any but NONE.
        start_time, end_time : int, optional
            Microseconds since the epoch.
        batch_rows : int
            Trades read at a time.

        Yields
        ------
        numpy.ndarray of BAR
            Never empty.
        """
        resampler = Resampler(resolution)
        trades = self.trades(
            market,
            start_time=bar_start_at_or_after(resolution, start_time),
            end_time=bar_start_at_or_after(resolution, end_time),
            batch_rows=batch_rows,
        )
        async with contextlib.aclosing(trades):
            async for rows in trades:
                bars = resampler.feed(rows)
                if len(bars):
                    yield bars
        bars = resampler.finish()
        if len(bars):
            yield bars

    async def _range(
        self, market: Market, first: int, start_time: int | None, end_time: int | None
    ) -> tuple[int, int]:
        """The sequences to stream, from and up to."""
        end = 2**63 - 1
        if start_time is not None:
            first = max(first, await self._sequence_at(market, start_time))
        if end_time is not None:
            end = await self._sequence_at(market, end_time)
        return max(first, 1), end

    async def _sequence_at(self, market: Market, time: int) -> int:
        if time > market.last_time:  # also times that the database cannot hold
            current = await self.market(market.exchange_id, market.symbol_id)
            if current is None or time > current.last_time:
                return 2**63 - 1 if current is None else current.trades + 1
        if time <= market.first_time:
            return 1
        rows = await self._rows(markets.SEQUENCE_AT, market.key, time)
        found: int = rows[0][0]
        return found

    async def _rows(self, query: str, *parameters: object) -> Sequence[Any]:
        """All rows of a small query; asked again, once, where the connection had gone stale."""
        async with self._turn:
            try:
                return await self._ask(query, parameters)
            except ConnectionLost:
                return await self._ask(query, parameters)

    async def _ask(self, query: str, parameters: Sequence[object]) -> Sequence[Any]:
        if self._connection is None:
            self._connection = await connect_async(self._dsn)
        connection = self._connection
        try:
            async with asyncio.timeout(QUERY_SECONDS_MAX):
                with translating():
                    cursor = await connection.execute(query.encode(), parameters)
                    return await cursor.fetchall()
        except TimeoutError as error:
            self._connection = None
            raise QueryTimedOut(
                f"the database did not answer within {QUERY_SECONDS_MAX:.0f} s: is it overloaded?"
            ) from error
        except BaseException:
            self._connection = None  # in an unknown state
            await connection.close()
            raise

    async def aclose(self) -> None:
        """End all streams and connections."""
        if self._connection is not None:
            await self._connection.close()
        await self._streams.close()
