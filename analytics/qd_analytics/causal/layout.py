"""Lays causaloids out into plans. Each form of causaloid says itself what is inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from qd_analytics.causal.effects import TRUTH, Effect, EffectKind
from qd_analytics.causal.errors import ModelError
from qd_analytics.causal.inputs import FromCauses, FromContext, Input, Key, Logic, RuleFunction
from qd_analytics.causal.plan import CAUSES, Close, Path, Plan, Rule, Slot, Step
from qd_analytics.causal.staging import groups_of, stages_of
from qd_analytics.causal.sweep import Group


class LaidOut(Protocol):
    """What can be laid out."""

    @property
    def id(self) -> Key:
        """Its name among its neighbours."""
        ...

    @property
    def description(self) -> str:
        """What it says."""
        ...

    def lay_out(self, layout: Layout, at: int) -> None:
        """Say what is at slot `at`: a rule, members, or nodes with causes."""
        ...


Node = tuple[Key, LaidOut, Sequence[Key], Logic]
"""A graph's node: its id, the node, its direct causes, how they join."""


class Layout:
    """A plan while it is being made."""

    def __init__(self) -> None:
        self._slots: list[Slot] = []
        self._steps: list[Step] = []
        self._inputs: dict[Input, int] = {}
        self._inside: dict[int, tuple[int, ...]] = {}
        self._sinks: tuple[int, ...] = (0,)

    def place(
        self,
        node: LaidOut,
        path: Path = (),
        parent: int = -1,
        causes: tuple[int, ...] = (),
        asked: bool = True,
        lay_out: Callable[[Layout, int], None] | None = None,
        join: Logic = Logic.ALL,
    ) -> int:
        """Add a node with all inside it; returns its slot."""
        at = len(self._slots)
        slot = Slot(node.id, node.description, path, parent, causes, asked, None, join)
        self._slots.append(slot)
        if asked:
            self._steps.append(at)
        (lay_out or node.lay_out)(self, at)
        return at

    def rule(
        self,
        at: int,
        function: RuleFunction,
        inputs: Iterable[Input | FromCauses],
        elementwise: bool,
        effect: Effect = TRUTH,
    ) -> None:
        """The slot is one rule."""
        slot = self._slots[at]
        places = tuple(self._input(slot, entry) for entry in inputs)
        self._slots[at] = Slot(  # not `replace`, which takes longer than all else here
            slot.id,
            slot.description,
            slot.path,
            slot.parent,
            slot.causes,
            slot.asked,
            Rule(function, places, elementwise),
            slot.join,
            effect,
            effect.kind is not EffectKind.TRUTH or CAUSES in places,
        )

    def _input(self, slot: Slot, entry: Input | FromCauses) -> int:
        if isinstance(entry, FromCauses):
            if slot.causes:
                self._one_kind(slot, slot.causes, "causes")
                return CAUSES
            entry = entry.start
        return self._inputs.setdefault(entry, len(self._inputs))

    def members(
        self, at: int, members: Sequence[LaidOut], logic: Logic, count: int, threshold: float | None
    ) -> None:
        """The slot combines members that do not wait for each other."""
        slot = self._slots[at]
        ids = [member.id for member in members]
        # Members may share an id; their place tells them apart.
        names: Sequence[Key] = ids if len(set(ids)) == len(ids) else range(len(ids))
        inside = self._inside[at] = tuple(
            self.place(member, (*slot.path, name), at, (), slot.asked)
            for name, member in zip(names, members, strict=True)
        )
        kind = self._one_kind(slot, inside, "members")
        self._check_threshold(slot, kind, logic, threshold)
        counted = logic in (Logic.NONE, Logic.AT_LEAST)
        members_exceed = threshold if counted else None
        if kind is not EffectKind.TRUTH:
            # Counting says 1 or 0 already; else the combined value is held against it.
            own = 0.5 if counted and threshold is not None else threshold
            self._slots[at] = replace(self._slots[at], effect=Effect(kind, own))
        if slot.asked:
            valued = inside if kind is not EffectKind.TRUTH else ()
            effect = Effect(kind, members_exceed)
            self._steps.append(Close(at, inside, logic, count, valued, effect))

    def _one_kind(self, slot: Slot, others: Sequence[int], what: str) -> EffectKind:
        kinds = {self._slots[other].effect.kind for other in others}
        if len(kinds) > 1:
            shown = ", ".join(
                f"{self._slots[n].id!r} a {self._slots[n].effect.kind.value}" for n in others
            )
            raise ModelError(
                f"the {what} of {slot.id!r} say different kinds of things ({shown}); "
                "only effects of one kind combine"
            )
        return kinds.pop()

    def _check_threshold(
        self, slot: Slot, kind: EffectKind, logic: Logic, threshold: float | None
    ) -> None:
        if kind is EffectKind.TRUTH and threshold is not None:
            raise ModelError(
                f"collection {slot.id!r} has a threshold, but its members say true or false; "
                "a threshold goes with numbers and probabilities"
            )
        counted = logic in (Logic.NONE, Logic.AT_LEAST)
        if kind is EffectKind.NUMBER and counted and threshold is None:
            raise ModelError(
                f"collection {slot.id!r} counts numbers ({logic.value}); "
                "give it the threshold that they are to exceed"
            )

    def nodes(
        self,
        at: int,
        nodes: Iterable[Node],
        only: set[Key] | None = None,
        edges: set[tuple[Key, Key]] | None = None,
    ) -> None:
        """The slot is a graph.

        Parameters
        ----------
        nodes : iterable of Node
            Causes before effects.
        only : set, optional
            The nodes that are asked for; all without it.
        edges : set, optional
            The edges that count; all between those nodes without it.
        """
        outer = self._slots[at]
        slots: dict[Key, int] = {}
        for id_, node, before, join in nodes:
            asked = outer.asked and (only is None or id_ in only)
            causes = tuple(
                slots[cause]
                for cause in before
                if self._slots[slots[cause]].asked and (edges is None or (cause, id_) in edges)
            )
            path = (*outer.path, id_)
            slots[id_] = self.place(node, path, at, causes if asked else (), asked, join=join)
        self._inside[at] = tuple(slots.values())
        inside = tuple(slot for slot in self._inside[at] if self._slots[slot].asked)
        with_effects = {cause for slot in inside for cause in self._slots[slot].causes}
        sinks = tuple(slot for slot in inside if slot not in with_effects)
        if at == 0:
            self._sinks = sinks
        if outer.asked:
            self._close(at, inside, sinks)

    def _close(self, at: int, inside: tuple[int, ...], sinks: tuple[int, ...]) -> None:
        """A graph is true when all its nodes are; its value is its sinks', combined."""
        kinds = {self._slots[sink].effect.kind for sink in sinks}
        valued = len(kinds) == 1 and kinds != {EffectKind.TRUTH}
        effect = Effect(kinds.pop()) if valued else TRUTH
        self._slots[at] = replace(self._slots[at], effect=effect)
        close = Close(at, inside, Logic.ALL, len(inside), sinks if valued else (), effect)
        self._steps.append(close)

    def plan(self) -> Plan:
        """The finished plan."""
        slots = tuple(self._slots)
        inputs = tuple(self._inputs)
        groups = groups_of(slots, inputs)
        valued = (at for at, slot in enumerate(slots) if slot.effect.kind is not EffectKind.TRUTH)
        return Plan(
            slots=slots,
            steps=tuple(self._steps),
            stages=stages_of(slots, self._steps),
            inputs=inputs,
            from_contexts={
                entry: place
                for entry, place in self._inputs.items()
                if isinstance(entry, FromContext)
            },
            groups=groups,
            single_rules=_others(slots, groups),
            inside=dict(self._inside),
            sinks=self._sinks,
            values={slot: place for place, slot in enumerate(valued)},
            by_path={slot.path: at for at, slot in enumerate(slots)},
        )


def plan_of(causaloid: LaidOut, lay_out: Callable[[Layout, int], None] | None = None) -> Plan:
    """The plan of a whole causaloid, or of what `lay_out` leaves of it."""
    layout = Layout()
    layout.place(causaloid, lay_out=lay_out)
    return layout.plan()


def _others(slots: Sequence[Slot], groups: Sequence[Group]) -> tuple[tuple[int, Rule], ...]:
    grouped = {at for group in groups for at in group.slots.tolist()}
    return tuple(
        (at, slot.rule)
        for at, slot in enumerate(slots)
        if slot.rule is not None and slot.asked and not slot.late and at not in grouped
    )
