"""Causal rules over a rolling context, the breakout model, and the alert service.

The library evaluates declared causal rules over a context. It does not discover causes
and does not estimate effects.
"""

from __future__ import annotations

from qd_analytics.breakout import (
    AlertPolicy,
    BreakoutEvaluation,
    BreakoutRule,
    MonthlyBreakout,
    monthly_breakout_model,
)
from qd_analytics.causaloid import (
    Causaloid,
    Collection,
    Singleton,
    threshold,
)
from qd_analytics.context import Absent, Context, IndexName
from qd_analytics.contextoid import (
    Contextoid,
    ContextoidKind,
    Datoid,
    Relation,
    Root,
    Spaceoid,
    SpaceTempoid,
    Tempoid,
    TimeScale,
)
from qd_analytics.errors import AnalyticsError
from qd_analytics.evaluation import BatchEvaluation, Evaluation, NodeResult
from qd_analytics.graph import Graph
from qd_analytics.inputs import FromContext, Logic
from qd_analytics.model import Model
from qd_analytics.observation import (
    Assumption,
    Inference,
    Inferences,
    Observation,
    Observations,
    Verdict,
)
from qd_analytics.states import State

__all__ = [
    "Absent",
    "AlertPolicy",
    "AnalyticsError",
    "Assumption",
    "BatchEvaluation",
    "BreakoutEvaluation",
    "BreakoutRule",
    "Causaloid",
    "Collection",
    "Context",
    "Contextoid",
    "ContextoidKind",
    "Datoid",
    "Evaluation",
    "FromContext",
    "Graph",
    "IndexName",
    "Inference",
    "Inferences",
    "Logic",
    "Model",
    "MonthlyBreakout",
    "NodeResult",
    "Observation",
    "Observations",
    "Relation",
    "Root",
    "Singleton",
    "SpaceTempoid",
    "Spaceoid",
    "State",
    "Tempoid",
    "TimeScale",
    "Verdict",
    "monthly_breakout_model",
    "threshold",
]
