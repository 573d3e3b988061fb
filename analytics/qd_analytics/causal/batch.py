"""Evaluate many observations at once: the plan over arrays of shape (nodes, observations).

First every elementwise rule runs, nodes with the same rule in one call; then the plan's
stages close what causes leave closed, and run what must wait for its causes. Answers equal
those of `single`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.closing import (
    acceptable,
    closed_codes,
    closed_values,
    exceeding,
    joined,
    truth_values,
)
from qd_analytics.causal.columns import ReadColumns, Table
from qd_analytics.causal.context import Absent
from qd_analytics.causal.effects import Effect, EffectKind, Values
from qd_analytics.causal.evaluation import BatchEvaluation
from qd_analytics.causal.inputs import Columns, Logic, RelayTo, RuleFunction
from qd_analytics.causal.plan import CAUSES, Close, Plan, Rule, Slot
from qd_analytics.causal.reading import Column, Refused, Snapshot
from qd_analytics.causal.single import run_rule
from qd_analytics.causal.states import ERROR, FALSE, TRUE, Codes, codes_of
from qd_analytics.causal.sweep import Group, Sweep

GROUP_CELLS_MAX = 1 << 17  # numbers handed to a rule in one call; 1 MiB stays in the cache

Mask = npt.NDArray[np.bool_]


def evaluate_columns(plan: Plan, columns: Columns | Table, snapshot: Snapshot) -> BatchEvaluation:
    """Evaluate a plan for columns of equal length; see `Causaloid.evaluate_batch`."""
    read = ReadColumns(plan, columns, snapshot)
    evaluator = _Evaluator(plan, read)
    with np.errstate(divide="raise", over="raise", invalid="raise", under="ignore"):
        evaluator.run_rules()
        evaluator.close()
    evaluator.codes.flags.writeable = False
    evaluator.values.flags.writeable = False
    return BatchEvaluation(
        plan, evaluator.codes, evaluator.values, read, evaluator.failures, evaluator.relays
    )


class _Evaluator:
    """The state of one evaluation while it runs."""

    def __init__(self, plan: Plan, read: ReadColumns) -> None:
        self.plan = plan
        self.read = read
        self.rows = read.rows
        self.codes: Codes = np.zeros((len(plan.slots), self.rows), dtype=np.uint8)
        self.values: Values = np.full((len(plan.values), self.rows), np.nan)
        self.failures: dict[int, dict[int, str]] = {}
        self.relays: dict[int, dict[int, RelayTo]] = {}
        # One by one: the rows where these rules may run are known only when causes are.
        self.one_by_one: set[int] = set()
        self._finite: dict[int, Mask | None] = {}
        self._opens: dict[int, Codes | None] = {}

    def _usable(self, rule: Rule) -> Mask | None:
        """Where all that a rule reads may be read; None where that is everywhere."""
        found = []
        for place in rule.inputs:
            if place == CAUSES:
                continue
            if place not in self._finite:
                self._finite[place] = self.read.finite(place)
            if (mask := self._finite[place]) is not None:
                found.append(mask)
        if len(found) < 2:
            return found[0] if found else None
        usable: Mask = np.logical_and.reduce(found)
        return usable

    # Rules that need not wait

    def run_rules(self) -> None:
        """Let every rule that reads no causes say what it would, whatever its causes say."""
        for at, rule in self.plan.single_rules:
            self._run_rule(at, rule)
        for group in self.plan.groups:
            if not self._run_group(group):
                for at in group.slots.tolist():
                    rule = self.plan.slots[at].rule
                    assert rule is not None  # groups are of rules
                    self._run_rule(at, rule)

    def _run_group(self, group: Group) -> bool:
        """One call for many nodes; False where only a closer look can tell."""
        step = max(1, GROUP_CELLS_MAX // max(1, self.rows))
        for first in range(0, len(group.slots), step):
            part = slice(first, first + step)
            blocks = [self.read.block(places[part]) for places in group.places]
            if any(block is None for block in blocks):
                return False
            answers = _group_answers(group, part, blocks)
            if answers is None:
                return False
            self._store(group.slots[part], answers)
        return True

    def _store(self, part: npt.NDArray[np.intp], answers: Mask) -> None:
        if part[-1] - part[0] == len(part) - 1:  # neighbours: write in place
            rows = self.codes[part[0] : part[-1] + 1]
            np.subtract(FALSE, answers.view(np.uint8), out=rows)
        else:
            self.codes[part] = codes_of(answers)

    def _run_rule(self, at: int, rule: Rule) -> None:
        columns = [self.read.column(place) for place in rule.inputs]
        usable = self._usable(rule)
        if not self._readable(at, columns, usable):
            return
        if not rule.elementwise:
            self.one_by_one.add(at)
            return
        values = [_narrowed(column, usable) for column in columns]
        answers = _answers(rule.function, values, _length(values))
        if answers is None:
            self.one_by_one.add(at)
        elif usable is None:
            np.subtract(FALSE, answers.view(np.uint8), out=self.codes[at])
        else:
            self.codes[at] = ERROR
            self.codes[at][usable] = codes_of(answers)

    def _readable(self, at: int, columns: Sequence[Column], usable: Mask | None) -> bool:
        """Whether a rule can run anywhere; if not, its states are set."""
        if any(isinstance(column, Refused) for column in columns):
            self.codes[at] = ERROR
            return False
        if any(isinstance(column, Absent) for column in columns):
            if usable is not None:
                self.codes[at][~usable] = ERROR
            return False
        return True

    # Causes

    def close(self) -> None:
        """Follow the stages: what a cause leaves closed was not evaluated."""
        for stage in self.plan.stages:
            if isinstance(stage, Close):
                self._close(stage)
            elif isinstance(stage, Sweep):
                self._sweep(stage)
            else:
                self._open(stage)

    def _sweep(self, sweep: Sweep) -> None:
        if self.one_by_one and not self.one_by_one.isdisjoint(sweep.slots.tolist()):
            for at in sweep.slots.tolist():
                self._open(at)
        else:
            sweep.close(self.codes, self._opens.get(sweep.parent))

    def _open(self, at: int) -> None:
        slot = self.plan.slots[at]
        open_ = self._opened(slot)
        if slot.rule is None:
            self._opens[at] = open_
            return
        if slot.late:
            self._run_late(at, slot, slot.rule, open_)
        elif at in self.one_by_one:
            usable = self._usable(slot.rule)
            columns = [self.read.column(place) for place in slot.rule.inputs]
            self._prepare(at, usable)
            self._one_by_one(at, slot, columns, _both(open_, usable, self.rows))
        if open_ is not None:
            np.multiply(self.codes[at], open_, out=self.codes[at])

    def _opened(self, slot: Slot) -> Codes | None:
        """1 where a node is open, 0 elsewhere; None where it is open everywhere."""
        open_ = self._opens.get(slot.parent)
        if slot.join is Logic.ANY and len(slot.causes) > 1:
            codes = self.codes[list(slot.causes)]
            occurring = np.bitwise_or.reduce(codes, axis=0)
            any_: Codes = (occurring & TRUE) * (occurring & ERROR == 0)
            return any_ if open_ is None else open_ & any_
        for cause in slot.causes:
            true = self.codes[cause] & TRUE
            open_ = true if open_ is None else open_ & true
        return open_

    def _close(self, step: Close) -> None:
        first, last = step.children[0], step.children[-1]
        adjacent = last - first == len(step.children) - 1
        inside = self.codes[first : last + 1] if adjacent else self.codes[list(step.children)]
        open_ = self._opens.get(step.slot)
        if step.valued:
            places = [self.plan.values[n] for n in step.valued]
            codes, values = self.codes[list(step.valued)], self.values[places]
            slot = self.plan.slots[step.slot]
            state, value = closed_values(step, slot, inside, codes, values)
            self.values[self.plan.values[step.slot]] = (
                value if open_ is None else np.where(open_ != 0, value, np.nan)
            )
        else:
            state = closed_codes(step, inside)
        self.codes[step.slot] = state if open_ is None else state * open_

    # Rules that wait

    def _prepare(self, at: int, usable: Mask | None) -> None:
        self.codes[at] = 0
        if usable is not None:
            self.codes[at][~usable] = ERROR

    def _run_late(self, at: int, slot: Slot, rule: Rule, open_: Codes | None) -> None:
        columns = [
            self._incoming(slot) if place == CAUSES else self.read.column(place)
            for place in rule.inputs
        ]
        usable = self._usable(rule)
        if not self._readable(at, columns, usable):
            return
        self._prepare(at, usable)
        wanted = _both(open_, usable, self.rows)
        if not rule.elementwise or not self._elementwise(at, slot, rule, columns, wanted):
            self._one_by_one(at, slot, columns, wanted)

    def _incoming(self, slot: Slot) -> Values:
        effect = self.plan.slots[slot.causes[0]].effect
        codes = self.codes[list(slot.causes)]
        if effect.kind is EffectKind.TRUTH:
            values = truth_values(codes)
        else:
            values = self.values[[self.plan.values[n] for n in slot.causes]]
        return joined(effect, slot.join, codes, values)

    def _elementwise(
        self, at: int, slot: Slot, rule: Rule, columns: Sequence[Column], wanted: Mask
    ) -> bool:
        """Run a rule on the wanted rows at once; False where it must be asked one by one."""
        values = [_narrowed(column, wanted) for column in columns]
        rows = int(np.count_nonzero(wanted))
        if rows == 0:
            return True
        if slot.effect.kind is EffectKind.TRUTH:
            answers = _answers(rule.function, values, rows)
            if answers is not None:
                self.codes[at][wanted] = codes_of(answers)
            return answers is not None
        numbers = _numbers(rule.function, values, rows, slot.effect)
        if numbers is None:
            return False
        self.codes[at][wanted] = exceeding(slot.effect, numbers)
        self.values[self.plan.values[at]][wanted] = numbers
        return True

    def _one_by_one(self, at: int, slot: Slot, columns: Sequence[Any], wanted: Mask) -> None:
        rule = slot.rule
        assert rule is not None  # the caller looked
        place = self.plan.values.get(at)
        for row in np.flatnonzero(wanted).tolist():
            read = [np.float64(c[row] if isinstance(c, np.ndarray) else c) for c in columns]
            self.codes[at, row], value, note = run_rule(rule.function, read, slot.effect)
            if value is not None and place is not None:
                self.values[place, row] = value
            if isinstance(note, RelayTo):
                self.relays.setdefault(at, {})[row] = note
            elif note is not None:
                self.failures.setdefault(at, {})[row] = note


def _both(open_: Codes | None, usable: Mask | None, rows: int) -> Mask:
    wanted = np.ones(rows, dtype=np.bool_) if open_ is None else open_ != 0
    return wanted if usable is None else wanted & usable


def _narrowed(column: Any, usable: Mask | None) -> Any:
    if not isinstance(column, np.ndarray):
        return np.float64(column)
    return column if usable is None else column[usable]


def _length(values: Sequence[Any]) -> int | None:
    return next((len(value) for value in values if isinstance(value, np.ndarray)), None)


def _group_answers(group: Group, part: slice, blocks: Sequence[Any]) -> Mask | None:
    """What a group's rule says to arrays of shape (slots, rows); None as for `_answers`."""
    shape = blocks[0].shape
    if group.limits is not None:
        answers: Mask = group.function(blocks[0], group.limits[part])
        return np.ascontiguousarray(answers)
    flat = [block.reshape(-1) for block in blocks]
    answered = _answers(group.function, flat, flat[0].size)
    return None if answered is None else answered.reshape(shape)


def _answers(rule: RuleFunction, values: Sequence[Any], rows: int | None) -> Mask | None:
    """What an elementwise rule says to arrays; None where it must be asked one by one."""
    try:
        answers = rule(*values)
    except Exception:  # which row it was, and the message, come from asking one by one
        return None
    if isinstance(answers, (bool, np.bool_)):
        return np.full(1 if rows is None else rows, answers, dtype=np.bool_)
    if isinstance(answers, np.ndarray) and answers.shape == (rows,) and answers.dtype == np.bool_:
        return answers
    return None


def _numbers(rule: RuleFunction, values: Sequence[Any], rows: int, effect: Effect) -> Values | None:
    """The same for a rule that says numbers."""
    try:
        answers = rule(*values)
    except Exception:  # as above
        return None
    if isinstance(answers, (bool, np.bool_)):
        return None
    if isinstance(answers, (int, float, np.floating, np.integer)):
        answers = np.full(rows, answers, dtype=np.float64)
    if not isinstance(answers, np.ndarray) or answers.shape != (rows,):
        return None
    if answers.dtype.kind not in "fiu":
        return None
    numbers: Values = answers.astype(np.float64)
    return numbers if acceptable(effect.kind, numbers) else None
