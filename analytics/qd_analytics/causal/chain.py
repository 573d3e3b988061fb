"""Models in a row: what one says enters the context that the next one reads.

Downstream rules read it with `FromContext`, as they read anything of a context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.context import Absent, Context
from qd_analytics.causal.contextoid import Datoid
from qd_analytics.causal.errors import ModelError, UnknownNode
from qd_analytics.causal.evaluation import BatchEvaluation, Evaluation
from qd_analytics.causal.inputs import Columns, Data, FromContext, Key
from qd_analytics.causal.model import Model
from qd_analytics.causal.plan import Path
from qd_analytics.causal.states import Codes

Part = tuple[tuple[npt.NDArray[np.intp], BatchEvaluation], ...]
"""A model's evaluations, each with the observations that it is about."""


@dataclass(frozen=True, slots=True)
class Passing:
    """What goes from one model into the context of the next.

    Attributes
    ----------
    to : FromContext
        What the next model's rules read: write it exactly as they do.
    node : str, int, path or None
        The node whose effect it is; None for the whole model's. True is 1, false 0; where
        there is no answer, the context has no value, and what reads it is not evaluated.
    """

    to: FromContext
    node: Key | Path | None = None


@dataclass(frozen=True, slots=True)
class ChainEvaluation:
    """One observation's evaluations, a record for each model."""

    records: tuple[Evaluation, ...]

    @property
    def last(self) -> Evaluation:
        """What the last model says."""
        return self.records[-1]

    @property
    def result(self) -> bool:
        """True or false, as `Evaluation.result` of the last model."""
        return self.last.result

    def explain(self) -> str:
        """All models in words, one after the other."""
        return "\n".join(record.explain() for record in self.records)


@dataclass(frozen=True, slots=True, eq=False)
class ChainBatch:
    """Many observations' evaluations.

    Attributes
    ----------
    parts : tuple
        For each model: its evaluations, each with the observations that it is about.
        Observations for which an upstream model has no answer are evaluated apart.
    rows : int
    """

    parts: tuple[Part, ...]
    rows: int

    def __len__(self) -> int:
        return self.rows

    @property
    def states(self) -> Codes:
        """What the last model says, as `State` values of shape (observations,)."""
        codes = np.zeros(self.rows, dtype=np.uint8)
        for rows, batch in self.parts[-1]:
            codes[rows] = batch.states
        return codes

    def row(self, row: int) -> ChainEvaluation:
        """One observation's records, the same as its evaluation alone."""
        if not 0 <= row < self.rows:
            raise IndexError(f"observation {row} of {self.rows}")
        return ChainEvaluation(tuple(_row_of(part, row) for part in self.parts))


def _row_of(part: Part, row: int) -> Evaluation:
    for rows, batch in part:
        at = int(np.searchsorted(rows, row))
        if at < len(rows) and rows[at] == row:
            return batch.row(at)
    raise AssertionError(f"observation {row} was not evaluated")


class Chain:
    """Models in a row.

    Parameters
    ----------
    first : Model
        The most upstream one.
    *links : (Passing or sequence of Passing, Model)
        What is passed on, and to which model. A model reads whatever was passed before it.
    """

    def __init__(self, first: Model, *links: tuple[Passing | Sequence[Passing], Model]) -> None:
        self.models = (first, *(model for _, model in links))
        self.passings = tuple(
            (passed,) if isinstance(passed, Passing) else tuple(passed) for passed, _ in links
        )
        for upstream, passings, model in zip(
            self.models, self.passings, self.models[1:], strict=False
        ):
            _check(upstream, passings, model)

    def evaluate(self, data: Data, *contexts: Context) -> ChainEvaluation:
        """Evaluate one observation through all models."""
        given: dict[Any, Any] = dict(data)
        records: list[Evaluation] = []
        for at, model in enumerate(self.models):
            if at:
                for passing in self.passings[at - 1]:
                    given[passing.to] = _passed(records[-1], passing, self.models[at - 1])
            records.append(model.evaluate(given, *contexts))
        return ChainEvaluation(tuple(records))

    def evaluate_batch(self, columns: Columns, *contexts: Context) -> ChainBatch:
        """Evaluate many observations; the same answers as one at a time."""
        given = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
        first = self.models[0].evaluate_batch(given, *contexts)
        rows = len(first)
        parts: list[Part] = [((np.arange(rows), first),)]
        for at, model in enumerate(self.models[1:]):
            for passing in self.passings[at]:
                given[passing.to] = _column(parts[-1], passing, rows)
            passed = {p.to: self.models[n].id for n in range(at + 1) for p in self.passings[n]}
            parts.append(_by_presence(model, given, passed, rows, contexts))
        return ChainBatch(tuple(parts), rows)


def pass_into(context: Context, passing: Passing, record: Evaluation) -> None:
    """Write what a model says into a context, for models that are evaluated later.

    The passing's index names a data node, or a node that relates to one. Where there is no
    answer, the number is removed.
    """
    target = passing.to
    node = target.index if isinstance(target.index, int) else context.pointed(target.index)
    if node is None:
        raise UnknownNode(f"context '{context.name}' has no {target.index}; point the name first")
    with context.changing():
        data = _datoid(context, node)
        value = _effect(record, passing)
        kept = {name: known for name, known in data.data.items() if name != target.field}
        context.update(Datoid(data.id, kept if value is None else {**kept, target.field: value}))


def _datoid(context: Context, node: int) -> Datoid:
    for found in (node, *context.related(node)):
        contextoid = context[found]
        if isinstance(contextoid, Datoid):
            return contextoid
    raise ModelError(f"node {node} of context '{context.name}' has no data node to write to")


def _check(upstream: Model, passings: Sequence[Passing], model: Model) -> None:
    wanted = model.causaloid.plan().from_contexts
    for passing in passings:
        if passing.node is not None:
            upstream.causaloid.plan().slot_of(passing.node)
        if passing.to not in wanted:
            reads = ", ".join(f"'{source}'" for source in wanted) or "no context"
            raise ModelError(
                f"'{passing.to}' is passed on to {model.causaloid!r}, which reads {reads}; "
                "pass what its rules read, written as they do"
            )


def _effect(record: Evaluation, passing: Passing) -> float | None:
    at = 0 if passing.node is None else record.plan.slot_of(passing.node)
    value = record.slot(at).value
    return None if value is None else float(value)


def _passed(record: Evaluation, passing: Passing, model: Model) -> float | Absent:
    value = _effect(record, passing)
    return _absent(model.id) if value is None else value


def _absent(model: int) -> Absent:
    return Absent(f"the upstream model {model} has no answer")


def _column(part: Part, passing: Passing, rows: int) -> npt.NDArray[np.float64]:
    column = np.full(rows, np.nan)
    for at, batch in part:
        column[at] = batch.node_values(passing.node)
    return column


def _by_presence(
    model: Model,
    given: Mapping[Any, npt.NDArray[np.float64]],
    passed: Mapping[FromContext, int],
    rows: int,
    contexts: Sequence[Context],
) -> Part:
    """Evaluate the observations that have the same passed values together."""
    there = [np.isfinite(given[source]) for source in passed]
    patterns, which = np.unique(np.stack(there, axis=1), axis=0, return_inverse=True)
    parts = []
    for number, pattern in enumerate(patterns):
        at = np.flatnonzero(which.reshape(-1) == number)
        columns: dict[Any, Any] = {name: column[at] for name, column in given.items()}
        for (source, upstream), present in zip(passed.items(), pattern, strict=True):
            if not present:
                columns[source] = _absent(upstream)
        parts.append((at, model.evaluate_batch(columns, *contexts)))
    return tuple(parts)
