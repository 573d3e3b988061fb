"""What a picture of a backtest shows: the price by columns of time, the levels, the alerts. Pure.

However many trades there are, a chart holds a few numbers for each of its columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from qd_analytics.market_run import Judged
from qd_analytics.models.protocol import LEVELS_MAX
from qd_schemas.arrays import Rows
from qd_schemas.enums import Signal
from qd_schemas.messages import BreakoutAlert

COLUMNS_DEFAULT: Final = 1_200
LOGARITHMIC_MIN: Final = 8.0
"""How many times the lowest price the highest is where the scale is logarithmic."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mark:
    """An alert in a chart: when, at which price, and whether the signal rose."""

    time: int
    price: float
    rose: bool


class Chart:
    """A chart while it is being filled.

    Parameters
    ----------
    title : str
        What it is of.
    level_names : tuple of str
        What the model's levels are.
    start, end : int
        The range of time that is shown, the end exclusive; microseconds since the epoch.
    columns : int
        Into how many the time is cut.

    Attributes
    ----------
    low, high, close : ndarray of float64, shape (columns,)
        The price in each column; NaN where nothing was traded.
    levels : ndarray of float64, shape (levels, columns)
        What the column's last trade was held against.
    marks : list of Mark
        The alerts, in order.
    """

    def __init__(
        self,
        title: str,
        level_names: tuple[str, ...],
        start: int,
        end: int,
        columns: int = COLUMNS_DEFAULT,
    ) -> None:
        self.title = title
        self.level_names = level_names[:LEVELS_MAX]
        self.start, self.end = start, max(end, start + 1)
        self.columns = columns
        self.low: Numbers = np.full(columns, np.nan)
        self.high: Numbers = np.full(columns, np.nan)
        self.close: Numbers = np.full(columns, np.nan)
        self.levels: Numbers = np.full((len(self.level_names), columns), np.nan)
        self.marks: list[Mark] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is no trade in its time."""
        return bool(np.isnan(self.close).all())

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest of all prices and levels; there must be a trade."""
        low, high = np.append(self.low, self.levels), np.append(self.high, self.levels)
        return float(np.nanmin(low)), float(np.nanmax(high))

    @property
    def is_logarithmic(self) -> bool:
        """Whether the prices are so far apart that the lower ones would be one line."""
        low, high = self.bounds
        return low > 0 and high >= LOGARITHMIC_MIN * low

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """The middle of each column, microseconds since the epoch."""
        middles = (np.arange(self.columns) + 0.5) / self.columns * (self.end - self.start)
        return self.start + middles.astype(np.int64)

    def column(self, time: int) -> int:
        """Which column shows a time."""
        return int((time - self.start) * self.columns // (self.end - self.start))

    def add(self, judged: Judged) -> None:
        """Take in what a model said of an array of trades."""
        times = judged.rows["time"]
        first, stop = np.searchsorted(times, [self.start, self.end]).tolist()
        if first < stop:
            self._prices(judged, judged.rows[first:stop], first)
        self.marks += [_mark(alert) for alert in judged.alerts if self._shows(alert.date_time)]

    def _shows(self, time: int) -> bool:
        return self.start <= time < self.end

    def _prices(self, judged: Judged, rows: Rows, first: int) -> None:
        share = self.columns / (self.end - self.start)
        column = ((rows["time"] - self.start) * share).astype(np.intp)
        np.minimum(column, self.columns - 1, out=column)
        begins = np.concatenate(([0], np.flatnonzero(column[1:] != column[:-1]) + 1))
        at = column[begins]
        price = np.ascontiguousarray(rows["price"])
        self.low[at] = np.fmin(self.low[at], np.minimum.reduceat(price, begins))
        self.high[at] = np.fmax(self.high[at], np.maximum.reduceat(price, begins))
        ends = np.append(begins[1:], len(rows)) - 1
        self.close[at] = price[ends]
        for place, end in zip(at.tolist(), ends.tolist(), strict=True):
            levels = judged.evaluation.levels(first + end)
            self.levels[:, place] = levels[: len(self.level_names)]


def _mark(alert: BreakoutAlert) -> Mark:
    return Mark(alert.date_time, alert.price, alert.signal == Signal.ROSE)
