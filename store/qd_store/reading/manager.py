"""The query manager: every way out of the database, all at once or as a stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

import numpy as np

from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.frames import bar_frames, trade_frames
from qd_store.reading.connection import ReadConnection
from qd_store.reading.fetch import Fetch, Q
from qd_store.reading.merging import merged, page_rows_of
from qd_store.reading.pool import ReadPool
from qd_store.reading.queries import BarQuery, MergedQuery, Query, TradeQuery
from qd_store.reading.sources import Ask, Paged, PieceReader, Streamed, bar_rows, trade_rows

BATCH_ROWS_DEFAULT: Final = 32_768  # 1 MiB of trades
BATCH_ROWS_MAX: Final = 4_194_304


class QueryManager:
    """Runs queries.

    Parameters
    ----------
    pool : ReadPool
        Where connections come from.
    ask : callable
        Runs small queries.
    """

    def __init__(self, pool: ReadPool, ask: Ask) -> None:
        self._pool = pool
        self._ask = ask

    async def query(self, query: Query) -> Rows:
        """See `Store.query`."""
        async with contextlib.aclosing(self.fetch(query, BATCH_ROWS_DEFAULT)) as fetch:
            parts = [rows async for rows in fetch]
        return np.concatenate([np.empty(0, query.dtype), *parts])

    def fetch(self, query: Q, batch_rows: int) -> Fetch[Q, Rows]:
        """See `Store.fetch`."""
        return Fetch(query, self._rows(query, _checked(batch_rows)), lambda rows, _: rows)

    def fetch_frames(
        self, query: TradeQuery | BarQuery, stream_id: int, batch_rows: int
    ) -> Fetch[TradeQuery | BarQuery, list[bytes]]:
        """See `Store.fetch_frames`."""
        if query.dtype not in (TRADE, BAR):
            raise ValueError(
                f"frames have no field for all of {', '.join(query.dtype.names or ())}; expected a "
                "query of one market, whose bars are not marked"
            )

        def frames(rows: Rows, rest: TradeQuery | BarQuery) -> list[bytes]:
            return _frames(rows, rest, stream_id)

        return Fetch(query, self._rows(query, _checked(batch_rows)), frames)

    async def _rows(self, query: Query, batch_rows: int) -> AsyncGenerator[Rows]:
        connection = await self._pool.lend()
        try:
            async with contextlib.aclosing(self._batches(query, connection, batch_rows)) as batches:
                async for rows in batches:
                    for start in range(0, len(rows), batch_rows):
                        yield rows[start : start + batch_rows]
                    await asyncio.sleep(0)  # a fast server must not keep other streams waiting
        finally:
            await self._pool.give_back(connection)

    def _batches(
        self, query: Query, connection: ReadConnection, batch_rows: int
    ) -> AsyncGenerator[Rows]:
        if not isinstance(query, MergedQuery):
            return self._part(query, Streamed(connection, batch_rows))
        pages = Paged(connection, page_rows_of(len(query.parts)))
        sources = [(part.market.key, self._part(part, pages)) for part in query.parts]
        return merged(sources, query.dtype)

    def _part(self, query: TradeQuery | BarQuery, reader: PieceReader) -> AsyncGenerator[Rows]:
        if isinstance(query, TradeQuery):
            return trade_rows(query, reader, self._ask)
        return bar_rows(query, reader, self._ask)


def _frames(rows: Rows, rest: TradeQuery | BarQuery, stream_id: int) -> list[bytes]:
    symbol_id = rest.market.symbol_id
    if isinstance(rest, TradeQuery):
        return trade_frames(rows, symbol_id=symbol_id, stream_id=stream_id)
    return bar_frames(
        rows,
        symbol_id=symbol_id,
        stream_id=stream_id,
        resolution=rest.resolution,
        first_sequence=max(rest.first_sequence, 1),
    )


def _checked(batch_rows: int) -> int:
    if not 1 <= batch_rows <= BATCH_ROWS_MAX:
        raise ValueError(f"batch_rows is {batch_rows}; expected 1 to {BATCH_ROWS_MAX}")
    return batch_rows
