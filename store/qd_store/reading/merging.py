"""Rows of several markets in one time order, in constant memory.

Each market's rows come in pages. Given out is what lies before the earliest time up to which
all markets have been read, sorted at once; no row is looked at by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import numpy as np

from qd_schemas.arrays import Rows

PAGES_ROWS_MAX: Final = 1_048_576  # of all markets together: some 40 MB
PAGE_ROWS_MIN: Final = 1_024
PAGE_ROWS_MAX: Final = 32_768


def page_rows_of(markets: int) -> int:
    """How many rows of each market to read at a time."""
    return min(max(PAGES_ROWS_MAX // markets, PAGE_ROWS_MIN), PAGE_ROWS_MAX)


async def merged(
    sources: Sequence[tuple[int, AsyncGenerator[Rows]]], dtype: np.dtype[np.void]
) -> AsyncGenerator[Rows]:
    """Merge sources of rows that are each in time order.

    Parameters
    ----------
    sources : sequence of (int, async generator of ndarray)
        What goes into the field ``market``, and the rows, which have a field ``time``. Rows
        of equal time come in the order of the sources. They are read one at a time.
    dtype : numpy.dtype
        Of the merged rows: ``market`` and the fields of the sources' rows.

    Yields
    ------
    numpy.ndarray of `dtype`
        Never empty.
    """
    cursors = [_Cursor(market, rows, dtype) for market, rows in sources]
    while cursors:
        for cursor in cursors:
            await cursor.fill()
        cursors = [cursor for cursor in cursors if len(cursor.rows)]
        bounds = [int(cursor.rows["time"][-1]) for cursor in cursors if not cursor.has_ended]
        if not bounds:
            break
        bound = min(bounds)
        parts = [cursor.take_before(bound) for cursor in cursors if cursor.begins < bound]
        if parts:
            yield _sorted(parts)
            continue
        for cursor in cursors:  # a page of one time: these rows, market after market
            async for rows in cursor.take_at(bound):
                yield rows
    if cursors:
        yield _sorted([cursor.rows for cursor in cursors])


class _Cursor:
    """Where the merge is in one source."""

    def __init__(self, market: int, source: AsyncGenerator[Rows], dtype: np.dtype[np.void]) -> None:
        self._market = market
        self._source = source
        self._enough = 1
        self.rows: Rows = np.empty(0, dtype)
        self.begins = 0
        self.has_ended = False

    async def fill(self) -> None:
        """Have half a page of rows, of two times, at hand, where one more page gives them.

        Less than a page, since the market with the fewest rows at hand decides how many of
        the others' can be given.
        """
        if self.has_ended:
            return
        times = self.rows["time"]
        if len(times) >= self._enough and times[0] != times[-1]:
            return
        page = await anext(self._source, None)
        if page is None:
            self.has_ended = True
            return
        self._enough = max(len(page) // 2, 1)
        rows = np.empty(len(page), self.rows.dtype)
        rows["market"] = self._market
        for name in page.dtype.names or ():
            rows[name] = page[name]
        self._keep(np.concatenate((self.rows, rows)))

    def take_before(self, time: int) -> Rows:
        """Give out the rows before a time."""
        return self._take(int(np.searchsorted(self.rows["time"], time)))

    async def take_at(self, time: int) -> AsyncGenerator[Rows]:
        """Give out all rows of the earliest time, if it is this one."""
        while count := int(np.searchsorted(self.rows["time"], time, side="right")):
            yield self._take(count)
            await self.fill()

    def _take(self, count: int) -> Rows:
        taken = self.rows[:count]
        self._keep(self.rows[count:])
        return taken

    def _keep(self, rows: Rows) -> None:
        self.rows = rows
        self.begins = int(rows["time"][0]) if len(rows) else self.begins


def _sorted(parts: list[Rows]) -> Rows:
    rows = np.concatenate(parts)
    return rows if len(parts) < 2 else rows[np.argsort(rows["time"], kind="stable")]
