"""Bars out of trades: pure arrays, no database.

The calendar is UTC. A bar covers ``[start, next start)``: minutes, hours and days are counted
from the epoch, months and years are the calendar's. There is no bar where nothing was traded.

Open and close are the first and last price in sequence order, high and low the extremes.
The volume is the sum from left to right in sequence order, one addition a trade starting
from 0.0, so that it depends on the trades alone, not on how they were cut into batches, and
equals what ``sum(volume ORDER BY sequence)`` gives in the database, to the last bit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from qd_schemas.arrays import BAR, Rows
from qd_schemas.enums import Resolution

_MINUTE_US: Final = 60_000_000
_WIDTH_US: Final = {
    Resolution.M1: _MINUTE_US,
    Resolution.M5: 5 * _MINUTE_US,
    Resolution.M15: 15 * _MINUTE_US,
    Resolution.M30: 30 * _MINUTE_US,
    Resolution.H1: 60 * _MINUTE_US,
    Resolution.D1: 1440 * _MINUTE_US,
}
# Years 1 to 9999: no trade is beyond, and no arithmetic on times within overflows.
_TIME_MIN_US: Final = -62_135_596_800_000_000
_TIME_MAX_US: Final = 253_402_300_800_000_000
_CALENDAR: Final = {Resolution.MO1: "datetime64[M]", Resolution.Y1: "datetime64[Y]"}


def bar_starts(resolution: Resolution, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """The start of the bar that each time falls into.

    Parameters
    ----------
    resolution : Resolution
        Any but NONE.
    times : ndarray of int64
        Microseconds since the epoch.

    Returns
    -------
    ndarray of int64
        Microseconds since the epoch.

    Raises
    ------
    ValueError
        The resolution is NONE.
    """
    if resolution in _WIDTH_US:
        width = _WIDTH_US[resolution]
        starts: NDArray[np.int64] = times // width * width
        return starts
    if resolution in _CALENDAR:
        units = times.view("datetime64[us]").astype(_CALENDAR[resolution])
        return units.astype("datetime64[us]").view(np.int64)
    raise ValueError(f"no bars of resolution {resolution!r}; expected one of 1m to 1y")


def bar_start_at_or_after(resolution: Resolution, time: int | None) -> int | None:
    """The first bar start that is not before a time; None stays None.

    Times beyond the years 1 to 9999 stand for the first and last of them.
    """
    if time is None:
        return None
    time = min(max(time, _TIME_MIN_US), _TIME_MAX_US)
    start = int(bar_starts(resolution, np.array([time], np.int64))[0])
    if start == time:
        return start
    if resolution in _WIDTH_US:
        return start + _WIDTH_US[resolution]
    unit = np.array([start], np.int64).view("datetime64[us]").astype(_CALENDAR[resolution])
    return int((unit + 1).astype("datetime64[us]").view(np.int64)[0])


class Resampler:
    """Makes bars of trades that come in batches of any size.

    Its state is one unfinished bar. A bar is given when a trade of a later one has been
    seen, or by `finish`.

    Parameters
    ----------
    resolution : Resolution
        Any but NONE.
    unfinished : ndarray of BAR, optional
        The `unfinished` bar of another one, to go on from.
    """

    def __init__(self, resolution: Resolution, unfinished: Rows | None = None) -> None:
        bar_starts(resolution, np.empty(0, np.int64))  # refuse a wrong one now
        self._resolution = resolution
        self._open: Rows = np.empty(0, BAR) if unfinished is None else unfinished

    @property
    def unfinished(self) -> Rows:
        """The bar that may go on: an array of one, or of none."""
        return self._open

    def feed(self, trades: Rows) -> Rows:
        """Take trades that follow those taken so far; return the bars they finish.

        Parameters
        ----------
        trades : ndarray of TRADE
            In sequence order, from any number of rows.

        Returns
        -------
        ndarray of BAR
        """
        if len(trades) == 0:
            return np.empty(0, BAR)
        bars = self._join(trades)
        self._open = bars[-1:].copy()
        return bars[:-1]

    def finish(self) -> Rows:
        """Return the last bar, if any, and forget it."""
        bars, self._open = self._open, np.empty(0, BAR)
        return bars

    def _join(self, trades: Rows) -> Rows:
        """All bars of the unfinished one and the trades; the last may go on."""
        times = bar_starts(self._resolution, np.ascontiguousarray(trades["time"]))
        prices = np.ascontiguousarray(trades["price"])
        first = np.flatnonzero(np.concatenate(([True], times[1:] != times[:-1])))
        bars = np.empty(len(first), BAR)
        bars["time"] = times[first]
        bars["open"] = prices[first]
        bars["high"] = np.maximum.reduceat(prices, first)
        bars["low"] = np.minimum.reduceat(prices, first)
        bars["close"] = prices[np.append(first[1:], len(prices)) - 1]
        carried = len(self._open) == 1 and self._open["time"][0] == bars["time"][0]
        bars["volume"] = self._volumes(trades, first, carried)
        if carried:
            bars["open"][0] = self._open["open"][0]
            bars["high"][0] = max(bars["high"][0], self._open["high"][0])
            bars["low"][0] = min(bars["low"][0], self._open["low"][0])
            return bars
        return np.concatenate((self._open, bars))

    def _volumes(self, trades: Rows, first: NDArray[np.intp], carried: bool) -> NDArray[np.float64]:
        """Sums from left to right; `np.add.reduceat` would add in pairs."""
        lengths = np.diff(np.append(first, len(trades)))
        which = np.repeat(np.arange(len(first)), lengths)
        volumes = trades["volume"]
        if carried:  # the sum so far comes first
            which = np.concatenate(([0], which))
            volumes = np.concatenate((self._open["volume"], volumes))
        sums: NDArray[np.float64] = np.bincount(which, weights=volumes).astype(np.float64)
        return sums
