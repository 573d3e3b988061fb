"""Records of evaluations: what each node said, why where it said nothing, in words.

Records never change and hold all that `explain` needs. They do not evaluate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.context import Absent
from qd_analytics.causal.errors import EvaluationError, NotEvaluated
from qd_analytics.causal.inputs import Input, Key
from qd_analytics.causal.plan import Path, Plan
from qd_analytics.causal.reading import Reading, Refused, checked
from qd_analytics.causal.states import Codes, State


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What an evaluation says of one node.

    Attributes
    ----------
    path : tuple
        Ids that lead to the node.
    state : State
        True, false, not evaluated or error.
    values : mapping
        The numbers that its rule read, by name.
    reason : str or None
        Why it was not evaluated, or what the error was.
    """

    path: Path
    state: State
    description: str
    values: Mapping[str, float]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One observation's evaluation."""

    plan: Plan = field(repr=False)
    states: tuple[State, ...]
    readings: tuple[Reading, ...]
    failures: Mapping[int, str]

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
            raise EvaluationError(f"no answer: {self._reason(0)}")
        if self.state is State.NOT_EVALUATED:
            raise NotEvaluated(f"not evaluated: {self._reason(0)}")
        return self.state is State.TRUE

    def node(self, node: Key | Path) -> NodeResult:
        """What one node says; a nested one is named by its path of ids."""
        return self._result(self.plan.slot_of(node))

    @property
    def nodes(self) -> tuple[NodeResult, ...]:
        """The outermost causaloid's nodes, in the order of evaluation."""
        return tuple(self._result(at) for at in self.plan.top)

    @property
    def sinks(self) -> tuple[NodeResult, ...]:
        """The last effects: nodes from which no further edge leads."""
        return tuple(self._result(at) for at in self.plan.sinks)

    @property
    def number_true(self) -> int:
        """How many nodes are true."""
        return sum(self.states[at] is State.TRUE for at in self.plan.top)

    @property
    def percent_true(self) -> float:
        """How many of all nodes are true, from 0 to 100."""
        return 100.0 * self.number_true / len(self.plan.top)

    def explain(self, node: Key | Path | None = None) -> str:
        """The record in words: one line for a rule, a list for what has nodes inside."""
        at = 0 if node is None else self.plan.slot_of(node)
        inside = self._asked_inside(at)
        if not inside:
            return self._line(at)
        return "\n".join(f"\n * {self._entry(child, 1)}" for child in inside) + "\n"

    def _entry(self, at: int, depth: int) -> str:
        lines = [self._line(at)]
        lines += [
            "   " * depth + "* " + self._entry(child, depth + 1) for child in self._asked_inside(at)
        ]
        return "\n".join(lines)

    def _asked_inside(self, at: int) -> list[int]:
        inside = self.plan.inside.get(at, ())
        return [child for child in inside if self.plan.slots[child].asked]

    def _line(self, at: int) -> str:
        slot, state = self.plan.slots[at], self.states[at]
        head = f"Causaloid: {slot.id} {slot.description}".rstrip()
        if state in (State.NOT_EVALUATED, State.ERROR):
            return f"{head} {state.label}: {self._reason(at)}"
        values = self._values(at)
        numbers = [f"{name}={value}" for name, value in values.items()]
        shown = str(next(iter(values.values()))) if len(values) == 1 else ", ".join(numbers)
        return f"{head}{f' on last data {shown}' if shown else ''} evaluated to {state.label}"

    def _result(self, at: int) -> NodeResult:
        slot = self.plan.slots[at]
        values, reason = self._values(at), self._reason(at)
        return NodeResult(slot.path, self.states[at], slot.description, values, reason)

    def _values(self, at: int) -> dict[str, float]:
        rule = self.plan.slots[at].rule
        places = () if rule is None else rule.inputs
        pairs = ((str(self.plan.inputs[place]), self.readings[place]) for place in places)
        return {name: reading for name, reading in pairs if isinstance(reading, float)}

    def _reason(self, at: int) -> str | None:
        if self.states[at] is State.ERROR:
            return self._error(at)
        if self.states[at] is State.NOT_EVALUATED:
            return self._closed(at) or self._absent(at)
        return None

    def _error(self, at: int) -> str:
        slot = self.plan.slots[at]
        if slot.rule is None:
            child = self._first_inside(at, State.ERROR)
            return f"node {self.plan.slots[child].path[-1]!r}: {self._error(child)}"
        for place in slot.rule.inputs:
            if isinstance(reading := self.readings[place], Refused):
                return reading.reason
        return self.failures[at]

    def _closed(self, at: int) -> str | None:
        """Why a node was not reached, if that is so."""
        slot = self.plan.slots[at]
        if not slot.asked:
            return "the question leaves it out"
        for cause in slot.causes:
            if self.states[cause] is not State.TRUE:
                name = self.plan.slots[cause].path[-1]
                return f"its cause {name!r} is {self.states[cause].label}"
        return self._closed(slot.parent) if slot.parent >= 0 else None

    def _absent(self, at: int) -> str:
        slot = self.plan.slots[at]
        if slot.rule is None:
            child = self._first_inside(at, State.NOT_EVALUATED)
            return f"node {self.plan.slots[child].path[-1]!r}: {self._reason(child)}"
        readings = (self.readings[place] for place in slot.rule.inputs)
        return next(reading.reason for reading in readings if isinstance(reading, Absent))

    def _first_inside(self, at: int, state: State) -> int:
        return next(child for child in self._asked_inside(at) if self.states[child] is state)


Column = npt.NDArray[np.float64] | Reading


@dataclass(frozen=True, slots=True, eq=False)
class BatchEvaluation:
    """Many observations' evaluation.

    Attributes
    ----------
    codes : ndarray of uint8, shape (nodes of the plan, observations), read-only
        `State` values.
    columns : tuple
        What each input of the plan was: an array, one number for all, or absent.
    failures : mapping
        For each node whose rule failed: the message of each row.
    """

    plan: Plan = field(repr=False)
    codes: Codes = field(repr=False)
    columns: tuple[Column, ...] = field(repr=False)
    failures: Mapping[int, Mapping[int, str]] = field(repr=False)

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

    def row(self, row: int) -> Evaluation:
        """One observation's record, the same as its evaluation alone."""
        if not 0 <= row < len(self):
            raise IndexError(f"observation {row} of {len(self)}")
        return Evaluation(
            self.plan,
            tuple(State(code) for code in self.codes[:, row].tolist()),
            tuple(
                _reading(source, column, row)
                for source, column in zip(self.plan.inputs, self.columns, strict=True)
            ),
            {at: rows[row] for at, rows in self.failures.items() if row in rows},
        )


def _reading(source: Input, column: Column, row: int) -> Reading:
    if not isinstance(column, np.ndarray):
        return column
    return checked(source, float(column[row]))
