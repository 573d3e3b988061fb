"""The market database as the gateway uses it: what a stream sends, batch by batch.

A database that is down refuses the streams of that moment and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from qd_gateway.errors import StreamRefused
from qd_gateway.limits import BATCH_ROWS
from qd_gateway.plans import StreamPlan
from qd_schemas.arrays import Rows
from qd_schemas.enums import DataErrorType
from qd_store import Market, Store, StoreError

_log = logging.getLogger("qd_gateway.database")


class Database:
    """Gives the rows of streams."""

    def __init__(self, dsn: str) -> None:
        self._store = Store(dsn)
        self._is_prepared = False
        self._preparing = asyncio.Lock()

    async def prepare(self) -> None:
        """Make sure that the tables are there and of this program's version; changes nothing.

        Raises
        ------
        StoreError
            The database cannot be reached, or `qd db migrate` has to come first.
        """
        async with self._preparing:
            if self._is_prepared:
                return
            await self._store.check_version()
            self._is_prepared = True
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
        await self.prepare()
        market = await self._store.market(plan.exchange_id, plan.symbol_id)
        if market is None:
            raise StreamRefused(
                DataErrorType.TABLE_NOT_FOUND,
                f"exchange {plan.exchange_id} has no market with symbol id {plan.symbol_id}",
            )
        rows = _bars if plan.is_bars else _trades
        return rows(self._store, market, plan)

    async def aclose(self) -> None:
        """Close the store."""
        await self._store.aclose()


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
