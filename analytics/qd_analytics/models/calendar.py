"""Periods of the UTC calendar: which one a time is in, and which longer ones hold it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from qd_analytics.causal.context import IndexName
from qd_analytics.causal.contextoid import TimeScale

TIME_MIN_US: Final = int(np.datetime64("0001-01-01", "us").astype(np.int64))
TIME_END_US: Final = int(np.datetime64("9999-12-01", "us").astype(np.int64))
"""Times from the first and before the second have a calendar."""

DAY_US: Final = 86_400_000_000
_THURSDAY: Final = 3  # the epoch's day of the week; ISO weeks begin on Mondays


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of the calendar: its scale, its number among those, and its name as digits.

    Attributes
    ----------
    number : int
        Counted from the one that holds the epoch, as `Period.number` does.
    label : int
        Such as 2024, 202401 or 20240131; of a week, the ISO year and week.
    """

    scale: TimeScale
    number: int
    label: int


class Period(Enum):
    """How often a context rolls. Weeks are those of ISO 8601, from Monday on."""

    YEAR = "year"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"

    @property
    def scales(self) -> tuple[TimeScale, ...]:
        """The scales of its context, coarsest first: the longer ones, then its own."""
        return _SCALES[self]

    def number(self, time: int) -> int:
        """The period that a time (microseconds since the epoch) is in."""
        if self is Period.DAY:
            return time // DAY_US
        if self is Period.WEEK:
            return (time // DAY_US + _THURSDAY) // 7
        return int(np.datetime64(time, "us").astype(_UNITS[self]).astype(np.int64))

    def start(self, number: int) -> int:
        """The first microsecond of a period."""
        if self is Period.DAY:
            return number * DAY_US
        if self is Period.WEEK:
            return (number * 7 - _THURSDAY) * DAY_US
        units = np.array([number], dtype=np.int64).view(_UNITS[self])
        return int(units.astype("M8[us]").astype(np.int64)[0])

    def units(self, number: int) -> tuple[Unit, ...]:
        """The units that hold a period, coarsest first, the period itself last."""
        # A week belongs to the year of its Thursday, as ISO 8601 has it.
        day = self.start(number) // DAY_US + (_THURSDAY if self is Period.WEEK else 0)
        date = np.datetime64(day, "D").item()
        year = Unit(TimeScale.YEAR, date.year - 1970, date.year)
        if self is Period.YEAR:
            return (year,)
        if self is Period.WEEK:
            week = date.isocalendar().week
            return (year, Unit(TimeScale.WEEK, number, 100 * date.year + week))
        months = 12 * year.number + date.month - 1
        month = Unit(TimeScale.MONTH, months, 100 * date.year + date.month)
        if self is Period.MONTH:
            return (year, month)
        return (year, month, Unit(TimeScale.DAY, number, 100 * month.label + date.day))

    @property
    def current(self) -> IndexName:
        """The index name of the period that trades are in."""
        return IndexName.current(self.scales[-1])

    @property
    def previous(self) -> IndexName:
        """The index name of the period just before it."""
        return IndexName.previous(self.scales[-1])


_SCALES: Final = {
    Period.YEAR: (TimeScale.YEAR,),
    Period.MONTH: (TimeScale.YEAR, TimeScale.MONTH),
    Period.WEEK: (TimeScale.YEAR, TimeScale.WEEK),
    Period.DAY: (TimeScale.YEAR, TimeScale.MONTH, TimeScale.DAY),
}
_UNITS: Final = {Period.YEAR: "M8[Y]", Period.MONTH: "M8[M]"}
