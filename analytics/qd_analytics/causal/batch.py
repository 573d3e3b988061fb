"""Evaluate many observations at once: the plan over arrays of shape (nodes, observations).

First every elementwise rule runs, nodes with the same rule in one call; then one walk over
the plan closes what its causes leave closed. Answers equal those of `single`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.context import Absent
from qd_analytics.causal.errors import DataShapeError
from qd_analytics.causal.evaluation import BatchEvaluation, Column
from qd_analytics.causal.inputs import Columns, Input, Logic, RuleFunction
from qd_analytics.causal.plan import Close, Plan, Rule
from qd_analytics.causal.reading import Refused, Snapshot
from qd_analytics.causal.single import run_rule
from qd_analytics.causal.states import (
    ERROR,
    TRUE,
    Codes,
    State,
    all_of,
    at_least,
    codes_of,
    negated,
)

GROUP_CELLS_MAX = 1 << 17  # numbers handed to a rule in one call; 1 MiB stays in the cache

Failures = dict[int, dict[int, str]]


def evaluate_columns(plan: Plan, columns: Columns, snapshot: Snapshot) -> BatchEvaluation:
    """Evaluate a plan for columns of equal length; see `Causaloid.evaluate_batch`."""
    rows = _rows(columns)
    read = tuple(
        _column(source, columns) if known is None else known
        for source, known in zip(plan.inputs, snapshot, strict=True)
    )
    evaluator = _Evaluator(plan, read, rows)
    with np.errstate(divide="raise", over="raise", invalid="raise", under="ignore"):
        evaluator.run_rules()
        evaluator.close()
    evaluator.codes.flags.writeable = False
    return BatchEvaluation(plan, evaluator.codes, read, evaluator.failures)


def _rows(columns: Columns) -> int:
    lengths = {str(name): np.shape(column) for name, column in columns.items()}
    shapes = set(lengths.values())
    if len(shapes) != 1 or len(shape := shapes.pop()) != 1:
        raise DataShapeError(
            f"columns have the shapes {lengths}; expected one-dimensional columns of one length"
        )
    return int(shape[0])


def _column(source: Input, columns: Columns) -> Column:
    if source not in columns:
        return Refused(f"the data has no value for {source!r}")
    try:
        return np.ascontiguousarray(columns[source], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataShapeError(f"the column {source!r} does not hold numbers: {error}") from None


class _Evaluator:
    """The state of one evaluation while it runs."""

    def __init__(self, plan: Plan, read: tuple[Column, ...], rows: int) -> None:
        self.plan = plan
        self.read = read
        self.rows = rows
        self.codes: Codes = np.zeros((len(plan.slots), rows), dtype=np.uint8)
        self.failures: Failures = {}
        # One by one: the rows where these rules may run are known only when causes are.
        self.one_by_one: set[int] = set()
        self._finite: dict[int, npt.NDArray[np.bool_] | None] = {}

    def _usable(self, rule: Rule) -> npt.NDArray[np.bool_] | None:
        """Where all that a rule reads may be read; None where that is everywhere."""
        for place in rule.inputs:
            if place not in self._finite:
                self._finite[place] = _finite_rows(self.read[place])
        found = [mask for place in rule.inputs if (mask := self._finite[place]) is not None]
        return np.logical_and.reduce(found) if found else None

    # Rules

    def run_rules(self) -> None:
        """Let every rule say what it would, whatever its causes say."""
        grouped: set[int] = set()
        for group in self.plan.groups:
            if self._run_group(group):
                grouped.update(group)
        for at, slot in enumerate(self.plan.slots):
            if slot.asked and slot.rule is not None and at not in grouped:
                self._run_rule(at, slot.rule)

    def _run_group(self, group: tuple[int, ...]) -> bool:
        """One call for many nodes; False where only a closer look can tell."""
        rules = [rule for at in group if (rule := self.plan.slots[at].rule) is not None]
        columns = [self.read[rule.inputs[0]] for rule in rules]
        if any(isinstance(column, Refused) for column in columns):
            return False
        step = max(1, GROUP_CELLS_MAX // max(1, self.rows))
        for first in range(0, len(group), step):
            part = group[first : first + step]
            values = np.stack(columns[first : first + step])  # type: ignore[arg-type]
            if not np.isfinite(values).all():
                return False
            answers = _answers(rules[0].function, [values.reshape(-1)], values.size)
            if answers is None:
                return False
            self._store(part, answers.reshape(values.shape))
        return True

    def _store(self, part: tuple[int, ...], answers: npt.NDArray[np.bool_]) -> None:
        if part[-1] - part[0] == len(part) - 1:  # neighbours: write in place
            rows = self.codes[part[0] : part[-1] + 1]
            np.subtract(np.uint8(State.FALSE), answers.view(np.uint8), out=rows)
        else:
            self.codes[list(part)] = codes_of(answers)

    def _run_rule(self, at: int, rule: Rule) -> None:
        columns = [self.read[place] for place in rule.inputs]
        if any(isinstance(column, Refused) for column in columns):
            self.codes[at] = ERROR
            return
        usable = self._usable(rule)
        if any(isinstance(column, Absent) for column in columns):
            if usable is not None:
                self.codes[at][~usable] = ERROR
            return
        if not rule.elementwise:
            self.one_by_one.add(at)
            return
        self._run_elementwise(at, rule.function, columns, usable)

    def _run_elementwise(
        self,
        at: int,
        rule: RuleFunction,
        columns: Sequence[Any],
        usable: npt.NDArray[np.bool_] | None,
    ) -> None:
        values = [_narrowed(column, usable) for column in columns]
        arrays = [value for value in values if isinstance(value, np.ndarray)]
        answers = _answers(rule, values, len(arrays[0]) if arrays else None)
        if answers is None:
            self.one_by_one.add(at)
        elif usable is None:
            self.codes[at] = codes_of(answers)
        else:
            self.codes[at] = ERROR
            self.codes[at][usable] = codes_of(answers)

    # Causes

    def close(self) -> None:
        """Walk the plan: what a cause leaves closed was not evaluated."""
        opens: list[Codes | None] = [None] * len(self.plan.slots)
        for step in self.plan.steps:
            if isinstance(step, Close):
                self._combine(step, opens[step.slot])
                continue
            slot = self.plan.slots[step]
            open_ = opens[slot.parent] if slot.parent >= 0 else None
            for cause in slot.causes:
                true = self.codes[cause] & TRUE
                open_ = true if open_ is None else open_ & true
            if slot.rule is None:
                opens[step] = open_
                continue
            if step in self.one_by_one:
                self._run_one_by_one(step, slot.rule, open_)
            if open_ is not None:
                np.multiply(self.codes[step], open_, out=self.codes[step])

    def _combine(self, step: Close, open_: Codes | None) -> None:
        first, last = step.children[0], step.children[-1]
        adjacent = last - first == len(step.children) - 1
        inside = self.codes[first : last + 1] if adjacent else self.codes[list(step.children)]
        if step.logic is Logic.ALL:
            state = all_of(inside)
        else:
            state = at_least(inside, step.count)
            state = negated(state) if step.logic is Logic.NONE else state
        self.codes[step.slot] = state if open_ is None else state * open_

    def _run_one_by_one(self, at: int, rule: Rule, open_: Codes | None) -> None:
        usable = self._usable(rule)
        if usable is not None:
            self.codes[at] = np.where(usable, np.uint8(0), ERROR)
        wanted = np.ones(self.rows, dtype=np.bool_) if open_ is None else open_ != 0
        if usable is not None:
            wanted = wanted & usable
        columns = [self.read[place] for place in rule.inputs]
        for row in np.flatnonzero(wanted).tolist():
            values = [np.float64(c[row] if isinstance(c, np.ndarray) else c) for c in columns]  # type: ignore[arg-type]
            self.codes[at, row], failure = run_rule(rule.function, values)
            if failure is not None:
                self.failures.setdefault(at, {})[row] = failure


def _finite_rows(column: Column) -> npt.NDArray[np.bool_] | None:
    if not isinstance(column, np.ndarray):
        return None
    finite = np.isfinite(column)
    return None if finite.all() else finite


def _narrowed(column: Any, usable: npt.NDArray[np.bool_] | None) -> Any:
    if not isinstance(column, np.ndarray):
        return np.float64(column)
    return column if usable is None else column[usable]


def _answers(rule: RuleFunction, values: Sequence[Any], rows: int | None) -> Any:
    """What an elementwise rule says to arrays; None where it must be asked one by one."""
    try:
        answers = rule(*values)
    except Exception:  # which row it was, and the message, come from asking one by one
        return None
    if rows is None or isinstance(answers, (bool, np.bool_)):
        if not isinstance(answers, (bool, np.bool_)):
            return None
        return np.full(1 if rows is None else rows, answers, dtype=np.bool_)
    if isinstance(answers, np.ndarray) and answers.shape == (rows,) and answers.dtype == np.bool_:
        return answers
    return None
