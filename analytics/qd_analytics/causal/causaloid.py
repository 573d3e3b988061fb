"""Causaloids: one causal rule, a collection of causaloids, or (in `graph`) a graph of them.

A causaloid says what to evaluate and holds no result; evaluations are records of their
own. Data reach a rule by name, never by position in the data.
"""

from __future__ import annotations

import abc
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from qd_analytics.causal import asking
from qd_analytics.causal.columns import Table
from qd_analytics.causal.comparison import Comparison, Sign
from qd_analytics.causal.context import Context
from qd_analytics.causal.effects import TRUTH, Effect, EffectKind
from qd_analytics.causal.errors import EmptyCollection, ModelError, NotAGraph
from qd_analytics.causal.evaluation import BatchEvaluation, Evaluation
from qd_analytics.causal.inputs import (
    Columns,
    Data,
    FromCauses,
    Input,
    Key,
    Logic,
    RuleFunction,
)
from qd_analytics.causal.layout import Layout, plan_of
from qd_analytics.causal.plan import Plan

NESTING_MAX: Final = 64  # levels of causaloids within causaloids


class Causaloid(abc.ABC):
    """What the three forms share: an id, a description, and how to ask them."""

    __slots__ = ("__weakref__", "_plan", "description", "id")

    levels: int = 0
    """How deep causaloids are nested in it."""

    def __init__(self, id: Key, description: str = "") -> None:
        self.id = id
        self.description = description
        self._plan: Plan | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    @abc.abstractmethod
    def lay_out(self, layout: Layout, at: int) -> None:
        """Say what is inside; each form does it in its own way."""

    def plan(self) -> Plan:
        """The order of evaluation, made once."""
        if self._plan is None:
            self._plan = plan_of(self)
        return self._plan

    def freeze(self) -> None:  # noqa: B027 - of the three forms only a graph can change
        """Refuse changes from now on: this causaloid became part of another."""

    def evaluate(self, data: Data, *contexts: Context) -> Evaluation:
        """Evaluate one observation.

        Parameters
        ----------
        data : mapping
            A number for each input name. A `FromContext` as a name stands for what the
            context would give.
        *contexts : Context
            What rules may read besides.

        Returns
        -------
        Evaluation
            An immutable record: true, false, not evaluated or error for every node.
        """
        return asking.one(self.plan(), data, contexts)

    def evaluate_batch(
        self, columns: Columns | Table, *contexts: Context, plan: Plan | None = None
    ) -> BatchEvaluation:
        """Evaluate many observations at once; the same answers as one at a time.

        Parameters
        ----------
        columns : mapping or Table
            For each input name an array of shape (observations,), or one table of all. The
            record keeps the arrays: do not change them afterwards.
        *contexts : Context
            Read once, the same for all observations.
        plan : Plan, optional
            A part of a graph, such as `plan_from` gives; else the whole.
        """
        return asking.many(plan or self.plan(), columns, contexts)

    def plan_from(self, start: Key) -> Plan:
        """The plan for `start` and all below it."""
        raise self._not_a_graph("from a start node")

    def plan_path(self, start: Key, stop: Key) -> Plan:
        """The plan for the shortest path between two nodes."""
        raise self._not_a_graph("along a path")

    def plan_node(self, node: Key) -> Plan:
        """The plan for one node alone."""
        raise self._not_a_graph("of one node")

    def evaluate_from(self, start: Key, data: Data, *contexts: Context) -> Evaluation:
        """Evaluate `start` and all below it."""
        return asking.one(self.plan_from(start), data, contexts)

    def evaluate_path(self, start: Key, stop: Key, data: Data, *contexts: Context) -> Evaluation:
        """Evaluate the nodes on the shortest path (fewest edges, or least weight)."""
        return asking.one(self.plan_path(start, stop), data, contexts)

    def evaluate_node(self, node: Key, data: Data, *contexts: Context) -> Evaluation:
        """Evaluate one node alone."""
        return asking.one(self.plan_node(node), data, contexts)

    def _not_a_graph(self, question: str) -> NotAGraph:
        return NotAGraph(
            f"{self!r} was asked {question}, but it is not a graph; use evaluate, or build a Graph"
        )


def levels_with(parts: Iterable[Causaloid]) -> int:
    """How deep a causaloid of these parts is nested; refused where that is too deep."""
    levels = 1 + max(part.levels for part in parts)
    if levels > NESTING_MAX:
        raise ModelError(f"causaloids are nested {levels} deep; at most {NESTING_MAX}")
    return levels


class Singleton(Causaloid):
    """One causal rule.

    Parameters
    ----------
    id : str or int
        Unique among its neighbours.
    rule : callable
        Pure function of the inputs, in their order, to the effect. With
        `elementwise` it must also work on arrays, element by element, as comparisons
        and arithmetic do; it then sees rows whose causes are not true, and their answers
        are discarded.
    inputs : sequence, optional
        Names in the data, `FromContext`, or `FromCauses`. Without it, the causaloid's own id.
    description : str
        What the rule says, for `explain`.
    elementwise : bool
        False for a rule that takes only single numbers (it has an ``if`` or a loop).
    effect : EffectKind
        True or false, a number, or a probability.
    threshold : float, optional
        A number or probability is true where it exceeds this; without it, always.
    """

    __slots__ = ("effect", "elementwise", "inputs", "rule")

    def __init__(
        self,
        id: Key,
        rule: RuleFunction,
        inputs: Sequence[Input | FromCauses] | None = None,
        description: str = "",
        *,
        elementwise: bool = True,
        effect: EffectKind = EffectKind.TRUTH,
        threshold: float | None = None,
    ) -> None:
        super().__init__(id, description)
        self.rule = rule
        self.inputs: tuple[Input | FromCauses, ...] = (id,) if inputs is None else tuple(inputs)
        self.elementwise = elementwise
        if isinstance(rule, Comparison):
            _check_limit(id, rule.limit)
        self.effect = TRUTH if effect is EffectKind.TRUTH else Effect(effect, threshold)
        if not self.inputs:
            raise ModelError(f"causaloid {id!r} has no inputs; a rule reads at least one value")
        if threshold is not None:
            if effect is EffectKind.TRUTH:
                raise ModelError(
                    f"causaloid {id!r} has a threshold, but says true or false; "
                    "a threshold goes with a number or a probability"
                )
            _check_limit(id, threshold)

    def lay_out(self, layout: Layout, at: int) -> None:
        """One rule."""
        layout.rule(at, self.rule, self.inputs, self.elementwise, self.effect)


class Collection(Causaloid):
    """Causaloids without an order among them: all are evaluated, none waits for another.

    Members that say numbers or probabilities combine as `qd_analytics.causal.effects` says.

    Parameters
    ----------
    id : str or int
        Unique among its neighbours.
    members : sequence of Causaloid
        At least one, each with its own id or each with the position as its place.
    logic : Logic
        All, any, none, or at least `count` of them.
    count : int, optional
        For `Logic.AT_LEAST` only.
    threshold : float, optional
        For numbers and probabilities: what each is to exceed (none, at least), or what
        they are to exceed together (all, any), to make the collection true.
    """

    __slots__ = ("count", "levels", "logic", "members", "threshold")

    def __init__(
        self,
        id: Key,
        members: Sequence[Causaloid],
        logic: Logic = Logic.ALL,
        description: str = "",
        *,
        count: int | None = None,
        threshold: float | None = None,
    ) -> None:
        super().__init__(id, description)
        self.members = tuple(members)
        self.logic = logic
        self.threshold = threshold
        if threshold is not None:
            _check_limit(id, threshold)
        if not self.members:
            raise EmptyCollection(f"collection {id!r} has no members; give it at least one")
        self.count = self._checked_count(count)
        self.levels = levels_with(self.members)
        for member in self.members:
            member.freeze()

    def _checked_count(self, count: int | None) -> int:
        if self.logic is not Logic.AT_LEAST:
            if count is not None:
                raise ModelError(f"collection {self.id!r}: a count goes with Logic.AT_LEAST only")
            return {Logic.ALL: len(self.members), Logic.ANY: 1, Logic.NONE: 1}[self.logic]
        if count is None or not 1 <= count <= len(self.members):
            raise ModelError(
                f"collection {self.id!r} asks for at least {count} of {len(self.members)} members; "
                f"expected a count from 1 to {len(self.members)}"
            )
        return count

    def lay_out(self, layout: Layout, at: int) -> None:
        """All members, then what they combine to."""
        layout.members(at, self.members, self.logic, self.count, self.threshold)


def threshold(
    id: Key,
    at_least: float,
    *,
    reads: Key | None = None,
    description: str = "",
) -> Singleton:
    """A rule that is true where its input is `at_least` or more."""
    return compare(
        id,
        ">=",
        at_least,
        reads=reads,
        description=description or f"tests whether data exceeds threshold of {at_least}",
    )


def compare(
    id: Key,
    sign: str,
    limit: float,
    *,
    reads: Key | None = None,
    description: str = "",
) -> Singleton:
    """A rule that holds its input against a limit: ``>=``, ``>``, ``<=`` or ``<``."""
    if sign not in _SIGNS:
        raise ModelError(f"causaloid {id!r} compares by {sign!r}; expected one of >= > <= <")
    return Singleton(
        id,
        Comparison(_SIGNS[sign], limit),
        None if reads is None else (reads,),
        sys.intern(description or f"is {sign} {limit}"),  # often the same for many nodes
    )


_SIGNS = {sign.value: sign for sign in Sign}


def _check_limit(id: Key, limit: float) -> None:
    if not math.isfinite(limit):
        raise ModelError(f"causaloid {id!r} has the threshold {limit}; expected a finite number")
