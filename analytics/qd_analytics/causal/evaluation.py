"""Records of evaluations: what each node said, and why where it said nothing.

Records never change and hold all that `explain` needs. They do not evaluate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from qd_analytics.causal import explaining
from qd_analytics.causal.closing import incoming, opens
from qd_analytics.causal.columns import ReadColumns, RowReadings
from qd_analytics.causal.context import Absent
from qd_analytics.causal.effects import EffectKind, Values
from qd_analytics.causal.errors import EvaluationError, NotEvaluated
from qd_analytics.causal.inputs import Key, Logic, RelayTo
from qd_analytics.causal.plan import CAUSES, Path, Plan
from qd_analytics.causal.reading import Reading, Refused
from qd_analytics.causal.states import Codes, State

if TYPE_CHECKING:
    from rich.tree import Tree


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What an evaluation says of one node.

    Attributes
    ----------
    path : tuple
        Ids that lead to the node.
    state : State
        True, false, not evaluated, error, or relayed.
    value : bool, float or None
        Its effect; None where it has none.
    values : mapping
        The numbers that its rule read, by name.
    reason : str or None
        Why it was not evaluated, what the error was, or where it relayed to.
    """

    path: Path
    state: State
    description: str
    value: bool | float | None
    values: Mapping[str, float]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One observation's evaluation.

    Attributes
    ----------
    states : tuple of State
        Of each slot of the plan.
    readings : sequence
        What each input of the plan was.
    failures : mapping
        Messages of rules that failed, by slot.
    effects : mapping
        Values of the nodes whose effect is one, by slot.
    relays : mapping
        Where rules relayed to, by slot.
    """

    plan: Plan = field(repr=False)
    states: tuple[State, ...]
    readings: Sequence[Reading] = field(repr=False, compare=False)
    failures: Mapping[int, str]
    effects: Mapping[int, float]
    relays: Mapping[int, RelayTo]

    @property
    def state(self) -> State:
        """What the whole causaloid says."""
        return self.states[0]

    @property
    def result(self) -> bool:
        """True or false.

        Raises
        ------
        EvaluationError
            If a node failed; `NotEvaluated` if there is no answer. The message says why.
        """
        if self.state is State.ERROR:
            raise EvaluationError(f"no answer: {self.reason(0)}")
        if self.state not in (State.TRUE, State.FALSE):
            raise NotEvaluated(f"{self.state.label}: {self.reason(0)}")
        return self.state is State.TRUE

    @property
    def value(self) -> bool | float:
        """The whole causaloid's effect: true or false, a number or a probability.

        Raises
        ------
        EvaluationError
            As `result`.
        """
        truth = self.result
        found = self.effect(0)
        return truth if found is None else found

    @property
    def relay(self) -> RelayTo | None:
        """Where the first node that relayed hands over to."""
        return self.relays[min(self.relays)] if self.relays else None

    def node(self, node: Key | Path) -> NodeResult:
        """What one node says; a nested one is named by its path of ids."""
        return self.slot(self.plan.slot_of(node))

    @property
    def nodes(self) -> tuple[NodeResult, ...]:
        """The outermost causaloid's nodes, in the order of evaluation."""
        return tuple(self.slot(at) for at in self.plan.top)

    @property
    def sinks(self) -> tuple[NodeResult, ...]:
        """The last effects: nodes from which no further edge leads."""
        return tuple(self.slot(at) for at in self.plan.sinks)

    @property
    def number_true(self) -> int:
        """How many nodes are true."""
        return sum(self.states[at] is State.TRUE for at in self.plan.top)

    @property
    def percent_true(self) -> float:
        """How many of all nodes are true, from 0 to 100."""
        return 100.0 * self.number_true / len(self.plan.top)

    # In words, as a tree, as data

    def explain(self, node: Key | Path | None = None) -> str:
        """The record in words: one line for a rule, a list for what has nodes inside."""
        return explaining.words(self, 0 if node is None else self.plan.slot_of(node))

    def tree(self, node: Key | Path | None = None) -> Tree:
        """The record as a tree for a terminal; `rich.print` shows it in colour."""
        return explaining.tree(self, 0 if node is None else self.plan.slot_of(node))

    def as_data(self, node: Key | Path | None = None) -> dict[str, Any]:
        """The record as plain data, ready for JSON."""
        return explaining.data(self, 0 if node is None else self.plan.slot_of(node))

    # By slot of the plan

    def slot(self, at: int) -> NodeResult:
        """What the node at a slot of the plan says."""
        slot, state = self.plan.slots[at], self.states[at]
        value = self.effect(at)
        shown = state is State.TRUE if value is None and state in _DECIDED else value
        numbers = self.numbers(at)
        return NodeResult(slot.path, state, slot.description, shown, numbers, self.reason(at))

    def inside(self, at: int) -> list[int]:
        """The slots directly inside a composite that the question asks for."""
        slots = self.plan.slots
        return [child for child in self.plan.inside.get(at, ()) if slots[child].asked]

    def effect(self, at: int) -> float | None:
        """A slot's value, where its effect is one and it has it."""
        return self.effects.get(at)

    def numbers(self, at: int) -> dict[str, float]:
        """The numbers that a slot's rule read, by name."""
        slot = self.plan.slots[at]
        found: dict[str, float] = {}
        for place in () if slot.rule is None else slot.rule.inputs:
            if place != CAUSES:
                reading = self.readings[place]
                if isinstance(reading, float):
                    found[str(self.plan.inputs[place])] = reading
            elif self.states[at] is not State.NOT_EVALUATED:
                found["causes"] = incoming(self.plan, slot, self.states, self.effects)
        return found

    def reason(self, at: int) -> str | None:
        """Why a slot says neither true nor false."""
        if self.states[at] is State.ERROR:
            return self._error(at)
        if self.states[at] is State.RELAYED:
            return self._relayed(at)
        if self.states[at] is State.NOT_EVALUATED:
            return self._closed(at) or self._absent(at)
        return None

    def _error(self, at: int) -> str:
        slot = self.plan.slots[at]
        if slot.rule is None:
            child = self._first_inside(at, State.ERROR)
            return f"node {self.plan.slots[child].path[-1]!r}: {self._error(child)}"
        for place in slot.rule.inputs:
            if place != CAUSES and isinstance(reading := self.readings[place], Refused):
                return reading.reason
        return self.failures[at]

    def _relayed(self, at: int) -> str:
        if at in self.relays:
            return f"relayed to {self.relays[at].target!r}"
        child = self._first_inside(at, State.RELAYED)
        return f"node {self.plan.slots[child].path[-1]!r} {self._relayed(child)}"

    def _closed(self, at: int) -> str | None:
        """Why a node was not reached, if that is so."""
        slot = self.plan.slots[at]
        if not slot.asked:
            return "the question leaves it out"
        states = [self.states[cause] for cause in slot.causes]
        if slot.causes and not opens(slot.join, states):
            for cause, state in zip(slot.causes, states, strict=True):
                if state is State.ERROR or (slot.join is Logic.ALL and state is not State.TRUE):
                    return f"its cause {self.plan.slots[cause].path[-1]!r} is {state.label}"
            return "none of its causes is true"
        return self._closed(slot.parent) if slot.parent >= 0 else None

    def _absent(self, at: int) -> str:
        slot = self.plan.slots[at]
        if slot.rule is None:
            for child in self.inside(at):
                name = self.plan.slots[child].path[-1]
                if self.states[child] is State.NOT_EVALUATED:
                    return f"node {name!r}: {self.reason(child)}"
                if slot.effect.kind is not EffectKind.TRUTH and self.effect(child) is None:
                    return f"node {name!r} is {self.states[child].label} and has no value"
        places = () if slot.rule is None else slot.rule.inputs
        readings = (self.readings[place] for place in places if place != CAUSES)
        return next(reading.reason for reading in readings if isinstance(reading, Absent))

    def _first_inside(self, at: int, state: State) -> int:
        return next(child for child in self.inside(at) if self.states[child] is state)


_DECIDED = (State.TRUE, State.FALSE)


@dataclass(frozen=True, slots=True, eq=False)
class BatchEvaluation:
    """Many observations' evaluation.

    Attributes
    ----------
    codes : ndarray of uint8, shape (nodes of the plan, observations), read-only
        `State` values.
    values : ndarray of float64, shape (nodes whose effect is a value, observations), read-only
        NaN where a node has none; `node_values` finds a node's.
    read : ReadColumns
        What each input of the plan was.
    failures, relays : mapping
        For each node whose rule failed or relayed: the message or the target of each row.
    """

    plan: Plan = field(repr=False)
    codes: Codes = field(repr=False)
    values: Values = field(repr=False)
    read: ReadColumns = field(repr=False)
    failures: Mapping[int, Mapping[int, str]] = field(repr=False)
    relays: Mapping[int, Mapping[int, RelayTo]] = field(repr=False)

    def __len__(self) -> int:
        return int(self.codes.shape[1])

    @property
    def states(self) -> Codes:
        """What the whole causaloid says, as `State` values of shape (observations,)."""
        codes: Codes = self.codes[0]
        return codes

    def node(self, node: Key | Path) -> Codes:
        """What one node says, as `State` values of shape (observations,)."""
        codes: Codes = self.codes[self.plan.slot_of(node)]
        return codes

    def node_values(self, node: Key | Path | None = None) -> Values:
        """A node's effect, of shape (observations,); NaN where it has none.

        True is 1 and false 0. Without a node, what the whole causaloid says.
        """
        at = 0 if node is None else self.plan.slot_of(node)
        if at in self.plan.values:
            values: Values = self.values[self.plan.values[at]]
            return values
        return np.array([np.nan, 1.0, 0.0])[np.where(self.codes[at] <= 2, self.codes[at], 0)]

    def row(self, row: int) -> Evaluation:
        """One observation's record, the same as its evaluation alone."""
        if not 0 <= row < len(self):
            raise IndexError(f"observation {row} of {len(self)}")
        column = self.values[:, row].tolist()
        values = ((at, column[place]) for at, place in self.plan.values.items())
        return Evaluation(
            self.plan,
            tuple([_STATES[code] for code in self.codes[:, row].tolist()]),
            RowReadings(self.read, row),
            {at: rows[row] for at, rows in self.failures.items() if row in rows},
            {at: value for at, value in values if value == value},
            {at: rows[row] for at, rows in self.relays.items() if row in rows},
        )


_STATES = {int(state): state for state in State}
