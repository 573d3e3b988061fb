"""What of a plan can be evaluated together: rules in one call, neighbours in one sweep."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qd_analytics.causal.comparison import Comparison
from qd_analytics.causal.inputs import FromContext, Input, Logic
from qd_analytics.causal.sweep import SWEEP_NODES_MIN, Group, Sweep, sweep_of

if TYPE_CHECKING:
    from qd_analytics.causal.plan import Slot, Step


def groups_of(slots: Sequence[Slot], inputs: Sequence[Input]) -> tuple[Group, ...]:
    """Rules that one call evaluates: the same function, or comparisons of the same kind."""
    found: dict[object, list[int]] = {}
    for at, slot in enumerate(slots):
        rule = slot.rule
        if rule is None or not slot.asked or slot.late or not rule.elementwise:
            continue
        if any(isinstance(inputs[place], FromContext) for place in rule.inputs):
            continue
        key = (_same(rule.function), len(rule.inputs))
        found.setdefault(key, []).append(at)
    return tuple(_group(slots, group) for group in found.values() if len(group) > 1)


def _same(function: Any) -> object:
    if isinstance(function, Comparison):
        return Comparison, function.sign
    return function if isinstance(function, Hashable) else id(function)


def _group(slots: Sequence[Slot], group: Sequence[int]) -> Group:
    rules = [rule for at in group if (rule := slots[at].rule) is not None]
    first = rules[0].function
    places = np.array([rule.inputs for rule in rules], dtype=np.intp).T
    limits = None
    if isinstance(first, Comparison):
        held = [rule.function for rule in rules]
        limits = np.array([c.limit for c in held if isinstance(c, Comparison)])[:, np.newaxis]
        first = first.sign.ufunc
    slots_ = np.array(group, dtype=np.intp)
    return Group(slots_, np.ascontiguousarray(places), first, limits)


def stages_of(slots: Sequence[Slot], steps: Iterable[Step]) -> tuple[Step | Sweep, ...]:
    """The steps, with neighbouring plain rules of one parent taken together."""
    stages: list[Step | Sweep] = []
    run: list[int] = []

    def end_run() -> None:
        if len(run) >= SWEEP_NODES_MIN:
            causes = [slots[at].causes for at in run]
            stages.append(sweep_of(run, causes, slots[run[0]].parent))
        else:
            stages.extend(run)
        run.clear()

    for step in steps:
        if not isinstance(step, int) or not _plain(slots[step]):
            end_run()
            stages.append(step)
            continue
        if run and slots[run[-1]].parent != slots[step].parent:
            end_run()
        run.append(step)
    end_run()
    return tuple(stages)


def _plain(slot: Slot) -> bool:
    rule = slot.rule
    if rule is None or slot.late or not rule.elementwise:
        return False
    return slot.join is Logic.ALL or len(slot.causes) < 2
