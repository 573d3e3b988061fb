"""Evaluate one observation: a walk over the plan that runs only what its causes open."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np

from qd_analytics.causal.closing import (
    closed_codes,
    closed_values,
    incoming,
    opens,
    refused_value,
)
from qd_analytics.causal.effects import Effect, EffectKind
from qd_analytics.causal.evaluation import Evaluation
from qd_analytics.causal.inputs import Data, Input, Logic, RelayTo, RuleFunction
from qd_analytics.causal.plan import CAUSES, Close, Plan, Rule, Slot
from qd_analytics.causal.reading import Reading, Refused, Snapshot, checked
from qd_analytics.causal.states import State

Answer = tuple[State, float | None, str | RelayTo | None]
"""A state, the value of an effect that is one, and a message or where to relay to."""


def evaluate_one(plan: Plan, data: Data, snapshot: Snapshot) -> Evaluation:
    """Evaluate a plan for one observation; never raises for what a rule or its data do."""
    walk = _Walk(plan, read_one(plan, data, snapshot))
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        walk.run()
    return Evaluation(
        plan, tuple(walk.states), walk.readings, walk.failures, walk.effects, walk.relays
    )


def read_one(plan: Plan, data: Data, snapshot: Snapshot) -> tuple[Reading, ...]:
    """What the rules of a plan read."""
    return tuple(
        snapshot[place] if place in snapshot else read(source, data)  # type: ignore[misc]
        for place, source in enumerate(plan.inputs)
    )


def read(source: Input, data: Data) -> Reading:
    """One value of the data, checked."""
    value = data.get(source)
    if value is None:
        return Refused(f"the data has no value for {source!r}")
    if not isinstance(value, (Real, np.bool_)):
        return Refused(f"{source!r} is {value!r} ({type(value).__name__}); expected a number")
    try:
        return checked(source, float(value))
    except OverflowError:
        return Refused(f"{source!r} is too large; expected a number that a float can hold")


class _Walk:
    """The state of one evaluation while it runs."""

    def __init__(self, plan: Plan, readings: tuple[Reading, ...]) -> None:
        self.plan = plan
        self.readings = readings
        self.states = [State.NOT_EVALUATED] * len(plan.slots)
        self.effects: dict[int, float] = {}
        self.failures: dict[int, str] = {}
        self.relays: dict[int, RelayTo] = {}
        # What rules get: numbers that tell of divisions by zero as arrays do.
        self._given = [np.float64(r) if isinstance(r, float) else r for r in readings]

    def run(self) -> None:
        """Follow the plan."""
        states, slots = self.states, self.plan.slots
        open_ = [False] * len(slots)
        for step in self.plan.steps:
            if isinstance(step, Close):
                if open_[step.slot]:
                    self._close(step)
                continue
            slot = slots[step]
            if slot.parent >= 0 and not open_[slot.parent]:
                continue
            if slot.causes and not opens(slot.join, [states[n] for n in slot.causes]):
                continue
            open_[step] = True
            if slot.rule is not None:
                self._run_rule(step, slot, slot.rule)

    def _run_rule(self, at: int, slot: Slot, rule: Rule) -> None:
        given = self._given
        values = [
            given[place] if place != CAUSES else np.float64(self._incoming(slot))
            for place in rule.inputs
        ]
        for value in values:
            if not isinstance(value, float):
                if any(isinstance(other, Refused) for other in values):
                    self.states[at] = State.ERROR
                return
        self.states[at], effect, note = run_rule(rule.function, values, slot.effect)  # type: ignore[arg-type]
        if effect is not None:
            self.effects[at] = effect
        if note is not None:
            self._note(at, note)

    def _note(self, at: int, note: str | RelayTo) -> None:
        if isinstance(note, RelayTo):
            self.relays[at] = note
        else:
            self.failures[at] = note

    def _incoming(self, slot: Slot) -> float:
        return incoming(self.plan, slot, self.states, self.effects)

    def _close(self, step: Close) -> None:
        children = [self.states[n] for n in step.children]
        if not step.valued:
            self.states[step.slot] = _combined(children, step)
            return
        codes = np.array([self.states[n] for n in step.valued], dtype=np.uint8)[:, np.newaxis]
        values = np.array([self.effects.get(n, np.nan) for n in step.valued])[:, np.newaxis]
        inside = np.array(children, dtype=np.uint8)[:, np.newaxis]
        slot = self.plan.slots[step.slot]
        state, value = closed_values(step, slot, inside, codes, values)
        self.states[step.slot] = State(int(state[0]))
        if np.isfinite(value[0]):
            self.effects[step.slot] = float(value[0])


def run_rule(rule: RuleFunction, values: Sequence[np.float64], effect: Effect) -> Answer:
    """A rule's answer for single numbers, and the message where it has none."""
    try:
        answer = rule(*values)
    except Exception as error:  # whatever a user's rule raises belongs into the record
        return State.ERROR, None, f"the rule raised {type(error).__name__}: {error}"
    if isinstance(answer, (bool, np.bool_)) and effect.kind is EffectKind.TRUTH:
        return (State.TRUE if answer else State.FALSE), None, None
    if isinstance(answer, np.ndarray) and answer.ndim == 0:  # as np.where gives it
        answer = answer[()]
    if isinstance(answer, RelayTo):
        return State.RELAYED, None, answer
    if effect.kind is EffectKind.TRUTH:
        if isinstance(answer, (bool, np.bool_)):
            return (State.TRUE if answer else State.FALSE), None, None
        return State.ERROR, None, _unexpected(answer, "true or false")
    if isinstance(answer, (bool, np.bool_)) or not isinstance(answer, Real):
        return State.ERROR, None, _unexpected(answer, f"a {effect.kind.value}")
    value = float(answer)
    if (wrong := refused_value(effect.kind, value)) is not None:
        return State.ERROR, None, wrong
    active = effect.threshold is None or value > effect.threshold
    return (State.TRUE if active else State.FALSE), value, None


def _unexpected(answer: object, expected: str) -> str:
    return f"the rule returned {answer!r} ({type(answer).__name__}); expected {expected}"


def _combined(states: Sequence[State], step: Close) -> State:
    if len(states) > 64:  # worth a call
        return State(int(closed_codes(step, np.array(states, dtype=np.uint8)[:, np.newaxis])[0]))
    if State.ERROR in states:
        return State.ERROR
    if step.logic is Logic.ALL:
        for state in (State.FALSE, State.RELAYED, State.NOT_EVALUATED):
            if state in states:
                return state
        return State.TRUE
    true, false = states.count(State.TRUE), states.count(State.FALSE)
    if true >= step.count:
        answer = State.TRUE
    elif len(states) - false >= step.count:
        answer = State.RELAYED if State.RELAYED in states else State.NOT_EVALUATED
    else:
        answer = State.FALSE
    if step.logic is Logic.NONE:
        flipped = {State.TRUE: State.FALSE, State.FALSE: State.TRUE}
        return flipped.get(answer, answer)
    return answer
