"""Models whose context rolls by the calendar: rules over the current and previous periods.

`PeriodModel` is what most models are made of: a causal model, how often its context rolls,
and which of the numbers that it reads alerts carry. It is complete as a `StreamModel`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.batch import evaluate_columns
from qd_analytics.causal.context import IndexName
from qd_analytics.causal.errors import SavedModelError
from qd_analytics.causal.evaluation import BatchEvaluation, Evaluation
from qd_analytics.causal.inputs import FromContext
from qd_analytics.causal.model import Model
from qd_analytics.causal.plan import Plan
from qd_analytics.causal.reading import NO_OVERLAY, Overlay, Refused, Snapshot, snapshot_of
from qd_analytics.causal.saved_values import whole
from qd_analytics.causal.single import evaluate_one
from qd_analytics.causal.states import Codes, State
from qd_analytics.errors import BadModel, StateUnusable
from qd_analytics.models.bars import Bar
from qd_analytics.models.calendar import Period
from qd_analytics.models.folding import Foldable, Folded, foldable
from qd_analytics.models.protocol import LEVELS_MAX, MODEL_ID_MAX, Index, Levels
from qd_analytics.models.rolling import PERIODS_KEPT, Lookback, RollingContext
from qd_schemas.arrays import Rows

DATA: Final = ("price", "volume")
"""What rules can read of a trade."""

_NAN: Final = float("nan")
_NEVER: Final = -(2**63)


@dataclass(frozen=True, slots=True, eq=False)
class PeriodModel:
    """Rules over a context that rolls by the calendar.

    Parameters
    ----------
    name : str
        What people call it.
    model : Model
        Its rules, its number in alerts, its version. They read ``price`` and ``volume`` of the
        trade, and of the context ``open`` of the current period and ``open``, ``high``, ``low``
        and ``close`` of the previous one: ``FromContext(period.previous, "close")``.
    period : Period
        How often the context rolls. The previous period is the calendar one just before; if it
        had no trades there is none, and what reads it is not evaluated. Contexts of the model's
        own are read whenever the context rolls.
    levels : tuple of FromContext
        Which numbers of the context alerts carry and plots draw, four at most.
    lookback : Lookback, optional
        Numbers made of the last finished bars, read by its name.
    """

    name: str
    model: Model
    period: Period
    levels: tuple[FromContext, ...] = ()
    lookback: Lookback | None = None

    def __post_init__(self) -> None:
        if not 0 < self.model.id <= MODEL_ID_MAX:
            raise BadModel(
                f"model {self.name!r} has the id {self.model.id}; expected 1 to {MODEL_ID_MAX}"
            )
        if len(self.levels) > LEVELS_MAX:
            raise BadModel(
                f"model {self.name!r} has {len(self.levels)} levels; "
                f"an alert has room for {LEVELS_MAX}"
            )
        if self.lookback is not None and not 0 < self.lookback.bars <= PERIODS_KEPT:
            raise BadModel(
                f"model {self.name!r} looks {self.lookback.bars} bars back; "
                f"expected 1 to {PERIODS_KEPT}"
            )
        for source in (*self.plan.inputs, *self.levels):
            self._check(source)

    def _check(self, source: object) -> None:
        if not isinstance(source, FromContext):
            if source not in DATA:
                raise BadModel(
                    f"a rule of model {self.name!r} reads {source!r}; "
                    f"of a trade there are {' and '.join(DATA)}"
                )
            return
        known: dict[object, tuple[str, ...]] = {}
        for scale in self.period.scales:
            known |= {IndexName.current(scale): ("open",), IndexName.previous(scale): Bar.FIELDS}
        if self.lookback is not None:
            known[self.lookback.name] = (source.field,)  # whatever `derive` makes
        own = {context.name for context in self.model.contexts}
        if source.context in own:
            return
        if source.context not in (None, f"{self.period.value}s") or source.index not in known:
            names = ", ".join(sorted(str(getattr(name, "value", name)) for name in known))
            raise BadModel(
                f"model {self.name!r} reads '{source}', but its context, which rolls by the "
                f"{self.period.value}, has {names}"
            )
        if source.field not in known[source.index]:
            raise BadModel(
                f"model {self.name!r} reads '{source}', which there is never; "
                f"that has {', '.join(known[source.index])}"
            )

    @property
    def id(self) -> int:
        """Its number in alerts."""
        return self.model.id

    @property
    def version(self) -> int:
        """Counts changes that make saved states useless."""
        return self.model.version

    @property
    def level_names(self) -> tuple[str, ...]:
        """What the levels are."""
        return tuple(str(level) for level in self.levels)

    @property
    def plan(self) -> Plan:
        """The order of evaluation."""
        return self.model.causaloid.plan()

    def market(self, saved: Mapping[str, Any] | None = None) -> PeriodMarket:
        """Begin with a market, or go on from a saved state."""
        return PeriodMarket(self, saved)

    def explain(self, price: float, levels: Sequence[float]) -> str:
        """A price against levels, in words."""
        known: dict[Any, float] = {"price": price}
        known |= dict(zip(self.levels, levels, strict=False))
        plan = self.plan
        snapshot = {
            place: known.get(source, Refused(f"the alert does not carry '{source}'"))
            for source, place in plan.from_contexts.items()
        }
        return evaluate_one(plan, known, snapshot).explain()

    def needs_from(self, time: int) -> int | None:
        """The start of the longest period that rules read, and of the one before it."""
        if self.lookback is not None:
            return None
        longest = min(
            (
                self.period.scales.index(scale)
                for scale in self.period.scales
                for source in (*self.plan.from_contexts, *self.levels)
                if source.index in (IndexName.current(scale), IndexName.previous(scale))
            ),
            default=len(self.period.scales) - 1,
        )
        period = Period(self.period.scales[longest].name.lower())
        return period.start(period.number(time) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The trades of one period within an evaluation: rows `start` to `stop` (exclusive)."""

    start: int
    stop: int
    levels: Levels
    snapshot: Snapshot
    states: Codes
    begins: bool


@dataclass(frozen=True, slots=True, eq=False)
class PeriodEvaluation:
    """What a `PeriodModel` says of an array of trades.

    Attributes
    ----------
    rows : TRADE array, shape (trades,)
        What was evaluated; not copied.
    states : ndarray of uint8, shape (trades,)
        `State` of each trade.
    segments : tuple of Segment
        The same by periods.
    """

    plan: Plan
    rows: Rows
    states: Codes
    segments: tuple[Segment, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def starts(self) -> Index:
        """Rows that are the first of a period."""
        rows = [segment.start for segment in self.segments if segment.begins]
        return np.array(rows, dtype=np.intp)

    def levels(self, row: int) -> Levels:
        """The levels that a trade was held against."""
        return self.segment(row).levels

    def record(self, segment: Segment) -> BatchEvaluation:
        """The whole record of a period's trades; made anew each time."""
        rows = self.rows[segment.start : segment.stop]
        columns = {name: rows[name] for name in DATA}
        return evaluate_columns(self.plan, columns, segment.snapshot)

    def failed(self) -> npt.NDArray[np.object_]:
        """For each trade the id of the first rule that is false; None where none is."""
        answer = np.full(len(self), None, dtype=object)
        for segment in self.segments:
            part, record = answer[segment.start : segment.stop], self.record(segment)
            for at in reversed(self.plan.top):
                part[record.codes[at] == State.FALSE] = self.plan.slots[at].id
        return answer

    def trade(self, row: int) -> Evaluation:
        """The record of one trade, rule by rule."""
        data = {name: float(self.rows[name][row]) for name in DATA}
        return evaluate_one(self.plan, data, self.segment(row).snapshot)

    def explain(self, row: int) -> str:
        """One trade in words: each rule with its numbers, and the rule that failed."""
        record, trade = self.trade(row), self.rows[row]
        head = f"trade {trade['sequence']} at {_utc(int(trade['time']))}, price {trade['price']}"
        failed = [node for node in record.nodes if node.state is State.FALSE]
        because = f", because not: {'; '.join(node.description for node in failed)}"
        return f"{head}: {record.state.label}{because if failed else ''}\n{record.explain()}"

    def segment(self, row: int) -> Segment:
        """The period that a row is in."""
        for segment in self.segments:
            if segment.start <= row < segment.stop:
                return segment
        raise IndexError(f"trade {row} of {len(self)}")


class PeriodMarket:
    """A `PeriodModel` at work on one market.

    Attributes
    ----------
    rolling : RollingContext
        What the rules read.
    period : int
        The number of the current period.
    """

    def __init__(self, model: PeriodModel, saved: Mapping[str, Any] | None = None) -> None:
        self.period = _NEVER
        self.rolling = RollingContext(model.period, model.lookback)
        self._model = model
        self._plan = model.plan
        self._foldable = _foldable(self._plan)
        self._needed = self._foldable.columns if self._foldable else DATA
        self._only_price = self._needed == ("price",)
        self._end = _NEVER
        self._folded: Folded | None = None
        self._snapshot: Snapshot = {}
        self._levels: Levels = ()
        if saved is not None:
            self._restore(saved)

    def evaluate(self, rows: Rows) -> PeriodEvaluation:
        """Evaluate the next trades, and take them into the context."""
        times = rows["time"]
        prices = np.ascontiguousarray(rows["price"])
        last = int(times[-1])
        segments: list[Segment] = []
        start = 0
        while start < len(rows):
            time = int(times[start])
            begins = time >= self._end
            if begins:
                self._roll(time, float(prices[start]))
            # Most arrays lie within one period; only the last time need be looked at then.
            stop = len(rows) if last < self._end else int(np.searchsorted(times, self._end))
            part = prices[start:stop]
            states = self._states(rows[start:stop], part)
            segments.append(Segment(start, stop, self._levels, self._snapshot, states, begins))
            high, low = np.maximum.reduce(part), np.minimum.reduce(part)
            self.rolling.extend(float(high), float(low), float(part[-1]))
            start = stop
        return PeriodEvaluation(self._plan, rows, _joined(segments), tuple(segments))

    def evaluate_trade(self, sequence: int, time: int, price: float, volume: float) -> State:
        """Evaluate one trade; the same answer as an array of it alone."""
        if time >= self._end:
            self._roll(time, price)
        folded = self._folded
        if folded is None or volume - volume != 0.0:
            data = {"price": price, "volume": volume}
            state = evaluate_one(self._plan, data, self._snapshot).state
        elif self._only_price:
            state = folded.one((price,))
        else:
            values = {"price": price, "volume": volume}
            state = folded.one([values[name] for name in self._needed])  # type: ignore[index]
        self.rolling.extend(price, price, price)
        return state

    def levels(self) -> Levels:
        """The levels that the last trade was held against."""
        return self._levels

    def to_json(self) -> Mapping[str, Any]:
        """All that is needed to go on."""
        if self.period == _NEVER:
            return {}
        return {"period": self.period, "bars": self.rolling.to_json()}

    def _restore(self, saved: Mapping[str, Any]) -> None:
        if not saved:
            return
        try:
            self.period = whole(saved["period"])
            self.rolling.restore(saved["bars"])
            self._end = self._model.period.start(self.period + 1)
        except (KeyError, ValueError, OverflowError, SavedModelError) as error:
            raise StateUnusable(
                f"the saved state of {self._model.name} is damaged ({error!r:.200})"
            ) from None
        self._read()

    def _roll(self, time: int, price: float) -> None:
        self.period = self._model.period.number(time)
        self._end = self._model.period.start(self.period + 1)
        self.rolling.begin(self.period, Bar(price, price, price, price))
        self._read()

    def _read(self) -> None:
        """Read what holds until the context rolls again."""
        contexts = (self.rolling.context, *self._model.model.contexts)
        self._snapshot = snapshot_of(self._plan.from_contexts, contexts, self._refused())
        self._levels = tuple(
            level if isinstance(level, float) else _NAN
            for level in (
                self.rolling.context.read(source.index, source.field)
                for source in self._model.levels
            )
        )
        self._folded = self._foldable.fold(self._snapshot) if self._foldable else None

    def _refused(self) -> Overlay:
        """What no rule may read: numbers that the model's own code could not make."""
        lookback, reason = self._model.lookback, self.rolling.refused
        if lookback is None or not reason:
            return NO_OVERLAY
        return {
            source: Refused(reason)
            for source in self._plan.from_contexts
            if source.index == lookback.name
        }

    def _states(self, rows: Rows, prices: npt.NDArray[np.float64]) -> Codes:
        if self._folded is not None:
            if self._only_price:
                return self._folded.many((prices,), len(prices))
            columns = [np.ascontiguousarray(rows[name]) for name in self._needed]
            if all(np.isfinite(column).all() for column in columns):
                return self._folded.many(columns, len(prices))
        columns_by_name = {"price": prices, "volume": rows["volume"]}
        return evaluate_columns(self._plan, columns_by_name, self._snapshot).states


@functools.lru_cache(maxsize=256)
def _foldable(plan: Plan) -> Foldable | None:
    return foldable(plan)


def _joined(segments: Sequence[Segment]) -> Codes:
    if len(segments) == 1:
        return segments[0].states
    return np.concatenate([np.zeros(0, dtype=np.uint8), *(s.states for s in segments)])


def _utc(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us')}Z"
