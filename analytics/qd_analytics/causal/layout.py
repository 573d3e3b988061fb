"""Lays causaloids out into plans. Each form of causaloid says itself what is inside it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, Protocol

from qd_analytics.causal.errors import ModelError
from qd_analytics.causal.inputs import Input, Key, Logic, RuleFunction
from qd_analytics.causal.plan import Close, Path, Plan, Rule, Slot, Step

NESTING_MAX: Final = 64  # levels of causaloids within causaloids


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


Node = tuple[Key, LaidOut, Sequence[Key]]
"""A graph's node: its id, the node, its direct causes."""


class Layout:
    """A plan while it is being made."""

    def __init__(self) -> None:
        self._slots: list[Slot] = []
        self._rules: dict[int, Rule] = {}
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
    ) -> int:
        """Add a node with all inside it; returns its slot."""
        if len(path) > NESTING_MAX:
            raise ModelError(f"causaloids are nested {len(path)} deep; at most {NESTING_MAX}")
        at = len(self._slots)
        self._slots.append(Slot(node.id, node.description, path, parent, causes, asked, None))
        if asked:
            self._steps.append(at)
        (lay_out or node.lay_out)(self, at)
        return at

    def rule(
        self, at: int, function: RuleFunction, inputs: Iterable[Input], elementwise: bool
    ) -> None:
        """The slot is one rule."""
        places = tuple(self._inputs.setdefault(entry, len(self._inputs)) for entry in inputs)
        slot, rule = self._slots[at], Rule(function, places, elementwise)
        self._slots[at] = Slot(
            slot.id, slot.description, slot.path, slot.parent, slot.causes, slot.asked, rule
        )

    def members(self, at: int, members: Sequence[LaidOut], logic: Logic, count: int) -> None:
        """The slot combines members that do not wait for each other."""
        slot = self._slots[at]
        ids = [member.id for member in members]
        # Members may share an id; their place tells them apart.
        names: Sequence[Key] = ids if len(set(ids)) == len(ids) else range(len(ids))
        self._inside[at] = tuple(
            self.place(member, (*slot.path, name), at, (), slot.asked)
            for name, member in zip(names, members, strict=True)
        )
        if slot.asked:
            self._steps.append(Close(at, self._inside[at], logic, count))

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
        for id_, node, before in nodes:
            asked = outer.asked and (only is None or id_ in only)
            causes = tuple(
                slots[cause]
                for cause in before
                if self._slots[slots[cause]].asked and (edges is None or (cause, id_) in edges)
            )
            slots[id_] = self.place(node, (*outer.path, id_), at, causes if asked else (), asked)
        self._inside[at] = tuple(slots.values())
        inside = tuple(slot for slot in self._inside[at] if self._slots[slot].asked)
        if at == 0:
            with_effects = {cause for slot in inside for cause in self._slots[slot].causes}
            self._sinks = tuple(slot for slot in inside if slot not in with_effects)
        if outer.asked:
            self._steps.append(Close(at, inside, Logic.ALL, len(inside)))

    def plan(self) -> Plan:
        """The finished plan."""
        return Plan(
            slots=tuple(self._slots),
            steps=tuple(self._steps),
            inputs=tuple(self._inputs),
            groups=self._groups(),
            inside=dict(self._inside),
            sinks=self._sinks,
            by_path={slot.path: at for at, slot in enumerate(self._slots)},
        )

    def _groups(self) -> tuple[tuple[int, ...], ...]:
        inputs = tuple(self._inputs)
        found: dict[object, list[int]] = {}
        for at, slot in enumerate(self._slots):
            rule = slot.rule
            if rule is None or not slot.asked:
                continue
            alone = not rule.elementwise or len(rule.inputs) != 1
            if alone or not isinstance(inputs[rule.inputs[0]], (str, int)):
                continue
            function = rule.function
            same = function if isinstance(function, Hashable) else id(function)
            found.setdefault(same, []).append(at)
        return tuple(tuple(group) for group in found.values() if len(group) > 1)


def plan_of(causaloid: LaidOut, lay_out: Callable[[Layout, int], None] | None = None) -> Plan:
    """The plan of a whole causaloid, or of what `lay_out` leaves of it."""
    layout = Layout()
    layout.place(causaloid, lay_out=lay_out)
    return layout.plan()
