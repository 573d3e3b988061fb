"""When the rows of a paced replay are due. Pure: the clock's readings are passed in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_US_PER_SECOND = 1_000_000


class Pacer:
    """Maps the time of the data to the time of the clock; the first row is due at once.

    Parameters
    ----------
    pace : float
        0 as fast as possible, 1 real time, N times real time.
    """

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._first_us: int | None = None
        self._started_s = 0.0

    def due(self, times: NDArray[np.int64], now_s: float) -> int:
        """How many of the rows, in time order, are due at `now_s`.

        Parameters
        ----------
        times : array of int64
            Microseconds since the epoch.
        """
        if self._pace == 0 or len(times) == 0:
            return len(times)
        if self._first_us is None:
            self._first_us, self._started_s = int(times[0]), now_s
        passed_us = (now_s - self._started_s) * self._pace * _US_PER_SECOND
        # Compared as offsets: float64 holds those exactly, times since the epoch it would not.
        return int(np.searchsorted(times - self._first_us, passed_us, side="right"))

    def wait_s(self, time_us: int, now_s: float) -> float:
        """Seconds from `now_s` until a row of that time is due, 0 or more."""
        if self._pace == 0 or self._first_us is None:
            return 0.0
        due_s = self._started_s + (time_us - self._first_us) / _US_PER_SECOND / self._pace
        return max(due_s - now_s, 0.0)


def times_of(rows: NDArray[Any]) -> NDArray[np.int64]:
    """The time column of trades or bars."""
    times: NDArray[np.int64] = rows["time"]
    return times
