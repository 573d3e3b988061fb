"""What a composite says once its children's states and values are known; how causes join.

The same functions serve one observation and arrays, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.effects import Effect, EffectKind, Values, combined_values
from qd_analytics.causal.inputs import Logic
from qd_analytics.causal.plan import Close, Plan, Slot
from qd_analytics.causal.states import (
    ERROR,
    FALSE,
    RELAYED,
    TRUE,
    Codes,
    State,
    all_of,
    at_least,
    negated,
)

EVALUATED: Final = TRUE | FALSE


def closed_codes(step: Close, inside: Codes) -> Codes:
    """The state of a composite that says true or false, of codes (children, observations)."""
    if step.logic is Logic.ALL:
        return all_of(inside)
    state = at_least(inside, step.count)
    return negated(state) if step.logic is Logic.NONE else state


def closed_values(
    step: Close, slot: Slot, inside: Codes, codes: Codes, values: Values
) -> tuple[Codes, Values]:
    """The state and value of a composite whose effect is a value.

    Parameters
    ----------
    inside : ndarray of uint8
        Codes of its children.
    codes, values : ndarray, shape (valued children, observations)
        Codes and values of those whose values combine.
    """
    present = _present(codes, values)
    value = combined_values(step.member_effect, step.logic, step.count, values, present)
    if len(step.valued) != len(step.children):  # a graph: all nodes decide, the sinks have values
        state = all_of(inside)
    else:
        enough = present.any(axis=0) if step.logic is Logic.ANY else present.all(axis=0)
        state = np.where(enough, exceeding(slot.effect, value), State.NOT_EVALUATED)
        occurring = np.bitwise_or.reduce(inside, axis=0)
        state = np.where(occurring & RELAYED != 0, RELAYED, state)
        state = np.where(occurring & ERROR != 0, ERROR, state).astype(np.uint8)
    decided = (state & EVALUATED != 0) & present.any(axis=0)
    return state, np.where(decided, value, np.nan)


def exceeding(effect: Effect, values: Values) -> Codes:
    """The states of values: true where there is no threshold, or where they exceed it."""
    if effect.threshold is None:
        return np.full(values.shape, TRUE)
    return np.where(values > effect.threshold, TRUE, FALSE)


def joined(effect: Effect, join: Logic, codes: Codes, values: Values) -> Values:
    """What causes say together, of codes and values of shape (causes, observations)."""
    return combined_values(effect, join, 1, values, _present(codes, values))


def _present(codes: Codes, values: Values) -> npt.NDArray[np.bool_]:
    """Where there is a value: a graph may be false before its sinks have one."""
    present: npt.NDArray[np.bool_] = (codes & EVALUATED != 0) & ~np.isnan(values)
    return present


def truth_values(codes: Codes) -> Values:
    """True as 1, all else as 0."""
    return np.asarray(codes == TRUE, dtype=np.float64)


def refused_value(kind: EffectKind, value: float) -> str | None:
    """What is wrong with a value that a rule gave, if anything."""
    if value - value != 0.0:
        return f"the rule returned {value}; expected a finite number"
    if kind is EffectKind.PROBABILITY and not 0.0 <= value <= 1.0:
        return f"the rule returned {value}; expected a probability from 0 to 1"
    return None


def acceptable(kind: EffectKind, values: npt.NDArray[np.float64]) -> bool:
    """Whether no value is refused."""
    if kind is EffectKind.PROBABILITY:
        return bool(((values >= 0.0) & (values <= 1.0)).all())
    return bool(np.isfinite(values).all())


def opens(join: Logic, states: Sequence[State]) -> bool:
    """Whether causes in these states open the node that they join at."""
    if join is Logic.ANY:
        return State.TRUE in states and State.ERROR not in states
    return states.count(State.TRUE) == len(states)


def incoming(
    plan: Plan, slot: Slot, states: Sequence[State], effects: Mapping[int, float]
) -> float:
    """What a node's causes say together."""
    effect = plan.slots[slot.causes[0]].effect
    codes = np.array([states[n] for n in slot.causes], dtype=np.uint8)[:, np.newaxis]
    if effect.kind is EffectKind.TRUTH:
        values = truth_values(codes)
    else:
        values = np.array([effects.get(n, np.nan) for n in slot.causes])[:, np.newaxis]
    return float(joined(effect, slot.join, codes, values)[0])
