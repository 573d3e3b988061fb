"""Where intervals end among the events of a replay. Pure.

A mark divides its instant: bars that close then belong to the interval that ends, trades at
that instant to the next one. Keys say so: twice the time, and one more for such a trade.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qd_client.replay.events import Bars, IntervalEnd, Market, Times
from qd_client.replay.merge import Keys
from qd_schemas.bars import bar_ends, bar_starts
from qd_schemas.enums import Resolution


class Marks:
    """The intervals of a replay, one after the other.

    Parameters
    ----------
    every : Resolution or None
        How long they are; None marks nothing.
    """

    def __init__(self, every: Resolution | None) -> None:
        self._every = every
        self._open: tuple[int, int] | None = None

    def keys_of(self, market: Market, times: Times) -> Keys:
        """What a market's events are ordered by."""
        keys = 2 * times
        if self._every is not None and not isinstance(market, Bars):
            keys += bar_starts(self._every, times) == times
        return keys

    def ends_of(self, keys: Keys) -> Times | None:
        """The end of the interval that each key belongs to; None where nothing is marked."""
        if self._every is None:
            return None
        latest = (keys + 1) // 2 - 1  # the last microsecond that must be within
        return bar_ends(self._every, bar_starts(self._every, latest))

    def before(self, end: int) -> list[IntervalEnd]:
        """The marks that come before the first event of an interval that ends then."""
        assert self._every is not None
        start = int(bar_starts(self._every, np.array([end - 1], np.int64))[0])
        marks = self.rest() if self._open and self._open[1] != end else []
        if marks and marks[0].end < start:
            marks.append(IntervalEnd(marks[0].end, start, True))
        self._open = (start, end)
        return marks

    def rest(self) -> list[IntervalEnd]:
        """The mark of the last interval."""
        marks = [IntervalEnd(*self._open, False)] if self._open else []
        self._open = None
        return marks


def changes(ends: Times | None) -> NDArray[np.bool_] | None:
    """True where an interval ends between this event and the next."""
    return None if ends is None else ends[1:] != ends[:-1]
