"""Stored bars: their relations, and all resolutions made of trades at once. No database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qd_schemas.arrays import BAR, Rows
from qd_schemas.bars import CHAIN, Resampler, bar_ends, bar_starts
from qd_store.relations import BAR_TABLES

__all__ = ["BAR_TABLES", "STORED_BAR", "BarLadder", "resume_starts", "resumed"]

STORED_BAR: Final[np.dtype[np.void]] = np.dtype(
    [*((name, BAR[name]) for name in BAR.names or ()), ("trades", "<i8"), ("last_sequence", "<i8")]
)
"""A bar as it is stored: with how many trades made it, and the last one's sequence."""


class BarLadder:
    """Makes the bars of all resolutions out of one market's trades, with their counts.

    Parameters
    ----------
    trades : int
        How many trades came before.
    state : ndarray of BAR, optional
        The state of a `Resampler` of years that took them; needed where there were any.
    done : sequence of int, optional
        For each resolution, the last sequence of the bar before the unfinished one.
    """

    def __init__(
        self, trades: int = 0, state: Rows | None = None, done: Sequence[int] | None = None
    ) -> None:
        self._trades = trades
        self._resampler = Resampler(CHAIN[-1], state)
        self._done = list(done or [0] * len(CHAIN))

    def feed(self, rows: Rows) -> list[Rows]:
        """Take trades that follow those taken so far; return the bars they finish.

        Parameters
        ----------
        rows : ndarray
            With fields time, price and volume, in sequence order, of any number.

        Returns
        -------
        list of ndarray of STORED_BAR
            One array for each resolution of `CHAIN`.
        """
        finished = self._resampler.feed_levels(rows)
        times = np.ascontiguousarray(rows["time"])
        found = [self._counted(level, bars, times) for level, bars in enumerate(finished)]
        self._trades += len(rows)
        return found

    def unfinished(self) -> list[Rows]:
        """The bars that may go on, as they are so far; the same shape, one row or none each."""
        levels = Resampler(CHAIN[-1], self._resampler.state).finish_levels()
        nothing = np.empty(0, np.int64)
        kept = list(self._done)
        found = [self._counted(level, bars, nothing) for level, bars in enumerate(levels)]
        self._done = kept
        return found

    def _counted(self, level: int, bars: Rows, times: NDArray[np.int64]) -> Rows:
        counted = np.empty(len(bars), STORED_BAR)
        if not len(bars):
            return counted
        for name in BAR.names or ():
            counted[name] = bars[name]
        ends = bar_ends(CHAIN[level], np.ascontiguousarray(bars["time"]))
        counted["last_sequence"] = self._trades + np.searchsorted(times, ends)
        counted["trades"] = np.diff(counted["last_sequence"], prepend=self._done[level])
        self._done[level] = int(counted["last_sequence"][-1])
        return counted


def resumed(trades: int, last_time: int, bars: Sequence[Rows]) -> BarLadder:
    """A ladder that goes on from stored bars.

    Parameters
    ----------
    trades : int
        How many trades made them.
    last_time : int
        The last one's time.
    bars : sequence of ndarray of STORED_BAR
        For each resolution of `CHAIN` the bars from `resume_starts` on.
    """
    now = np.array([last_time], np.int64)
    resampler = Resampler(CHAIN[-1])
    finer = list(zip(CHAIN, bars, strict=True))
    for resolution, rows in reversed(finer[:-1]):
        complete = rows[rows["time"] < bar_starts(resolution, now)[0]]
        resampler.feed_bars(resolution, _plain(complete))
    state = resampler.state
    state[0] = _plain(bars[0][-1:])[0]  # a minute's sum goes on from where it was
    done = [int(rows["last_sequence"][-1] - rows["trades"][-1]) for rows in bars]
    return BarLadder(trades, state, done)


def resume_starts(last_time: int) -> list[int]:
    """From when on `resumed` needs the bars of each resolution: those of an unfinished one."""
    now = np.array([last_time], np.int64)
    coarser = (*CHAIN[1:], CHAIN[-1])
    return [int(bar_starts(resolution, now)[0]) for resolution in coarser]


def _plain(rows: Rows) -> Rows:
    bars = np.empty(len(rows), BAR)
    for name in BAR.names or ():
        bars[name] = rows[name]
    return bars
