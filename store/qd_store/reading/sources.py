"""The rows of a query for one market, piece by piece, whatever reads the pieces.

`Streamed` reads a piece as one answer of the server, `Paged` in many small ones, so that
several markets can be read in turns over one connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np

from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.bars import Resampler
from qd_store.reading import statements
from qd_store.reading.connection import ReadConnection
from qd_store.reading.pieces import MarketState, Piece, bar_pieces, bar_range
from qd_store.reading.queries import MARKED_BAR, BarQuery, TradeQuery, Unfinished

Ask = Callable[..., Awaitable[Sequence[Any]]]
"""Runs a small query with parameters and returns its rows."""

NUMBER_MAX: Final = 2**63 - 1  # PostgreSQL takes none that is greater

_Bounds = tuple[int | None, int | None]


class PieceReader(Protocol):
    """Reads stored rows in order, in batches that are never empty."""

    def trades(
        self, market: int, sequences: tuple[int, int | None], times: _Bounds
    ) -> AsyncGenerator[Rows]:
        """Trades from the first sequence and time on, before the second ones."""

    def bars(self, market: int, piece: Piece, bars_max: int | None = None) -> AsyncGenerator[Rows]:
        """Stored bars, at least so many of them; who takes no more need not stop the server."""


class Streamed:
    """Reads each piece as one answer."""

    def __init__(self, connection: ReadConnection, batch_rows: int) -> None:
        self._connection = connection
        self._batch_rows = batch_rows

    def trades(
        self, market: int, sequences: tuple[int, int | None], times: _Bounds
    ) -> AsyncGenerator[Rows]:
        """See `PieceReader`."""
        select = statements.trades(market, sequences, times)
        return self._connection.rows(select, TRADE, self._batch_rows)

    def bars(self, market: int, piece: Piece, bars_max: int | None = None) -> AsyncGenerator[Rows]:
        """See `PieceReader`."""
        assert piece.resolution is not None
        times = (piece.start_time, piece.end_time)
        select = statements.bars(market, piece.resolution, times, bars_max)
        return self._connection.rows(select, BAR, self._batch_rows)


class Paged:
    """Reads each piece in pages, each from where the one before ended."""

    def __init__(self, connection: ReadConnection, page_rows: int) -> None:
        self._connection = connection
        self._page_rows = page_rows

    async def trades(
        self, market: int, sequences: tuple[int, int | None], times: _Bounds
    ) -> AsyncGenerator[Rows]:
        """See `PieceReader`."""
        (first, end), (start, stop) = sequences, times
        while True:
            rows = await self._page(
                statements.trades(market, (first, end), (start, stop), self._page_rows), TRADE
            )
            if len(rows):
                yield rows
            if len(rows) < self._page_rows:
                return
            first, start = int(rows["sequence"][-1]) + 1, int(rows["time"][-1])

    async def bars(
        self, market: int, piece: Piece, bars_max: int | None = None
    ) -> AsyncGenerator[Rows]:
        """See `PieceReader`; what is not wanted is not asked for."""
        assert piece.resolution is not None
        start = piece.start_time
        while True:
            times = (start, piece.end_time)
            rows = await self._page(
                statements.bars(market, piece.resolution, times, self._page_rows), BAR
            )
            if len(rows):
                yield rows
            if len(rows) < self._page_rows:
                return
            start = int(rows["time"][-1]) + 1

    async def _page(self, select: str, dtype: np.dtype[np.void]) -> Rows:
        async with contextlib.aclosing(
            self._connection.rows(select, dtype, self._page_rows)
        ) as batches:
            return np.concatenate([np.empty(0, dtype), *[rows async for rows in batches]])


async def state_of(market: int, ask: Ask) -> MarketState | None:
    """What is stored of a market now; None where there is nothing."""
    rows = await ask(statements.STATE, market)
    return MarketState(*rows[0]) if rows else None


async def trade_rows(query: TradeQuery, reader: PieceReader, ask: Ask) -> AsyncGenerator[Rows]:
    """The rows of a query of trades; what is stored when it begins."""
    state = await state_of(query.market.key, ask)
    if state is None:
        return
    first = max(query.first_sequence, 1)
    end = state.trades + 1 if query.end_sequence is None else query.end_sequence
    end = min(end, state.trades + 1)
    if first >= end:
        return
    start, stop = query.start_time, query.end_time
    if first > 1 or end <= state.trades:
        start, stop = await _narrowed(query.market.key, (first, end), (start, stop), ask)
    if start is not None and stop is not None and start >= stop:
        return
    trades = reader.trades(query.market.key, (first, end), (start, stop))
    async with contextlib.aclosing(trades):
        async for rows in trades:
            yield rows


async def _narrowed(market: int, sequences: tuple[int, int], times: _Bounds, ask: Ask) -> _Bounds:
    """The times between which the sequences lie, too: the index is in order of time."""
    first, end = sequences
    marks = await ask(statements.BETWEEN, market, first, market, end - 1)
    low, high = marks[0]
    start, stop = times
    start = max((time for time in (start, low) if time is not None), default=None)
    high = None if high is None else high + 1  # the mark's own trade may be wanted
    return start, min((time for time in (stop, high) if time is not None), default=None)


async def bar_rows(query: BarQuery, reader: PieceReader, ask: Ask) -> AsyncGenerator[Rows]:
    """The rows of a query of bars."""
    state = await state_of(query.market.key, ask)
    if state is None:
        return
    last = state.unfinished_start(query.resolution)
    times, number = await _from_number(query, bar_range(query, state), state, ask)
    bars_max = None
    if query.end_sequence is not None:
        bars_max = min(query.end_sequence - number, NUMBER_MAX)
    bars = _bars(query, times, state, reader, bars_max)
    async with contextlib.aclosing(bars):
        async for rows in bars:
            end = number + len(rows)
            stop = end if query.end_sequence is None else min(end, query.end_sequence)
            wanted = rows[max(query.first_sequence - number, 0) : max(stop - number, 0)]
            if len(wanted):
                yield _marked(wanted, last) if query.unfinished is Unfinished.MARKED else wanted
            number = end


async def _from_number(
    query: BarQuery, times: _Bounds, state: MarketState, ask: Ask
) -> tuple[_Bounds, int]:
    """Where to begin for the first bar that is wanted, and the number of the bar there."""
    skip = query.first_sequence - 1
    stored = bar_pieces(query.resolution, times, state)[:1]
    if skip < 1 or not stored or stored[0].resolution is not query.resolution:
        return times, 1
    select = statements.bar_number(query.market.key, query.resolution, times)
    bound = stored[0].end_time
    found = await ask(select, min(skip, NUMBER_MAX))
    if not found or bound is None or found[0][0] >= bound:
        return times, 1  # not among the final ones: they are counted as they come
    return (found[0][0], times[1]), query.first_sequence


async def _bars(
    query: BarQuery, times: _Bounds, state: MarketState, reader: PieceReader, bars_max: int | None
) -> AsyncGenerator[Rows]:
    """Whole bars that start between the times, of what is stored and what follows from it.

    Where so many are enough, the server is asked for no more of those that are stored: an answer
    that is read to its end leaves its connection for the next query.
    """
    resampler, given = Resampler(query.resolution), 0
    for piece in bar_pieces(query.resolution, times, state):
        is_own = piece.resolution is query.resolution
        if bars_max is not None and given >= bars_max:
            return
        parts = _piece(query.market.key, piece, state, reader, bars_max if is_own else None)
        async with contextlib.aclosing(parts):
            async for rows in parts:
                bars = _fed(resampler, query, piece, rows)
                given += len(bars)
                if len(bars):
                    yield bars
                if not is_own and bars_max is not None and given >= bars_max:
                    return
    bars = resampler.finish()
    if len(bars):
        yield bars


def _piece(
    market: int, piece: Piece, state: MarketState, reader: PieceReader, bars_max: int | None
) -> AsyncGenerator[Rows]:
    if piece.resolution is not None:
        return reader.bars(market, piece, bars_max)
    times = (piece.start_time, piece.end_time)
    return reader.trades(market, (1, state.trades + 1), times)


def _fed(resampler: Resampler, query: BarQuery, piece: Piece, rows: Rows) -> Rows:
    if piece.resolution is query.resolution:
        return rows
    if piece.resolution is None:
        return resampler.feed(rows)
    return resampler.feed_bars(piece.resolution, rows)


def _marked(bars: Rows, unfinished_start: int) -> Rows:
    rows = np.empty(len(bars), MARKED_BAR)
    for name in BAR.names or ():
        rows[name] = bars[name]
    rows["final"] = bars["time"] != unfinished_start
    return rows
