"""The context of a market by calendar months: root -> years -> months, each with its data.

It rolls with the stream and knows nothing of rules. Bars enter it when their month is
over; the forming month shows its open only, the one level that no later trade can change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.context import Absent, Context, IndexName
from qd_analytics.causal.contextoid import Datoid, Relation, Root, Tempoid, TimeScale

Prices = npt.NDArray[np.float64]

NAN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class Bar:
    """Open, high, low and close of the trades of a period so far."""

    open: float
    high: float
    low: float
    close: float

    @classmethod
    def of(cls, prices: Prices) -> Bar:
        """The bar of at least one price, in time order."""
        first, last = float(prices[0]), float(prices[-1])
        return cls(first, float(prices.max()), float(prices.min()), last)

    def followed_by(self, later: Bar) -> Bar:
        """The bar of this period and the next."""
        return Bar(self.open, max(self.high, later.high), min(self.low, later.low), later.close)

    def data(self) -> dict[str, float]:
        """The bar as a data node's numbers."""
        return {"open": self.open, "high": self.high, "low": self.low, "close": self.close}


@dataclass(frozen=True, slots=True)
class Levels:
    """The numbers that the current trades are held against; NaN where there are none."""

    previous_open: float
    previous_high: float
    previous_close: float
    current_open: float


@dataclass(slots=True)
class _Period:
    """A year or month that is forming: its nodes, and its bar so far."""

    number: int  # the year; or 12 * year + month - 1
    node: Tempoid
    data_node: int
    bar: Bar

    @classmethod
    def new(cls, number: int, node: Tempoid, price: float) -> _Period:
        return cls(number, node, node.id + 1, Bar(price, price, price, price))


class _Names(NamedTuple):
    current: IndexName
    previous: IndexName


_YEAR: Final = _Names(IndexName.CURRENT_YEAR, IndexName.PREVIOUS_YEAR)
_MONTH: Final = _Names(IndexName.CURRENT_MONTH, IndexName.PREVIOUS_MONTH)


class MonthlyContext:
    """The rolling context of one market; `context` is what rules read."""

    def __init__(self) -> None:
        self.context = Context("months")
        self.context.add(Root(0))
        self._month: _Period | None = None
        self._year: _Period | None = None

    def begin_month(self, number: int, first_price: float) -> None:
        """Roll, in one step: the current month is over and becomes the previous one.

        Parameters
        ----------
        number : int
            ``12 * year + month - 1``, later than the current one.
        first_price : float
            The new month's open.
        """
        year, month = divmod(number, 12)
        if self._year is None or self._year.number != year:
            node = Tempoid(self.context.size, TimeScale.YEAR, year)
            self._year = self._rolled(_YEAR, self._year, _Period.new(year, node, first_price), 0)
        node = Tempoid(self.context.size, TimeScale.MONTH, 100 * year + month + 1)
        begun = _Period.new(number, node, first_price)
        self._month = self._rolled(_MONTH, self._month, begun, self._year.node.id)

    def extend(self, prices: Prices) -> None:
        """Take the current month's trades into its forming bar, after they were evaluated."""
        bar = Bar.of(prices)
        for period in (self._month, self._year):
            if period is not None:
                period.bar = period.bar.followed_by(bar)

    def levels(self) -> Levels:
        """What rules read now."""
        previous, current = IndexName.PREVIOUS_MONTH, IndexName.CURRENT_MONTH
        return Levels(
            self._level(previous, "open"),
            self._level(previous, "high"),
            self._level(previous, "close"),
            self._level(current, "open"),
        )

    def _level(self, name: IndexName, field: str) -> float:
        value = self.context.read(name, field)
        return NAN if isinstance(value, Absent) else value

    def _rolled(self, names: _Names, over: _Period | None, begun: _Period, under: int) -> _Period:
        """Complete the period that is over, add the new one, and move the index."""
        context = self.context
        if over is not None:
            context.update(Datoid(over.data_node, over.bar.data()))
        context.add(begun.node)
        context.add(Datoid(begun.data_node, {"open": begun.bar.open}))
        context.relate(under, begun.node.id, Relation.TEMPORAL)
        context.relate(begun.node.id, begun.data_node, Relation.DATIAL)
        # The previous period is the calendar one just before; if it had no trades, none.
        follows = over is not None and over.number == begun.number - 1
        context.point(names.previous, over.node.id if over is not None and follows else None)
        context.point(names.current, begun.node.id)
        return begun
