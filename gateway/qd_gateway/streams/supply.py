"""The rows that a stream has at hand, and the reading of the next ones meanwhile.

It never reads by itself: its stream asks, as its window, its pace and its size allow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import numpy as np

from qd_gateway.streams.sizes import HELD_ROWS_MAX
from qd_schemas.arrays import Rows

_NONE: Rows = np.empty(0, [])


class Source(Protocol):
    """Where rows come from, batch after batch."""

    @property
    def is_open(self) -> bool:
        """Whether it is in the middle of a piece, with all that this holds."""
        ...

    async def next(self, rows: int) -> Rows | None:
        """The next batch, never empty; a new piece has so many rows at most. None is the end."""
        ...

    async def let_go(self) -> None:
        """Leave the piece that is read, if any."""
        ...

    def go_back(self, last: Rows | None) -> None:
        """Go on after this row; None is at the start."""
        ...


class Supply:
    """Rows at hand, and those that come.

    Parameters
    ----------
    source : Source
        Where they come from.
    on_news : callable
        Called when the next rows are there, or there will be none.
    """

    def __init__(self, source: Source, on_news: Callable[[], None]) -> None:
        self._source = source
        self._on_news = on_news
        self._reading: asyncio.Task[Rows | None] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._last: Rows | None = None  # the last row that was taken
        self.rows: Rows = _NONE
        self.has_ended = False

    @property
    def is_reading(self) -> bool:
        """Whether the next rows were asked for and not yet collected."""
        return self._reading is not None

    def read(self, rows: int) -> None:
        """Begin to read what comes after the rows at hand; once at a time."""
        self._reading = asyncio.create_task(self._next(rows))
        self._reading.add_done_callback(lambda _: self._on_news())

    def collect(self) -> None:
        """Have the next rows at hand, if they are there and none is left.

        Raises
        ------
        StreamRefused
            There will be none.
        """
        if self._reading is not None and self._reading.done() and not len(self.rows):
            reading, self._reading = self._reading, None
            rows = reading.result()
            self.has_ended = rows is None
            self.rows = _NONE if rows is None else rows

    def take(self, count: int) -> Rows:
        """The first rows at hand, which are not at hand any more."""
        taken, left = self.rows[:count], self.rows[count:]
        self.rows = left if len(left) else _NONE  # an empty part keeps the whole array, too
        self._last = taken[-1:].copy()
        return taken

    def shrink(self, *, at_once: bool = False) -> None:
        """Keep few rows and no connection, for a wait; all others will be read again.

        At once: none, for a wait that may be long; else what is being read comes first.
        """
        is_underway = self._reading is not None and not self._reading.done()
        if is_underway and not at_once:
            return
        if is_underway or self._source.is_open or len(self.rows) + self._ahead > HELD_ROWS_MAX:
            reading, self._reading = self._reading, None
            self.rows = _NONE if at_once else self.rows[:HELD_ROWS_MAX]
            last = self.rows[-1:].copy() if len(self.rows) else self._last
            self._returning = asyncio.create_task(self._return(reading, self._returning, last))
        if self.rows.base is not None:
            self.rows = self.rows.copy()  # the array that it is a part of may be large

    async def aclose(self) -> None:
        """Read no further, and leave what is open, even where nobody waits for the end of that."""
        reading, self._reading = self._reading, None
        self._returning = asyncio.create_task(self._leave(reading, self._returning))
        await asyncio.shield(self._returning)

    @property
    def _ahead(self) -> int:
        """How many rows wait behind those at hand."""
        reading = self._reading
        if reading is None or not reading.done() or reading.cancelled() or reading.exception():
            return 0
        rows = reading.result()
        return 0 if rows is None else len(rows)

    async def _next(self, rows: int) -> Rows | None:
        if self._returning is not None:
            await asyncio.shield(self._returning)
        return await self._source.next(rows)

    async def _return(
        self,
        reading: asyncio.Task[Rows | None] | None,
        before: asyncio.Task[None] | None,
        last: Rows | None,
    ) -> None:
        await self._leave(reading, before)
        self._source.go_back(last)

    async def _leave(
        self, reading: asyncio.Task[Rows | None] | None, before: asyncio.Task[None] | None
    ) -> None:
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if before is not None:  # it takes long: where that one goes back to is of no interest now
            await asyncio.gather(before, return_exceptions=True)
        await self._source.let_go()
