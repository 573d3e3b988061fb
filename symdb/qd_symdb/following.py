"""Keeps the directory as the database is, and says when it is surely so.

One task owns the connection. Whoever must not answer with what is old awaits `current`: all
who do so at the same time share one round trip to the database.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from qd_schemas.errors import QdError
from qd_store import ConnectionLost
from qd_store.symbol_feed import SymbolFeed
from qd_symdb.directory import Change, Directory
from qd_symdb.metrics import Metrics
from qd_symdb.watching import Watchers

ANSWER_SECONDS_MAX: Final = 10.0
"""How long the database may take to answer."""
RETRY_SECONDS_MIN: Final = 0.1
RETRY_SECONDS_MAX: Final = 1.0
"""A lost database is asked for again after these: the first if somebody waits for it."""
RELOAD_SECONDS: Final = 30.0
"""How often everything is read anew, whatever was told: a net below notifications."""

_log = logging.getLogger("qd_symdb")


class Follower:
    """Follows the database's exchanges and markets.

    Parameters
    ----------
    dsn : str
        The database. It need not be up.
    watchers : Watchers
        Who is told of changes.
    metrics : Metrics
        Where what happens is counted.
    """

    def __init__(self, dsn: str, watchers: Watchers, metrics: Metrics) -> None:
        self._dsn = dsn
        self._watchers = watchers
        self._metrics = metrics
        self._directory = Directory()
        self._asks: list[asyncio.Future[None]] = []
        self._awake = asyncio.Event()
        self._lost = False

    async def current(self) -> Directory:
        """The directory, with all that was committed before the call.

        Raises
        ------
        QdError
            The database cannot be asked.
        """
        ask = asyncio.get_running_loop().create_future()
        self._asks.append(ask)
        self._awake.set()
        await ask
        return self._directory

    async def run(self) -> None:
        """Follow for ever; connect again after each loss."""
        while True:
            try:
                async with SymbolFeed.open(self._dsn) as feed:
                    await self._follow(feed)
            except QdError as error:
                self._fail(error)
            except TimeoutError:
                self._fail(
                    ConnectionLost(
                        f"the database did not answer within {ANSWER_SECONDS_MAX:g} s: try again"
                    )
                )
            await self._pause()

    async def _follow(self, feed: SymbolFeed) -> None:
        clock = asyncio.get_running_loop()
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await self._load(feed)
        self._found()
        load_at = clock.time() + RELOAD_SECONDS
        while True:
            self._awake.clear()
            asks = len(self._asks)
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                if await self._catch_up(feed, load_at <= clock.time()):
                    load_at = clock.time() + RELOAD_SECONDS
            self._answer(asks)
            if not self._asks:
                await feed.wait(self._awake, max(load_at - clock.time(), 0))

    async def _catch_up(self, feed: SymbolFeed, due: bool) -> bool:
        """Take what was told, or everything; returns whether it was everything."""
        told = await feed.told()
        if told.everything or due:
            await self._load(feed)
        elif told:
            self._publish(self._directory.replace(told.markets, await feed.some(told.markets)))
        return told.everything or due

    async def _load(self, feed: SymbolFeed) -> None:
        exchanges = self._directory.exchanges
        changes = self._directory.load(*await feed.everything())
        if self._directory.exchanges != exchanges:
            self._watchers.end("the exchanges changed")
        self._publish(changes)

    def _publish(self, changes: list[Change]) -> None:
        self._watchers.push(changes)
        self._metrics.changed(len(changes), len(self._directory))

    def _answer(self, count: int) -> None:
        """Let those go on who asked before the round trip began."""
        answered, self._asks = self._asks[:count], self._asks[count:]
        for ask in answered:
            if not ask.done():
                ask.set_result(None)

    def _found(self) -> None:
        self._metrics.database_found()
        if self._lost:
            _log.info("the database answers again")
        self._lost = False

    def _fail(self, error: QdError) -> None:
        self._metrics.database_failed(str(error))
        if not self._lost:
            _log.warning("the database cannot be asked: %s", error)
        self._lost = True
        self._watchers.end("the database cannot be asked")
        asks, self._asks = self._asks, []
        for ask in asks:
            if not ask.done():
                ask.set_exception(error)

    async def _pause(self) -> None:
        """Wait before the next connection: shortly if somebody waits for it."""
        await asyncio.sleep(RETRY_SECONDS_MIN)
        if not self._asks:
            self._awake.clear()
            try:
                async with asyncio.timeout(RETRY_SECONDS_MAX):
                    await self._awake.wait()
            except TimeoutError:
                return
