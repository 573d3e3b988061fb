"""What a node's effect is, and how the effects of several nodes combine.

One table for collections and for graphs, so that both combine alike:

=============  ===============  ===================  ==============  =========================
kind           all              any                  none            at least k
=============  ===============  ===================  ==============  =========================
truth          and              or                   nor             k or more are true
number         the least        the greatest         none exceeds    k or more exceed
                                                     the threshold   the threshold
probability    product          1 - product(1 - p)   product(1 - p)  k or more exceed the
                                                                     threshold; without one the
                                                                     probability of k or more
=============  ===============  ===================  ==============  =========================

Probabilities combine as those of independent events. Nothing here knows about plans.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.inputs import Logic

Values = npt.NDArray[np.float64]


class EffectKind(Enum):
    """What a node says."""

    TRUTH = "truth"
    NUMBER = "number"
    PROBABILITY = "probability"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a node says, and from where on it counts as true.

    Attributes
    ----------
    kind : EffectKind
        True or false, a number, or a probability.
    threshold : float or None
        A number or probability is true where it exceeds this; always, without it.
    """

    kind: EffectKind = EffectKind.TRUTH
    threshold: float | None = None


TRUTH = Effect()


def combined_values(
    effect: Effect, logic: Logic, count: int, values: Values, present: npt.NDArray[np.bool_]
) -> Values:
    """Combine effects of shape (nodes, observations); absent ones bring nothing.

    Parameters
    ----------
    effect : Effect
        The kind of all of them, and the threshold that they are to exceed.
    count : int
        How many, for `Logic.AT_LEAST`.
    present : ndarray of bool, same shape
        Where there is a value.

    Returns
    -------
    ndarray of float64, shape (observations,)
    """
    if effect.kind is EffectKind.NUMBER:
        return _numbers(effect, logic, count, values, present)
    if effect.kind is EffectKind.PROBABILITY:
        return _probabilities(effect, logic, count, values, present)
    true = np.where(present, values, 0.0) != 0.0
    number = np.count_nonzero(true, axis=0)
    there = np.count_nonzero(present, axis=0)
    needed = {Logic.ALL: there, Logic.ANY: 1, Logic.AT_LEAST: count}
    answer = number == 0 if logic is Logic.NONE else number >= needed[logic]
    return np.asarray(answer, dtype=np.float64)


def _numbers(
    effect: Effect, logic: Logic, count: int, values: Values, present: npt.NDArray[np.bool_]
) -> Values:
    if logic is Logic.ALL:
        least: Values = np.where(present, values, np.inf).min(axis=0)
        return least
    if logic is Logic.ANY:
        greatest: Values = np.where(present, values, -np.inf).max(axis=0)
        return greatest
    return _exceeding(effect, logic, count, values, present)


def _probabilities(
    effect: Effect, logic: Logic, count: int, values: Values, present: npt.NDArray[np.bool_]
) -> Values:
    if logic is Logic.ALL:
        product: Values = np.multiply.reduce(np.where(present, values, 1.0), axis=0)
        return product
    if logic is Logic.AT_LEAST:
        if effect.threshold is not None:
            return _exceeding(effect, logic, count, values, present)
        return _probability_of(count, np.where(present, values, 0.0))
    nothing: Values = np.multiply.reduce(1.0 - np.where(present, values, 0.0), axis=0)
    return nothing if logic is Logic.NONE else 1.0 - nothing


def _exceeding(
    effect: Effect, logic: Logic, count: int, values: Values, present: npt.NDArray[np.bool_]
) -> Values:
    assert effect.threshold is not None  # checked when the collection was made
    exceeding = np.count_nonzero(np.where(present, values, -np.inf) > effect.threshold, axis=0)
    answer = exceeding == 0 if logic is Logic.NONE else exceeding >= count
    return np.asarray(answer, dtype=np.float64)


def _probability_of(count: int, values: Values) -> Values:
    """That `count` or more of independent events happen (the Poisson binomial law)."""
    exactly = np.zeros((count, values.shape[1]))  # 0, 1 … count - 1 events so far
    exactly[0] = 1.0
    for value in values:
        moved = exactly[:-1] * value
        exactly *= 1.0 - value
        exactly[1:] += moved
    fewer = exactly.sum(axis=0)
    return np.asarray(np.clip(1.0 - fewer, 0.0, 1.0))
