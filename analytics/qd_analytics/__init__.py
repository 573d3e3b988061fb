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
from qd_analytics.causal.causaloid import (
    Causaloid,
    Collection,
    Singleton,
    threshold,
)
from qd_analytics.causal.context import Absent, Context, IndexName
from qd_analytics.causal.contextoid import (
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
from qd_analytics.causal.errors import AnalyticsError
from qd_analytics.causal.evaluation import BatchEvaluation, Evaluation, NodeResult
from qd_analytics.causal.graph import Graph
from qd_analytics.causal.inputs import FromContext, Logic
from qd_analytics.causal.model import Model
from qd_analytics.causal.observation import (
    Assumption,
    Inference,
    Inferences,
    Observation,
    Observations,
    Verdict,
)
from qd_analytics.causal.states import State

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
