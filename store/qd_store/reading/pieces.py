"""What must be read for a market's bars: stored ones as coarse as can be, then finer. Pure.

Stored bars are final up to the time `bars_time` of a trade: those whose interval ends by then
never change. The first piece of a query is of its own resolution, up to there. Each next one
is of the next finer resolution, up to where those are final, and the last one is trades. So a
year that is not over costs eleven months, thirty days, some hours and minutes, and the trades
of a minute; never all trades.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qd_schemas.bars import CHAIN, bar_start_at_or_after, bar_starts
from qd_schemas.enums import Resolution
from qd_store.reading.queries import BarQuery, Unfinished


@dataclass(frozen=True, slots=True)
class MarketState:
    """What is stored of a market at one moment; microseconds since the epoch.

    Attributes
    ----------
    trades : int
        How many trades.
    last_time : int
        The last one's.
    bars_time : int or None
        Up to which time stored bars are complete; None where there are none.
    """

    trades: int
    last_time: int
    bars_time: int | None

    def unfinished_start(self, resolution: Resolution) -> int:
        """The start of the one bar that is not final."""
        return _start(resolution, self.last_time)


@dataclass(frozen=True, slots=True)
class Piece:
    """Stored bars of a resolution, or trades where it is None, between times."""

    resolution: Resolution | None
    start_time: int | None
    end_time: int | None


def bar_range(query: BarQuery, state: MarketState) -> tuple[int | None, int | None]:
    """The times between which the bars of a query start."""
    start = bar_start_at_or_after(query.resolution, query.start_time)
    end = bar_start_at_or_after(query.resolution, query.end_time)
    if query.unfinished is Unfinished.LEFT_OUT:
        last = state.unfinished_start(query.resolution)
        end = last if end is None else min(end, last)
    return start, end


def bar_pieces(
    resolution: Resolution, times: tuple[int | None, int | None], state: MarketState
) -> list[Piece]:
    """What to read for the bars that start between two times, in time order."""
    start, end = times
    pieces = []
    if state.bars_time is not None:
        for level in reversed(CHAIN[: CHAIN.index(resolution) + 1]):
            final = _start(level, state.bars_time)
            stop = final if end is None else min(final, end)
            if start is None or start < stop:
                pieces.append(Piece(level, start, stop))
                start = stop
    if (end is None or start is None or start < end) and _is_reached(start, state):
        pieces.append(Piece(None, start, end))
    return pieces


def _is_reached(start: int | None, state: MarketState) -> bool:
    return start is None or start <= state.last_time


def _start(resolution: Resolution, time: int) -> int:
    return int(bar_starts(resolution, np.array([time], np.int64))[0])
