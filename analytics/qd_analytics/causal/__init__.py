"""The causal library: declared rules over contexts. It knows no market, no topic, no service.

It evaluates rules; it does not discover causes and does not estimate effects.
"""

from __future__ import annotations

from qd_analytics.causal.building import build, number, probability, rule
from qd_analytics.causal.causaloid import Causaloid, Collection, Singleton, compare, threshold
from qd_analytics.causal.chain import Chain, ChainBatch, ChainEvaluation, Passing, pass_into
from qd_analytics.causal.checks import check
from qd_analytics.causal.columns import Names, Table
from qd_analytics.causal.context import Absent, Context, IndexName
from qd_analytics.causal.context_set import ContextSet
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
from qd_analytics.causal.effects import EffectKind
from qd_analytics.causal.errors import AnalyticsError
from qd_analytics.causal.evaluation import BatchEvaluation, Evaluation, NodeResult
from qd_analytics.causal.exporting import to_dot, to_mermaid
from qd_analytics.causal.graph import Graph
from qd_analytics.causal.inputs import FromCauses, FromContext, Logic, RelayTo
from qd_analytics.causal.machine import CausalAction, CausalState, CausalStateMachine, Firing, Guard
from qd_analytics.causal.model import Model
from qd_analytics.causal.observation import (
    Assumption,
    Inference,
    Inferences,
    Observation,
    Observations,
    Verdict,
)
from qd_analytics.causal.picture import draw, picture
from qd_analytics.causal.registry import REGISTRY, Registry, registered
from qd_analytics.causal.routing import RoutedEvaluation, evaluate_routed
from qd_analytics.causal.saving import load, save
from qd_analytics.causal.states import State
from qd_analytics.causal.text import text_of
from qd_analytics.causal.uncertain import (
    Bernoulli,
    Normal,
    Point,
    Samples,
    Uncertain,
    UncertainEvaluation,
    Uniform,
    evaluate_uncertain,
)

__all__ = [
    "REGISTRY",
    "Absent",
    "AnalyticsError",
    "Assumption",
    "BatchEvaluation",
    "Bernoulli",
    "CausalAction",
    "CausalState",
    "CausalStateMachine",
    "Causaloid",
    "Chain",
    "ChainBatch",
    "ChainEvaluation",
    "Collection",
    "Context",
    "ContextSet",
    "Contextoid",
    "ContextoidKind",
    "Datoid",
    "EffectKind",
    "Evaluation",
    "Firing",
    "FromCauses",
    "FromContext",
    "Graph",
    "Guard",
    "IndexName",
    "Inference",
    "Inferences",
    "Logic",
    "Model",
    "Names",
    "NodeResult",
    "Normal",
    "Observation",
    "Observations",
    "Passing",
    "Point",
    "Registry",
    "Relation",
    "RelayTo",
    "Root",
    "RoutedEvaluation",
    "Samples",
    "Singleton",
    "SpaceTempoid",
    "Spaceoid",
    "State",
    "Table",
    "Tempoid",
    "TimeScale",
    "Uncertain",
    "UncertainEvaluation",
    "Uniform",
    "Verdict",
    "build",
    "check",
    "compare",
    "draw",
    "evaluate_routed",
    "evaluate_uncertain",
    "load",
    "number",
    "pass_into",
    "picture",
    "probability",
    "registered",
    "rule",
    "save",
    "text_of",
    "threshold",
    "to_dot",
    "to_mermaid",
]
