"""The market database as the gateway uses it: opened when first needed, again after a failure.

A database that is down refuses the streams of that moment and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from qd_gateway.errors import StreamRefused
from qd_gateway.limits import BATCH_ROWS
from qd_gateway.plans import StreamPlan
from qd_schemas.arrays import Rows
from qd_schemas.enums import DataErrorType
from qd_store import Market, Store, StoreError

_log = logging.getLogger("qd_gateway.database")


class Database:
    """Opens the store once and gives the rows of streams."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stack = AsyncExitStack()
        self._store: Store | None = None
        self._is_migrated = False
        self._opening = asyncio.Lock()

    async def store(self) -> Store:
        """The open store.

        Raises
        ------
        StoreError
            The database cannot be reached, or has not the tables.
        """
        async with self._opening:
            if self._store is None:
                self._store = await self._stack.enter_async_context(Store.open(self._dsn))
            if not self._is_migrated:
                await self._migrate(self._store)
            return self._store

    async def _migrate(self, store: Store) -> None:
        """Make a new database's tables, so that a symbol it lacks is answered as unknown."""
        try:
            await store.migrate()
        except StoreError as error:
            if error.retriable:
                raise
            _log.warning("the database's tables are not as expected: %s", error)
        self._is_migrated = True
        _log.info("database open")

    async def feed(self, plan: StreamPlan) -> AsyncGenerator[Rows, None]:
        """The rows of a plan, a batch at a time; nothing is read before the first batch.

        Raises
        ------
        StreamRefused
            There is no such market.
        StoreError
            The database failed.
        """
        store = await self.store()
        market = await store.market(plan.exchange_id, plan.symbol_id)
        if market is None:
            raise StreamRefused(
                DataErrorType.TABLE_NOT_FOUND,
                f"exchange {plan.exchange_id} has no market with symbol id {plan.symbol_id}",
            )
        return _bars(store, market, plan) if plan.is_bars else _trades(store, market, plan)

    async def aclose(self) -> None:
        """Close the store."""
        self._store = None
        await self._stack.aclose()


async def _trades(store: Store, market: Market, plan: StreamPlan) -> AsyncGenerator[Rows, None]:
    trades = store.trades(
        market,
        first_sequence=plan.first_sequence,
        start_time=plan.start_time,
        end_time=plan.end_time,
        batch_rows=BATCH_ROWS,
    )
    async with aclosing(trades):
        async for rows in trades:
            yield rows


async def _bars(store: Store, market: Market, plan: StreamPlan) -> AsyncGenerator[Rows, None]:
    """Bars from number `plan.first_sequence` of the range on."""
    skip = plan.first_sequence - 1
    bars = store.bars(market, plan.resolution, start_time=plan.start_time, end_time=plan.end_time)
    async with aclosing(bars):
        async for rows in bars:
            if skip < len(rows):
                yield rows[skip:]
            skip = max(skip - len(rows), 0)
