"""When the rows of a paced replay are due. Pure: the clock's readings are passed in.

A trade is due at its time, a bar when it is over. The replay's time begins with its first row,
a bar's with the bar's start; so trades and bars that are asked for together stay together, and
no bar is told before the trades that it is made of.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qd_gateway.core.plans import StreamPlan
from qd_schemas.arrays import Rows
from qd_schemas.bars import bar_ends

_US_PER_SECOND = 1_000_000


class Pacer:
    """Maps the time of the data to the time of the clock.

    Parameters
    ----------
    pace : float
        0 as fast as possible, 1 real time, N times real time.
    """

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._first_us: int | None = None
        self._started_s = 0.0

    def begin(self, time_us: int, now_s: float) -> None:
        """The data's time is that now; only the first call counts."""
        if self._first_us is None:
            self._first_us, self._started_s = time_us, now_s

    def due(self, times: NDArray[np.int64], now_s: float) -> int:
        """How many of the rows, in time order, are due at `now_s`.

        Parameters
        ----------
        times : array of int64
            When they are due, in microseconds since the epoch.
        """
        if self._pace == 0 or self._first_us is None:
            return len(times)
        passed_us = (now_s - self._started_s) * self._pace * _US_PER_SECOND
        # Compared as offsets: float64 holds those exactly, times since the epoch it would not.
        return int(np.searchsorted(times - self._first_us, passed_us, side="right"))

    def wait_s(self, time_us: int, now_s: float) -> float:
        """Seconds from `now_s` until a row is due at that time of the data, 0 or more."""
        if self._pace == 0 or self._first_us is None:
            return 0.0
        due_s = self._started_s + (time_us - self._first_us) / _US_PER_SECOND / self._pace
        return max(due_s - now_s, 0.0)


def due_times(plan: StreamPlan, rows: Rows) -> NDArray[np.int64]:
    """When trades were made, or bars are over: microseconds since the epoch."""
    times = np.ascontiguousarray(rows["time"])
    return bar_ends(plan.resolution, times) if plan.is_bars else times
