"""The market database as the gateway uses it: what there is for a plan, and its rows.

A database that is down refuses the streams of that moment and nothing else.
"""

from __future__ import annotations

import asyncio
import logging

import numpy as np

from qd_gateway.core.plans import Refusal, StreamPlan
from qd_gateway.errors import StreamRefused
from qd_gateway.streams.pieces import Pieces, Query
from qd_gateway.streams.sizes import PIECES_AT_ONCE
from qd_schemas.arrays import Rows
from qd_schemas.enums import DataErrorType, Reason
from qd_store import Store
from qd_store.reading import Fetch

_log = logging.getLogger("qd_gateway.streams.database")


class Database:
    """Gives the rows of streams."""

    def __init__(self, dsn: str) -> None:
        self._store = Store(dsn, idle_max=PIECES_AT_ONCE)
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

    async def pieces(self, plan: StreamPlan) -> Pieces:
        """How to read the rows of a plan, of what is stored now.

        Raises
        ------
        StreamRefused
            There is no such market, or it has no trade so late.
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
        first = 1
        if not plan.is_bars and plan.start_time is not None and plan.start_time > market.first_time:
            found = await self._store.first_sequence(market, plan.start_time)
            first = market.trades + 1 if found is None else found
        return Pieces(plan, market, first)

    def fetch(self, query: Query, batch_rows: int) -> Fetch[Query, Rows]:
        """The rows of a piece, a batch at a time; nothing is read before the first batch."""
        return self._store.fetch(query, batch_rows=batch_rows)

    async def has_rows(self, query: Query) -> bool:
        """Whether a query of few rows gives any.

        Raises
        ------
        StoreError
            The database failed.
        """
        return len(await self._store.query(query)) > 0

    async def aclose(self) -> None:
        """Close the store."""
        await self._store.aclose()


def nothing(query: Query) -> Rows:
    """No row of a query."""
    return np.empty(0, query.dtype)
