"""Bars out of trades: pure arrays, no database.

The calendar is UTC. A bar covers ``[start, next start)``: minutes, hours and days are counted
from the epoch, months and years are the calendar's. There is no bar where nothing was traded.

Open and close are the first and last price in sequence order, high and low the extremes.
A volume is a sum from left to right, one f64 addition a summand, starting from 0.0: a minute
sums its trades in sequence order, and every coarser bar the bars of the next finer resolution
(`CHAIN`) in time order. So it depends on the trades alone, not on how they were cut into
batches; it equals what ``sum(volume ORDER BY time)`` makes of the finer bars in a database, to
the last bit; and a year's error grows with some hundred additions, not with millions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qd_schemas.arrays import BAR, Rows
from qd_schemas.enums import Resolution

CHAIN: Final = (
    Resolution.M1,
    Resolution.M5,
    Resolution.M15,
    Resolution.M30,
    Resolution.H1,
    Resolution.D1,
    Resolution.MO1,
    Resolution.Y1,
)
"""All resolutions; the bars of each are made of those of the one before, M1 of trades."""

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
_NO_TIME: Final = -(2**63)  # of what stands for no bar in a state
_NO_BARS: Final[Rows] = np.empty(0, BAR)
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


def bar_ends(resolution: Resolution, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where bars end, which is where the next ones may start; units as in `bar_starts`."""
    if resolution in _WIDTH_US:
        ends: NDArray[np.int64] = starts + _WIDTH_US[resolution]
        return ends
    units = starts.view("datetime64[us]").astype(_CALENDAR[resolution]) + 1
    return units.astype("datetime64[us]").view(np.int64)


def bar_start_at_or_after(resolution: Resolution, time: int | None) -> int | None:
    """The first bar start that is not before a time; None stays None.

    Times beyond the years 1 to 9999 stand for the first and last of them.
    """
    if time is None:
        return None
    time = min(max(time, _TIME_MIN_US), _TIME_MAX_US)
    start = bar_starts(resolution, np.array([time], np.int64))
    return time if start[0] == time else int(bar_ends(resolution, start)[0])


class Resampler:
    """Makes bars of trades that come in batches of any size.

    Its state is one unfinished bar for each resolution up to its own. A bar is given when a
    trade of a later one has been seen, or by `finish`.

    Parameters
    ----------
    resolution : Resolution
        Any but NONE.
    state : ndarray of BAR, optional
        The `state` of another one of this resolution, to go on from.

    Raises
    ------
    ValueError
        The resolution is NONE, or the state is of another resolution.
    """

    def __init__(self, resolution: Resolution, state: Rows | None = None) -> None:
        bar_starts(resolution, np.empty(0, np.int64))  # refuse a wrong one now
        chain = CHAIN[: CHAIN.index(resolution) + 1]
        if state is not None and len(state) != len(chain):
            raise ValueError(
                f"a state of {len(state)} bars; expected {len(chain)}, one for each of "
                f"{', '.join(level.label for level in chain)}"
            )
        opens = [_NO_BARS] * len(chain) if state is None else np.split(state, len(chain))
        self._levels = [_Level(level, given) for level, given in zip(chain, opens, strict=True)]

    @property
    def state(self) -> Rows:
        """The unfinished bars of all levels, for another one to go on from."""
        return np.concatenate([level.saved for level in self._levels])

    @property
    def unfinished(self) -> Rows:
        """The bar that may go on, as it is so far: an array of one, or of none."""
        return Resampler(self._levels[-1].resolution, self.state).finish()

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
        return self.feed_levels(trades)[-1]

    def feed_levels(self, trades: Rows) -> list[Rows]:
        """The same as `feed`, but return the finished bars of all resolutions, finest first."""
        if len(trades) == 0:
            return [_NO_BARS] * len(self._levels)
        return self._feed(_as_bars(trades), int(trades["time"][-1]), self._levels)

    def feed_bars(self, resolution: Resolution, bars: Rows) -> Rows:
        """Take complete bars, in place of the trades they were made of.

        Parameters
        ----------
        resolution : Resolution
            Theirs; a finer one than that of the bars to make.
        bars : ndarray of BAR
            In time order, following what was taken so far.

        Returns
        -------
        ndarray of BAR
            The bars they finish.

        Raises
        ------
        ValueError
            The resolution is not finer, or trades were taken of an unfinished bar of it.
        """
        above = CHAIN.index(resolution) + 1
        if above >= len(self._levels):
            own = self._levels[-1].resolution.label
            raise ValueError(f"bars of {own} cannot be made of bars of {resolution.label}")
        if any(len(level.open) for level in self._levels[:above]):
            raise ValueError(
                f"bars of {resolution.label} cannot follow trades of an unfinished one of them"
            )
        if len(bars) == 0:
            return _NO_BARS
        end = bar_start_at_or_after(resolution, int(bars["time"][-1]) + 1)
        assert end is not None  # as the time is not
        return self._feed(bars, end, self._levels[above:])[-1]

    def finish(self) -> Rows:
        """Return the last bar, if any, and forget all."""
        return self.finish_levels()[-1]

    def finish_levels(self) -> list[Rows]:
        """The same as `finish`, but return the last bars of all resolutions, finest first."""
        bars, all_bars = _NO_BARS, []
        for level in self._levels:
            bars = np.concatenate((level.feed(bars, None), level.take()))
            all_bars.append(bars)
        return all_bars

    def _feed(self, bars: Rows, now: int, levels: Sequence[_Level]) -> list[Rows]:
        all_bars = []
        for level in levels:
            bars = level.feed(bars, now)
            all_bars.append(bars)
        return all_bars


class _Level:
    """Makes the bars of one resolution out of finer ones."""

    def __init__(self, resolution: Resolution, saved: Rows) -> None:
        self.resolution = resolution
        self.open: Rows = saved[saved["time"] != _NO_TIME]

    @property
    def saved(self) -> Rows:
        """The unfinished bar, or one that stands for none."""
        if len(self.open):
            return self.open
        none = np.zeros(1, BAR)
        none["time"] = _NO_TIME
        return none

    def take(self) -> Rows:
        """Give up the unfinished bar."""
        bars, self.open = self.open, _NO_BARS
        return bars

    def feed(self, finer: Rows, now: int | None) -> Rows:
        """The bars that are over at the time `now`; None is before the end of the last one."""
        bars = self._joined(finer) if len(finer) else self.open
        if not len(bars):
            return bars
        current = bars["time"][-1] if now is None else self._start(now)
        over = len(bars) - int(bars["time"][-1] >= current)
        self.open = bars[over:].copy()
        return bars[:over]

    def _start(self, time: int) -> int:
        return int(bar_starts(self.resolution, np.array([time], np.int64))[0])

    def _joined(self, finer: Rows) -> Rows:
        """All bars of the unfinished one and the finer ones; the last may go on."""
        parts = np.concatenate((self.open, finer)) if len(self.open) else finer
        times = bar_starts(self.resolution, np.ascontiguousarray(parts["time"]))
        changes = times[1:] != times[:-1]
        first = np.flatnonzero(np.concatenate(([True], changes)))
        bars = np.empty(len(first), BAR)
        bars["time"] = times[first]
        bars["open"] = parts["open"][first]
        bars["high"] = np.maximum.reduceat(parts["high"], first)
        bars["low"] = np.minimum.reduceat(parts["low"], first)
        bars["close"] = parts["close"][np.append(first[1:], len(parts)) - 1]
        # From left to right; `np.add.reduceat` would add in pairs.
        which = np.concatenate(([0], np.cumsum(changes)))
        bars["volume"] = np.bincount(which, weights=parts["volume"])
        return bars


def _as_bars(trades: Rows) -> Rows:
    """Each trade as a bar of its own."""
    bars = np.empty(len(trades), BAR)
    bars["time"] = trades["time"]
    for price in ("open", "high", "low", "close"):
        bars[price] = trades["price"]
    bars["volume"] = trades["volume"]
    return bars
