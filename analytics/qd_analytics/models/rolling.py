"""The context of a market by calendar periods: root -> years -> ..., each with its data.

It rolls with the stream and knows nothing of rules. Bars enter it when their period is
over; the forming period shows its open only, the one level that no later trade can change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qd_analytics.causal.context import Context, IndexName
from qd_analytics.causal.contextoid import Datoid, Relation, Root, Tempoid, TimeScale
from qd_analytics.causal.errors import SavedModelError
from qd_analytics.causal.saved_values import entries, number, whole
from qd_analytics.errors import StateUnusable
from qd_analytics.models.bars import Bar
from qd_analytics.models.calendar import Period, Unit

PERIODS_KEPT: Final = 600
"""Of the shortest scale: fifty years of months, a year and a half of days."""

_ROOT: Final = 0


@dataclass(frozen=True, slots=True)
class Lookback:
    """What a context also holds: numbers made of the last finished bars.

    Attributes
    ----------
    name : str
        The name of the node that has them.
    bars : int
        How many bars; before there are so many, the node has no numbers.
    derive : callable
        Of these bars, oldest first, and the current period's open, to the numbers. Pure.
    """

    name: str
    bars: int
    derive: Callable[[Sequence[Bar], float], Mapping[str, float]]


@dataclass(slots=True)
class _Forming:
    """A unit that is not over: its nodes, and its bar so far."""

    unit: Unit
    node: int
    data_node: int
    open: float
    high: float
    low: float
    close: float

    @property
    def bar(self) -> Bar:
        """Its bar so far."""
        return Bar(self.open, self.high, self.low, self.close)

    def take(self, bar: Bar) -> None:
        """Be of this bar from now on."""
        self.open, self.high, self.low, self.close = bar.values()


@dataclass(frozen=True, slots=True)
class _Names:
    current: IndexName
    previous: IndexName


class RollingContext:
    """The rolling context of one market; `context` is what rules read.

    Parameters
    ----------
    period : Period
        How often it rolls.
    lookback : Lookback, optional
        What it also holds.

    Attributes
    ----------
    refused : str
        Why the lookback's numbers could not be made; empty where they could.
    """

    def __init__(self, period: Period, lookback: Lookback | None = None) -> None:
        self.context = Context(f"{period.value}s")
        self.context.add(Root(_ROOT))
        self.refused = ""
        self._period = period
        self._lookback = lookback
        self._names = [
            _Names(IndexName.current(scale), IndexName.previous(scale)) for scale in period.scales
        ]
        self._forming: list[_Forming] = []
        self._next_id = _ROOT + 1
        self._kept: deque[tuple[int, int]] = deque()  # nodes of the shortest scale
        self._bars: dict[TimeScale, dict[int, Bar]] = {scale: {} for scale in period.scales}
        self._recent: deque[Bar] = deque(maxlen=lookback.bars if lookback else 1)
        if lookback is not None:
            node = self._add_under(_ROOT, Relation.DATIAL, Datoid(self._next_id))
            self.context.point(lookback.name, node)

    def begin(self, number: int, bar: Bar) -> None:
        """Roll, in one step: the current period is over and becomes the previous one.

        Parameters
        ----------
        number : int
            Of the new period, later than the current one.
        bar : Bar
            Of its first trade.
        """
        with self.context.changing():
            self._roll(self._period.units(number), bar)

    def extend(self, high: float, low: float, close: float) -> None:
        """Take the current period's trades into its bar, after they were evaluated."""
        forming = self._forming[-1]
        if high > forming.high:
            forming.high = high
        if low < forming.low:
            forming.low = low
        forming.close = close

    def _roll(self, units: Sequence[Unit], bar: Bar) -> None:
        over = self._forming
        if over:
            # Longer units learn of a period when it is over.
            for longer in over[:-1]:
                longer.take(longer.bar.followed_by(over[-1].bar))
            self._look_back(over[-1].bar, bar.open)
        forming: list[_Forming] = []
        parent = _ROOT
        for at, unit in enumerate(units):
            before = over[at] if over else None
            if before is not None and before.unit == unit:
                begun = before
            else:
                begun = self._begun(at, before, unit, bar, parent)
            forming.append(begun)
            parent = begun.node
        self._forming = forming

    def _begun(self, at: int, over: _Forming | None, unit: Unit, bar: Bar, parent: int) -> _Forming:
        """Complete the unit that is over, add the new one, and move the index."""
        context, names = self.context, self._names[at]
        if over is not None:
            context.update(Datoid(over.data_node, over.bar.data()))
            self._bars[unit.scale][over.unit.number] = over.bar
        node = self._add_under(
            parent, Relation.TEMPORAL, Tempoid(self._next_id, unit.scale, unit.label)
        )
        data_node = self._add_under(
            node, Relation.DATIAL, Datoid(self._next_id, {"open": bar.open})
        )
        # The previous unit is the calendar one just before; if it had no trades, none.
        follows = over is not None and over.unit.number == unit.number - 1
        context.point(names.previous, over.node if over is not None and follows else None)
        context.point(names.current, node)
        if at == len(self._names) - 1:
            self._keep(node, data_node)
        return _Forming(unit, node, data_node, *bar.values())

    def _keep(self, node: int, data_node: int) -> None:
        self._kept.append((node, data_node))
        if len(self._kept) > PERIODS_KEPT:
            for old in self._kept.popleft():
                self.context.remove(old)
            bars = self._bars[self._period.scales[-1]]
            del bars[min(bars)]

    def _add_under(self, parent: int, how: Relation, node: Tempoid | Datoid) -> int:
        self.context.add(node)
        self.context.relate(parent, node.id, how)
        self._next_id += 1
        return node.id

    def _look_back(self, bar: Bar, current_open: float) -> None:
        if self._lookback is None:
            return
        self._recent.append(bar)
        if len(self._recent) < self._lookback.bars:
            return
        node = self.context.pointed(self._lookback.name)
        assert node is not None  # made with the context
        self.refused, numbers = "", {}
        try:
            derived = self._lookback.derive(tuple(self._recent), current_open)
            numbers = {name: float(value) for name, value in derived.items()}
        except Exception as error:  # users' code; what reads the numbers is an error then
            self.refused = f"making '{self._lookback.name}' raised {type(error).__name__}: {error}"
        self.context.update(Datoid(node, numbers))

    # Saved and restored

    def to_json(self) -> dict[str, Any]:
        """The bars of all units, the forming ones last."""
        return {
            scale.name: [
                *([number, *bar.values()] for number, bar in self._bars[scale].items()),
                *([f.unit.number, *f.bar.values()] for f in self._forming if f.unit.scale is scale),
            ]
            for scale in self._period.scales
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Bring a new context to where another was when it was saved.

        Raises
        ------
        StateUnusable
            The data are no context of these periods.
        """
        try:
            bars = {
                scale: {whole(n): Bar(*map(number, values)) for n, *values in entries(found)}
                for scale in self._period.scales
                for found in (saved[scale.name],)
            }
            for own in bars[self._period.scales[-1]]:
                units = self._period.units(own)
                self.begin(own, Bar(*bars[units[-1].scale][own].values()))
                for forming in self._forming:
                    forming.take(bars[forming.unit.scale][forming.unit.number])
        except (KeyError, TypeError, ValueError, SavedModelError) as error:
            raise StateUnusable(f"a saved context is damaged ({error!r:.200})") from None
