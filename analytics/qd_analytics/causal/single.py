"""Evaluate one observation: a walk over the plan that runs only what its causes open."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np

from qd_analytics.causal.context import Absent
from qd_analytics.causal.evaluation import Evaluation
from qd_analytics.causal.inputs import Data, Input, Logic, RuleFunction
from qd_analytics.causal.plan import Close, Plan, Slot
from qd_analytics.causal.reading import Reading, Refused, Snapshot, checked
from qd_analytics.causal.states import State


def evaluate_one(plan: Plan, data: Data, snapshot: Snapshot) -> Evaluation:
    """Evaluate a plan for one observation; never raises for what a rule or its data do."""
    readings = tuple(
        _read(source, data) if known is None else known
        for source, known in zip(plan.inputs, snapshot, strict=True)
    )
    states = [State.NOT_EVALUATED] * len(plan.slots)
    open_ = [False] * len(plan.slots)
    failures: dict[int, str] = {}
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        for step in plan.steps:
            if isinstance(step, Close):
                if open_[step.slot]:
                    states[step.slot] = _combined([states[n] for n in step.children], step)
                continue
            slot = plan.slots[step]
            open_[step] = _is_open(slot, states, open_)
            if open_[step] and slot.rule is not None:
                read = [readings[place] for place in slot.rule.inputs]
                states[step], failure = _rule_state(slot.rule.function, read)
                if failure is not None:
                    failures[step] = failure
    return Evaluation(plan, tuple(states), readings, failures)


def _is_open(slot: Slot, states: Sequence[State], open_: Sequence[bool]) -> bool:
    if slot.parent >= 0 and not open_[slot.parent]:
        return False
    return all(states[cause] is State.TRUE for cause in slot.causes)


def _read(source: Input, data: Data) -> Reading:
    value = data.get(source)
    if value is None:
        return Refused(f"the data has no value for {source!r}")
    if not isinstance(value, (Real, np.bool_)):
        return Refused(f"{source!r} is {value!r} ({type(value).__name__}); expected a number")
    return checked(source, float(value))


def _rule_state(rule: RuleFunction, read: Sequence[Reading]) -> tuple[State, str | None]:
    if any(isinstance(reading, Refused) for reading in read):
        return State.ERROR, None
    if any(isinstance(reading, Absent) for reading in read):
        return State.NOT_EVALUATED, None
    return run_rule(rule, [np.float64(reading) for reading in read])  # type: ignore[arg-type]


def run_rule(rule: RuleFunction, values: Sequence[np.float64]) -> tuple[State, str | None]:
    """A rule's answer for single numbers, and the message where it has none."""
    try:
        answer = rule(*values)
    except Exception as error:  # whatever a user's rule raises belongs into the record
        return State.ERROR, f"the rule raised {type(error).__name__}: {error}"
    if not isinstance(answer, (bool, np.bool_)):
        shown = type(answer).__name__
        return State.ERROR, f"the rule returned {answer!r} ({shown}); expected true or false"
    return (State.TRUE if answer else State.FALSE), None


def _combined(states: Sequence[State], step: Close) -> State:
    if State.ERROR in states:
        return State.ERROR
    true, unknown = states.count(State.TRUE), states.count(State.NOT_EVALUATED)
    if true >= step.count:
        answer = State.TRUE
    elif true + unknown >= step.count:
        answer = State.NOT_EVALUATED
    else:
        answer = State.FALSE
    if step.logic is Logic.NONE:
        flipped = {State.TRUE: State.FALSE, State.FALSE: State.TRUE}
        return flipped.get(answer, answer)
    return answer
