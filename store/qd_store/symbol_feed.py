"""All exchanges and markets over one connection, and what is told of their changes.

The database tells whoever listens of each changed market once a transaction has ended (see
the migration `tell_of_symbols`). `SymbolFeed.told` costs one round trip, and knows of all
that was committed before it was called. One task at a time may use a feed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from qd_store import markets
from qd_store.connections import connect_async, translated, translating
from qd_store.errors import ConnectionLost
from qd_store.markets import Exchange, Market
from qd_store.store import Store

CHANNEL: Final = "qd_symbol"
TOLD_MAX: Final = 1_000
"""Of more changed markets at a time, all are read anew."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the database told of.

    Attributes
    ----------
    markets : frozenset of int
        The keys of markets that may have changed.
    everything : bool
        Whether any other may have as well, or an exchange.
    """

    markets: frozenset[int]
    everything: bool = False

    def __bool__(self) -> bool:
        return self.everything or bool(self.markets)


class SymbolFeed:
    """Reads exchanges and markets, and hears of their changes.

    Every method raises `StoreError` where the database cannot be asked; the feed is of no use
    after that.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._heard: list[str] = []
        connection.add_notify_handler(lambda notify: self._heard.append(notify.payload))

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, dsn: str) -> AsyncIterator[SymbolFeed]:
        """Connect, make sure of the tables' version, listen; close when the block ends.

        Raises
        ------
        DatabaseUnreachable
            No connection could be made.
        SchemaMismatch
            The tables are missing, older or newer.
        """
        async with contextlib.aclosing(Store(dsn)) as store:
            await store.check_version()
        async with contextlib.AsyncExitStack() as stack:
            connection = await connect_async(dsn)
            stack.push_async_callback(connection.close)
            feed = cls(connection)
            await feed._rows(f"LISTEN {CHANNEL}")
            yield feed

    async def everything(self) -> tuple[list[Exchange], list[Market]]:
        """All exchanges, and all markets that have trades."""
        exchanges = [Exchange(*row) for row in await self._rows(markets.EXCHANGES)]
        return exchanges, [markets.market_of(row) for row in await self._rows(markets.ALL)]

    async def some(self, keys: frozenset[int]) -> list[Market]:
        """Those of the markets with these keys that have trades."""
        return [markets.market_of(row) for row in await self._rows(markets.SOME, [list(keys)])]

    async def told(self) -> Told:
        """What was told of since the last call, by a round trip that misses nothing."""
        # PostgreSQL gives a listener what was committed before it answers its next statement.
        await self._rows("SELECT 1")
        heard, self._heard = self._heard, []
        keys = frozenset(int(text) for text in heard if text.isdecimal())
        others = any(not text.isdecimal() for text in heard)
        return Told(keys, everything=others or len(keys) > TOLD_MAX)

    async def wait(self, awake: asyncio.Event, seconds: float) -> None:
        """Wait until something may be told, until `awake` is set, or for so many seconds."""
        if self._heard:
            return
        with translating():
            loop, descriptor = asyncio.get_running_loop(), self._connection.fileno()
        loop.add_reader(descriptor, awake.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await awake.wait()
        finally:
            loop.remove_reader(descriptor)

    async def _rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            cursor = await self._connection.execute(query.encode(), parameters)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise translated(error) from error
        except OSError as error:  # of the socket, where the connection is closed meanwhile
            raise ConnectionLost(f"the database connection was lost ({error})") from error
