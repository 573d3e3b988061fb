"""How a plan is asked: contexts are read once, then one observation or many are evaluated."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from qd_analytics.causal.batch import evaluate_columns
from qd_analytics.causal.columns import Names, Table
from qd_analytics.causal.context import Absent, Context
from qd_analytics.causal.evaluation import BatchEvaluation, Evaluation
from qd_analytics.causal.inputs import Columns, Data, FromContext
from qd_analytics.causal.plan import Plan
from qd_analytics.causal.reading import NO_OVERLAY, Overlay, Refused, checked, snapshot_of
from qd_analytics.causal.single import evaluate_one

SLOTS_MANY: Final = 256
"""From here on one observation is evaluated as an array of one: fewer, larger steps."""

_PLAIN: Final = frozenset({float, np.float64})

_names: weakref.WeakKeyDictionary[Plan, Names] = weakref.WeakKeyDictionary()


def one(plan: Plan, data: Data, contexts: Sequence[Context]) -> Evaluation:
    """Evaluate one observation."""
    snapshot = snapshot_of(plan.from_contexts, contexts, _overlay(plan, data))
    if len(plan.slots) >= SLOTS_MANY and 2 * len(plan.stages) < len(plan.steps):
        names = _names_of(plan)
        values = [data.get(name) for name in names.names]
        if _PLAIN.issuperset(map(type, values)):
            table = Table(names, np.array([values], dtype=np.float64))
            return evaluate_columns(plan, table, snapshot).row(0)
    return evaluate_one(plan, data, snapshot)


def many(plan: Plan, columns: Columns | Table, contexts: Sequence[Context]) -> BatchEvaluation:
    """Evaluate many observations."""
    if isinstance(columns, Table):
        return evaluate_columns(plan, columns, snapshot_of(plan.from_contexts, contexts))
    overlay = _overlay(plan, columns)
    snapshot = snapshot_of(plan.from_contexts, contexts, overlay)
    if overlay:
        columns = {name: column for name, column in columns.items() if name not in overlay}
    return evaluate_columns(plan, columns, snapshot)


def _names_of(plan: Plan) -> Names:
    """The names that a plan's rules read from the data."""
    names = _names.get(plan)
    if names is None:
        names = Names(source for source in plan.inputs if not isinstance(source, FromContext))
        _names[plan] = names
    return names


def _overlay(plan: Plan, data: Mapping[Any, Any]) -> Overlay:
    """What the data give in place of contexts."""
    if not plan.from_contexts:
        return NO_OVERLAY
    return {
        source: _checked(source, data[source]) for source in plan.from_contexts if source in data
    }


def _checked(source: FromContext, value: Any) -> Any:
    if isinstance(value, (Absent, Refused)):
        return value
    if np.ndim(value):
        return np.ascontiguousarray(value, dtype=np.float64)
    return checked(source, float(value))
