"""The store as services use it: exchanges, markets, streams of trades and bars.

Reading only, apart from `Store.migrate`; files come in through `qd_store.imports`.
Everything is asyncio. Ordinary queries share one connection; each stream has its own, out
of a bounded number.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg

from qd_schemas.arrays import Rows
from qd_store import markets
from qd_store.connections import connect, connect_async, cut, store_closed, translating
from qd_store.errors import ConnectionLost, QueryTimedOut
from qd_store.markets import Exchange, Market
from qd_store.migrate import VERSION, Migration, migrate, require_version
from qd_store.reading.fetch import Fetch, Q
from qd_store.reading.manager import BATCH_ROWS_DEFAULT, QueryManager
from qd_store.reading.pool import IDLE_MAX_DEFAULT, ReadPool
from qd_store.reading.queries import BarQuery, Query, TradeQuery
from qd_store.reading.statements import first_trade
from qd_store.threads import in_thread

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
    idle_max : int
        How many of their connections stay open for the streams to come.
    """

    def __init__(
        self,
        dsn: str,
        *,
        streams_max: int = STREAMS_MAX_DEFAULT,
        idle_max: int = IDLE_MAX_DEFAULT,
    ) -> None:
        self._dsn = dsn
        self._pool = ReadPool(dsn, streams_max, idle_max)
        self._manager = QueryManager(self._pool, self._rows)
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self._is_closed = False

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

        ((table,),) = await self._rows("SELECT to_regclass('schema_version')")
        ((version,),) = await self._rows(VERSION) if table is not None else [(0,)]
        require_version(version)

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
        if not symbol.isprintable():  # PostgreSQL has no text for some of these
            return None
        rows = await self._rows(markets.MARKET_BY_SYMBOL, exchange_id, symbol)
        return markets.market_of(rows[0]) if rows else None

    async def first_sequence(self, market: Market, start_time: int) -> int | None:
        """The sequence of a market's first trade at or after a time; None where there is none.

        Parameters
        ----------
        start_time : int
            Microseconds since the epoch.
        """
        rows = await self._rows(first_trade(market.key, start_time))
        return int(rows[0][0]) if rows else None

    async def query(self, query: Query) -> Rows:
        """All rows of a query at once.

        Parameters
        ----------
        query : TradeQuery, BarQuery or MergedQuery
            What to read.

        Returns
        -------
        numpy.ndarray of query.dtype
            TRADE or BAR; `MARKED_BAR` and merged rows have a field more.

        Raises
        ------
        TooManyStreams
            `streams_max` streams are open.
        DatabaseUnreachable, SchemaMismatch
            It could not begin.
        FetchStopped
            It did not come to its end.
        """
        return await self._manager.query(query)

    def fetch(self, query: Q, *, batch_rows: int = BATCH_ROWS_DEFAULT) -> Fetch[Q, Rows]:
        """Stream the rows of a query, in memory that does not depend on their number.

        Given is what was stored when it began. A reader that stalls holds one connection
        and one batch.

        Parameters
        ----------
        query : TradeQuery, BarQuery or MergedQuery
            What to read.
        batch_rows : int
            Rows of a batch, at most.

        Returns
        -------
        Fetch
            An asynchronous iterator of arrays of ``query.dtype``, none of them empty. Its
            errors are those of `query`; `FetchStopped` knows the query of what is left.
        """
        return self._manager.fetch(query, batch_rows)

    def fetch_frames(
        self,
        query: TradeQuery | BarQuery,
        *,
        stream_id: int,
        batch_rows: int = BATCH_ROWS_DEFAULT,
    ) -> Fetch[TradeQuery | BarQuery, list[bytes]]:
        """Stream the rows of a query as packed SBE frames, ready to be sent.

        Parameters and errors are those of `fetch`; `stream_id` is what the frames carry.
        Bars must not be marked, since frames have no field for it.

        Returns
        -------
        Fetch
            An asynchronous iterator of lists of frames, of at most `FRAME_BYTES_MAX` each.

        Raises
        ------
        ValueError
            Bars are marked, or there are several markets.
        """
        return self._manager.fetch_frames(query, stream_id, batch_rows)

    async def _rows(self, query: str, *parameters: object) -> Sequence[Any]:
        """All rows of a small query; asked again, once, where the connection had gone stale."""
        async with self._turn:
            try:
                return await self._ask(query, parameters)
            except ConnectionLost:
                return await self._ask(query, parameters)
            finally:
                if self._is_closed:
                    await self._disconnect()

    async def _ask(self, query: str, parameters: Sequence[object]) -> Sequence[Any]:
        connection = await self._connected()
        try:
            async with asyncio.timeout(QUERY_SECONDS_MAX):
                with translating():
                    cursor = await connection.execute(query.encode(), parameters)
                    return await cursor.fetchall()
        except TimeoutError as error:
            await self._disconnect()
            raise QueryTimedOut(
                f"the database did not answer within {QUERY_SECONDS_MAX:.0f} s: is it overloaded?"
            ) from error
        except BaseException:
            await self._disconnect()  # in an unknown state
            raise

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None and not self._is_closed:
            self._connection = await connect_async(self._dsn)
        if self._is_closed or self._connection is None:
            raise store_closed()
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def aclose(self) -> None:
        """End all streams and connections."""
        self._is_closed = True
        if not self._turn.locked():
            await self._disconnect()
        elif self._connection is not None:
            cut(self._connection)  # whoever asks closes it: the loop watches its socket
        await self._pool.aclose()
