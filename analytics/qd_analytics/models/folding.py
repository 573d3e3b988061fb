"""Plans of comparisons, folded for the levels that hold now: a few limits on each column.

While a context does not change, all that rules read from it is constant. A graph whose rules
are comparisons and whose causes are joined by "all" then says: true where each of a few
comparisons holds. Both ways to evaluate, arrays and one trade, become that. What cannot be
folded is evaluated by the library itself, with the same answers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.comparison import Comparison, Sign
from qd_analytics.causal.context import Absent
from qd_analytics.causal.effects import EffectKind
from qd_analytics.causal.inputs import Key, Logic
from qd_analytics.causal.plan import Close, Plan
from qd_analytics.causal.reading import Snapshot
from qd_analytics.causal.states import FALSE, NONE, Codes, State

_TRUE: Final = State.TRUE  # looked up once: an enum's class takes a while to find a member

Column = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Compare = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A comparison: of single numbers, of arrays, and with its sides changed."""

    one: Compare
    many: Compare
    turned: str
    tightest: Callable[[float, float], float] | None


_KINDS: Final = {
    ">": _Kind(operator.gt, np.greater, "<", max),
    ">=": _Kind(operator.ge, np.greater_equal, "<=", max),
    "<": _Kind(operator.lt, np.less, ">", min),
    "<=": _Kind(operator.le, np.less_equal, ">=", min),
    "==": _Kind(operator.eq, np.equal, "==", None),
    "!=": _Kind(operator.ne, np.not_equal, "!=", None),
}
_SIGN_OF: Final[Mapping[object, str]] = {
    function: sign for sign, kind in _KINDS.items() for function in (kind.one, kind.many)
}
_SIGN_OF_LIMIT: Final = {sign: sign.value for sign in Sign}


@dataclass(frozen=True, slots=True)
class _Term:
    """One rule: a comparison of two inputs (by place), or of an input and a limit."""

    causes: tuple[int, ...]
    sign: str
    left: int
    right: int | float

    def constant(self, snapshot: Snapshot, side: int | float) -> Any:
        """What a side is where no observation is needed for it; None where one is."""
        return side if isinstance(side, float) else snapshot.get(side)


@dataclass(frozen=True, slots=True)
class Folded:
    """What is left of a plan while its context stays as it is.

    Attributes
    ----------
    met, unmet : State
        What the whole says where all comparisons hold, and where one does not.
    limits : tuple
        Comparisons of a column (by its place in `Foldable.columns`) with a number.
    pairs : tuple
        Comparisons of two columns.
    """

    met: State
    unmet: State
    limits: tuple[tuple[_Kind, int, float], ...] = ()
    pairs: tuple[tuple[_Kind, int, int], ...] = ()

    def one(self, values: Sequence[float]) -> State:
        """What the whole says of one observation; its values must be finite."""
        for kind, place, limit in self.limits:
            if not kind.one(values[place], limit):
                return self.unmet
        for kind, left, right in self.pairs:
            if not kind.one(values[left], values[right]):
                return self.unmet
        return self.met

    def many(self, columns: Sequence[Column], rows: int) -> Codes:
        """The same of arrays, as `State` values of shape (rows,)."""
        mask: Mask | None = None
        for kind, place, limit in self.limits:
            holds = kind.many(columns[place], limit)
            mask = holds if mask is None else np.logical_and(mask, holds, out=mask)
        for kind, left, right in self.pairs:
            holds = kind.many(columns[left], columns[right])
            mask = holds if mask is None else np.logical_and(mask, holds, out=mask)
        if mask is None:
            return np.full(rows, self.met, dtype=np.uint8)
        if self.met is _TRUE:
            return np.subtract(FALSE, mask.view(np.uint8))
        return np.where(mask, NONE, FALSE)


class Foldable:
    """A plan that can be folded. Make it with `foldable`.

    Attributes
    ----------
    columns : tuple of str or int
        The names in the data that it reads.
    """

    def __init__(self, plan: Plan, terms: Mapping[int, _Term]) -> None:
        self._terms = terms
        places = [p for p, source in enumerate(plan.inputs) if p not in plan.from_contexts.values()]
        self.columns: tuple[Key, ...] = tuple(plan.inputs[p] for p in places)  # type: ignore[misc]
        self._column_of = {place: at for at, place in enumerate(places)}

    def fold(self, snapshot: Snapshot) -> Folded | None:
        """The plan for what the contexts say now; None where only the library can tell."""
        if not all(isinstance(known, float | Absent) for known in snapshot.values()):
            return None  # a value that no rule may see
        closed: set[int] = set()
        limits: dict[tuple[str, int], float] = {}
        others: list[tuple[_Kind, int, float]] = []
        pairs: list[tuple[_Kind, int, int]] = []
        for slot, term in self._terms.items():
            left = term.constant(snapshot, term.left)
            right = term.constant(snapshot, term.right)
            if not closed.isdisjoint(term.causes) or Absent in (type(left), type(right)):
                closed.add(slot)
            elif left is None and right is None:
                assert isinstance(term.right, int)  # a number would be constant
                at = self._column_of[term.left], self._column_of[term.right]
                pairs.append((_KINDS[term.sign], *at))
            elif left is None:
                self._limit(limits, others, term.sign, term.left, right)
            elif right is None:
                assert isinstance(term.right, int)  # a number would be constant
                self._limit(limits, others, _KINDS[term.sign].turned, term.right, left)
            elif not _KINDS[term.sign].one(left, right):
                return Folded(State.FALSE, State.FALSE)
        met = State.NOT_EVALUATED if closed else State.TRUE
        held = [(_KINDS[sign], place, limit) for (sign, place), limit in limits.items()]
        return Folded(met, State.FALSE, (*held, *others), tuple(pairs))

    def _limit(
        self,
        limits: dict[tuple[str, int], float],
        others: list[tuple[_Kind, int, float]],
        sign: str,
        place: int,
        limit: float,
    ) -> None:
        """Of several limits of one kind on a column only the tightest matters."""
        column, kind = self._column_of[place], _KINDS[sign]
        if kind.tightest is None:
            others.append((kind, column, limit))
        else:
            key = (sign, column)
            limits[key] = kind.tightest(limits.get(key, limit), limit)


def foldable(plan: Plan) -> Foldable | None:
    """The plan as comparisons; None where it holds anything else."""
    rules = [at for at, slot in enumerate(plan.slots) if slot.rule is not None]
    around = [step for step in plan.steps if isinstance(step, Close)]
    nested = len(plan.slots) - len(rules) > 1
    if nested or any(step.logic is not Logic.ALL or step.valued for step in around):
        return None
    terms: dict[int, _Term] = {}
    for at in rules:
        term = _term(plan, at)
        if term is None:
            return None
        terms[at] = term
    return Foldable(plan, terms)


def _term(plan: Plan, at: int) -> _Term | None:
    slot = plan.slots[at]
    rule = slot.rule
    assert rule is not None  # only rules are asked for
    if not slot.asked or slot.late or slot.effect.kind is not EffectKind.TRUTH:
        return None
    if slot.join is not Logic.ALL and len(slot.causes) > 1:
        return None
    if isinstance(rule.function, Comparison):
        sign = _SIGN_OF_LIMIT[rule.function.sign]
        return _Term(slot.causes, sign, rule.inputs[0], float(rule.function.limit))
    try:
        found = _SIGN_OF.get(rule.function)
    except TypeError:  # a function that does not hash
        return None
    if found is None or len(rule.inputs) != 2:
        return None
    return _Term(slot.causes, found, *rule.inputs)
