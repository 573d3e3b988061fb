"""The market database as the gateway uses it: what a stream sends, batch by batch.

A database that is down refuses the streams of that moment and nothing else.
"""

from __future__ import annotations

import asyncio
import logging

from qd_gateway.errors import StreamRefused
from qd_gateway.limits import BATCH_ROWS
from qd_gateway.plans import Refusal, StreamPlan
from qd_gateway.stream import Feed
from qd_schemas.enums import DataErrorType, Reason
from qd_store import Market, Store
from qd_store.reading import BarQuery, TradeQuery, Unfinished

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

    async def feed(self, plan: StreamPlan) -> Feed:
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
                Refusal(DataErrorType.TABLE_NOT_FOUND, Reason.SYMBOL_UNKNOWN),
                f"exchange {plan.exchange_id} has no market with symbol id {plan.symbol_id}",
            )
        return self._store.fetch(_query_of(plan, market), batch_rows=BATCH_ROWS)

    async def aclose(self) -> None:
        """Close the store."""
        await self._store.aclose()


def _query_of(plan: StreamPlan, market: Market) -> TradeQuery | BarQuery:
    """What a plan sends; its last bar as it is so far, since the protocol has no mark for it."""
    if not plan.is_bars:
        return TradeQuery(market, plan.start_time, plan.end_time, plan.first_sequence)
    return BarQuery(
        market,
        plan.resolution,
        plan.start_time,
        plan.end_time,
        plan.first_sequence,
        unfinished=Unfinished.INCLUDED,
    )
