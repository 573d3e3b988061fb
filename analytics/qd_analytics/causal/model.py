"""A model: a causaloid with the contexts it reads and the assumptions it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from qd_analytics.causal.causaloid import Causaloid
from qd_analytics.causal.context import Context
from qd_analytics.causal.context_set import ContextSet
from qd_analytics.causal.evaluation import BatchEvaluation, Evaluation
from qd_analytics.causal.inputs import Columns, Data
from qd_analytics.causal.observation import Assumption, Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A causaloid with all that it needs to be asked.

    Attributes
    ----------
    id : int
        Names the model in alerts.
    causaloid : Causaloid
        The rules.
    contexts : tuple of Context, or ContextSet
        Contexts of the model itself; a stream's own are passed when it is asked.
    assumptions : tuple of Assumption
    version : int
    """

    id: int
    causaloid: Causaloid
    author: str = ""
    description: str = ""
    contexts: tuple[Context, ...] | ContextSet = ()
    assumptions: tuple[Assumption, ...] = ()
    version: int = 1

    def evaluate(self, data: Data, *contexts: Context) -> Evaluation:
        """Evaluate one observation over the given contexts and the model's own."""
        return self.causaloid.evaluate(data, *contexts, *self.contexts)

    def evaluate_batch(self, columns: Columns, *contexts: Context) -> BatchEvaluation:
        """Evaluate many observations at once; the same answers as one at a time."""
        return self.causaloid.evaluate_batch(columns, *contexts, *self.contexts)

    def verify(self, data: Data) -> tuple[Verdict, ...]:
        """Check every assumption against data."""
        return tuple(assumption.verify(data) for assumption in self.assumptions)
