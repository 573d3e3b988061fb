"""Observations, inferences and assumptions: what was seen, what follows, what is taken as given.

Values and their counts only; results of checks are records, nothing here keeps state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qd_analytics.causal.errors import EmptyCollection
from qd_analytics.causal.inputs import Data


@dataclass(frozen=True, slots=True)
class Observation:
    """A measured value and the effect that was seen with it."""

    id: int
    value: float
    effect: float

    def observed(self, threshold: float, effect: float) -> bool:
        """Whether the value reaches `threshold` and the effect is `effect`."""
        return self.value >= threshold and math.isclose(self.effect, effect)


@dataclass(frozen=True, slots=True)
class Observations:
    """A collection of observations, at least one."""

    items: Sequence[Observation]

    def __post_init__(self) -> None:
        _refuse_empty(self.items, "observations")

    def number(self, threshold: float, effect: float) -> int:
        """How many show the effect at or above the threshold."""
        return sum(item.observed(threshold, effect) for item in self.items)

    def share(self, threshold: float, effect: float) -> float:
        """The same as a share, from 0 to 1."""
        return self.number(threshold, effect) / len(self.items)


@dataclass(frozen=True, slots=True)
class Inference:
    """A question, the observation that bears on it, and the effect it is about.

    It can be drawn when the observation is above the threshold and the effect is the
    target; drawn inversely when it is below; and not at all otherwise.
    """

    id: int
    question: str
    observation: float
    threshold: float
    effect: float
    target: float

    @property
    def inferable(self) -> bool:
        """Above the threshold, and the effect is the target."""
        return self.observation > self.threshold and math.isclose(self.effect, self.target)

    @property
    def inverse_inferable(self) -> bool:
        """Below the threshold, and the effect is the target."""
        return self.observation < self.threshold and math.isclose(self.effect, self.target)

    @property
    def non_inferable(self) -> bool:
        """Neither."""
        return not (self.inferable or self.inverse_inferable)


@dataclass(frozen=True, slots=True)
class Inferences:
    """A collection of inferences, at least one."""

    items: Sequence[Inference]

    def __post_init__(self) -> None:
        _refuse_empty(self.items, "inferences")

    @property
    def number_inferable(self) -> int:
        """How many can be drawn."""
        return sum(item.inferable for item in self.items)

    @property
    def number_inverse_inferable(self) -> int:
        """How many can be drawn inversely."""
        return sum(item.inverse_inferable for item in self.items)

    @property
    def number_non_inferable(self) -> int:
        """How many cannot be drawn."""
        return sum(item.non_inferable for item in self.items)

    @property
    def percent_inferable(self) -> float:
        """How many can be drawn, from 0 to 100."""
        return 100.0 * self.number_inferable / len(self.items)

    @property
    def conjoint_delta(self) -> float:
        """The share, from 0 to 1, that is explained by nothing here."""
        return self.number_non_inferable / len(self.items)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an assumption holds for some data."""

    assumption: Assumption
    holds: bool


@dataclass(frozen=True, slots=True)
class Assumption:
    """What a model takes as given, and how to check it against data."""

    id: int
    description: str
    check: Callable[[Data], bool]

    def verify(self, data: Data) -> Verdict:
        """Check it; each verdict stands for itself."""
        return Verdict(self, bool(self.check(data)))


def _refuse_empty(items: Sequence[object], what: str) -> None:
    if not items:
        raise EmptyCollection(f"there are no {what}; give at least one")
