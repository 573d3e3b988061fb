"""Uncertain values: drawn many times from a seed, each draw evaluated as an observation.

The draws go through the same evaluation as arrays of observations; what comes out is how
often each node is true.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np

from qd_analytics.causal.causaloid import Causaloid
from qd_analytics.causal.context import Context
from qd_analytics.causal.effects import Values
from qd_analytics.causal.errors import EvaluationError, ModelError
from qd_analytics.causal.evaluation import BatchEvaluation
from qd_analytics.causal.inputs import Key
from qd_analytics.causal.plan import Path, Plan
from qd_analytics.causal.states import State

SAMPLES: Final = 1_000


@runtime_checkable
class Uncertain(Protocol):
    """A value that is known by its distribution."""

    def draw(self, chance: np.random.Generator, samples: int) -> Values:
        """Draw values of shape (samples,)."""
        ...


@dataclass(frozen=True, slots=True)
class Point:
    """A value that is certain after all."""

    value: float

    def draw(self, chance: np.random.Generator, samples: int) -> Values:
        """The value, each time."""
        return np.full(samples, float(self.value))


@dataclass(frozen=True, slots=True)
class Normal:
    """Normally distributed around a mean."""

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 <= self.deviation < math.inf):
            raise ModelError(f"{self} is no distribution; expected a deviation of 0 or more")

    def draw(self, chance: np.random.Generator, samples: int) -> Values:
        """Draw values of shape (samples,)."""
        return chance.normal(self.mean, self.deviation, samples)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anywhere from `low` to `high`, all alike."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and self.low <= self.high < math.inf):
            raise ModelError(f"{self} is no distribution; expected low to be at most high")

    def draw(self, chance: np.random.Generator, samples: int) -> Values:
        """Draw values of shape (samples,)."""
        return chance.uniform(self.low, self.high, samples)


@dataclass(frozen=True, slots=True)
class Bernoulli:
    """1 with a probability, else 0."""

    probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ModelError(f"{self} is no distribution; expected a probability from 0 to 1")

    def draw(self, chance: np.random.Generator, samples: int) -> Values:
        """Draw values of shape (samples,)."""
        return np.asarray(chance.random(samples) < self.probability, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Samples:
    """Distributed as these measured values are."""

    values: Sequence[float]

    def __post_init__(self) -> None:
        if not len(self.values):
            raise ModelError("there are no samples to draw from; give at least one")

    def draw(self, chance: np.random.Generator, samples: int) -> Values:
        """Draw values of shape (samples,), with repetition."""
        return chance.choice(np.asarray(self.values, dtype=np.float64), samples)


@dataclass(frozen=True, slots=True, eq=False)
class UncertainEvaluation:
    """How often nodes are true over all draws.

    Attributes
    ----------
    batch : BatchEvaluation
        Every draw.
    seed : int
    threshold : float or None
        The probability from above which the answer is true.
    """

    batch: BatchEvaluation = field(repr=False)
    seed: int
    threshold: float | None

    @property
    def samples(self) -> int:
        """How many draws there are."""
        return len(self.batch)

    def share(self, state: State, node: Key | Path | None = None) -> float:
        """How many of the draws leave a node in a state, from 0 to 1."""
        codes = self.batch.states if node is None else self.batch.node(node)
        return float(np.count_nonzero(codes == state)) / self.samples

    def probability(self, node: Key | Path | None = None) -> float:
        """The probability that a node, or the whole causaloid, is true.

        Raises
        ------
        EvaluationError
            If draws end in an error: there is no probability then.
        """
        codes = self.batch.states if node is None else self.batch.node(node)
        failed = np.flatnonzero(codes == State.ERROR)
        if len(failed):
            record = self.batch.row(int(failed[0]))
            at = 0 if node is None else self.batch.plan.slot_of(node)
            raise EvaluationError(
                f"no probability: {len(failed)} of {self.samples} draws failed, the first "
                f"with: {record.reason(at)}"
            )
        return self.share(State.TRUE, node)

    def standard_error(self, node: Key | Path | None = None) -> float:
        """How far the probability may be off, as one standard deviation."""
        p = self.probability(node)
        return math.sqrt(p * (1.0 - p) / self.samples)

    def mean(self, node: Key | Path | None = None) -> float:
        """The mean of a node's effect over the draws in which it has one."""
        values = self.batch.node_values(node)
        return float(np.mean(values[np.isfinite(values)]))

    @property
    def result(self) -> bool:
        """Whether the probability exceeds the threshold.

        Raises
        ------
        EvaluationError
            Without a threshold, or if draws failed.
        """
        if self.threshold is None:
            raise EvaluationError(
                "an uncertain answer is true or false only against a threshold; "
                "give evaluate_uncertain one, or ask for the probability"
            )
        return self.probability() > self.threshold

    def explain(self) -> str:
        """In words: each node with the share of the draws in each state."""
        plan = self.batch.plan
        lines = [f"{self.samples} draws, seed {self.seed}"]
        for at in (0, *(n for n in plan.top if n != 0)):
            codes = self.batch.codes[at]
            counts = {state: float(np.count_nonzero(codes == state)) for state in State}
            said = ", ".join(
                f"{state.label} {100 * count / self.samples:.1f} %"
                for state, count in counts.items()
                if count
            )
            slot = plan.slots[at]
            lines.append(f" * {slot.id} {slot.description}".rstrip() + f": {said}")
        return "\n".join(lines)


def evaluate_uncertain(
    causaloid: Causaloid,
    data: Mapping[Any, float | Uncertain],
    *contexts: Context,
    seed: int,
    samples: int = SAMPLES,
    threshold: float | None = None,
    plan: Plan | None = None,
) -> UncertainEvaluation:
    """Evaluate over values of which some are uncertain.

    Parameters
    ----------
    data : mapping
        For each name a number or an `Uncertain` value; a `FromContext` as a name stands for
        what the context would give.
    seed : int
        The same seed draws the same values; each name draws its own, whatever else there is.
    samples : int
        How many draws.
    threshold : float, optional
        The answer is true where its probability exceeds this.
    plan : Plan, optional
        A part of a graph, such as `plan_from` gives; else the whole.
    """
    if samples < 1:
        raise ModelError(f"{samples} draws are too few; expected 1 or more")
    if threshold is not None and not 0 <= threshold <= 1:
        raise ModelError(f"the threshold is {threshold}; expected a probability from 0 to 1")
    columns = {name: _drawn(name, value, seed, samples) for name, value in data.items()}
    batch = causaloid.evaluate_batch(columns, *contexts, plan=plan)
    return UncertainEvaluation(batch, seed, threshold)


def _drawn(name: Any, value: float | Uncertain, seed: int, samples: int) -> Values:
    if not isinstance(value, Uncertain):
        return np.full(samples, float(value))
    own = zlib.crc32(str(name).encode())
    return value.draw(np.random.default_rng([seed, own]), samples)
