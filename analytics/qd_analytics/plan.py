"""Plans: a causaloid, however nested, laid out flat once, in the order of evaluation.

A plan knows structure only: it holds no data, no contexts and no results, and never
changes. Both ways to evaluate, one observation or arrays of them, follow it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from qd_analytics.causaloid import Causaloid, Collection, Input, Key, Logic, Singleton
from qd_analytics.errors import ModelError, UnknownNode

NESTING_MAX = 64  # levels of causaloids within causaloids

Path = tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """One node of the flat layout.

    Attributes
    ----------
    path : tuple
        Ids from the outermost causaloid (left out) to this node; empty for the outermost.
    parent : int
        Slot of the causaloid around it, -1 for the outermost.
    causes : tuple of int
        Slots that must be true first.
    asked : bool
        False where the question leaves this node out.
    inputs : tuple of int
        Places in the plan's inputs; empty for a composite.
    rule : Singleton or None
        None for a composite.
    """

    path: Path
    parent: int
    causes: tuple[int, ...]
    asked: bool
    causaloid: Causaloid
    inputs: tuple[int, ...] = ()
    rule: Singleton | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """A composite's state follows from its children's once these are known."""

    slot: int
    children: tuple[int, ...]
    logic: Logic
    count: int


Step = int | Close  # a slot to open (and, for a rule, to evaluate), or a composite to close


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The flat layout: slots, steps over them, and the inputs that rules read."""

    slots: tuple[Slot, ...]
    steps: tuple[Step, ...]
    inputs: tuple[Input, ...]
    groups: tuple[tuple[int, ...], ...]
    sinks: tuple[int, ...]
    by_path: Mapping[Path, int] = field(repr=False)

    def slot_of(self, node: Key | Path) -> int:
        """The slot of a node, by its id or, for a nested one, by its path of ids."""
        path = node if isinstance(node, tuple) else (node,)
        if path not in self.by_path:
            raise UnknownNode(
                f"{self.slots[0].causaloid!r} has no node {node!r}; "
                "a nested node is named by the tuple of ids that leads to it"
            )
        return self.by_path[path]

    @property
    def top(self) -> tuple[int, ...]:
        """The slots of the outermost causaloid's nodes; its own where it has none."""
        inner = tuple(at for at, slot in enumerate(self.slots) if slot.parent == 0)
        return inner or (0,)


class _Compiler:
    """Lays causaloids out into slots and steps."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.steps: list[Step] = []
        self.inputs: dict[Input, int] = {}
        self.sinks: tuple[int, ...] = ()

    def lay_out(
        self, causaloid: Causaloid, path: Path, parent: int, causes: tuple[int, ...], asked: bool
    ) -> int:
        """Add a causaloid with all inside it; returns its slot."""
        if len(path) > NESTING_MAX:
            raise ModelError(f"causaloids are nested {len(path)} deep; at most {NESTING_MAX}")
        at = len(self.slots)
        rule = causaloid if isinstance(causaloid, Singleton) else None
        places = () if rule is None else tuple(self._input(entry) for entry in rule.inputs)
        self.slots.append(Slot(path, parent, causes, asked, causaloid, places, rule))
        if asked:
            self.steps.append(at)
        if isinstance(causaloid, Collection):
            self._collection(causaloid, at, path, asked)
        elif rule is None:
            self.graph(causaloid, at, path, asked, None, None)
        return at

    def _input(self, entry: Input) -> int:
        return self.inputs.setdefault(entry, len(self.inputs))

    def _collection(self, collection: Collection, at: int, path: Path, asked: bool) -> None:
        ids = [member.id for member in collection.members]
        # Members may share an id; their place tells them apart.
        names = ids if len(set(ids)) == len(ids) else list(range(len(ids)))
        children = tuple(
            self.lay_out(member, (*path, name), at, (), asked)
            for name, member in zip(names, collection.members, strict=True)
        )
        self._close(at, children, asked, collection.logic, collection.count)

    def graph(
        self,
        causaloid: Causaloid,
        at: int,
        path: Path,
        asked: bool,
        only: set[Key] | None,
        edges: Mapping[tuple[Key, Key], None] | None,
    ) -> None:
        """Add a graph's nodes, or those of a question about it, causes before effects."""
        from qd_analytics.graph import Graph

        if not isinstance(causaloid, Graph):
            raise ModelError(f"{causaloid!r} is neither a Singleton, a Collection nor a Graph")
        slots: dict[Key, int] = {}
        for node in causaloid.order():
            wanted = asked and (only is None or node in only)
            causes = tuple(
                slots[cause]
                for cause in causaloid.causes(node)
                if wanted and self.slots[slots[cause]].asked and _drawn(edges, cause, node)
            )
            slots[node] = self.lay_out(causaloid[node], (*path, node), at, causes, wanted)
        inside = tuple(slot for slot in slots.values() if self.slots[slot].asked)
        if at == 0:
            with_effects = {cause for slot in inside for cause in self.slots[slot].causes}
            self.sinks = tuple(slot for slot in inside if slot not in with_effects)
        self._close(at, inside, asked, Logic.ALL, len(inside))

    def _close(
        self, at: int, children: tuple[int, ...], asked: bool, logic: Logic, count: int
    ) -> None:
        if asked:
            self.steps.append(Close(at, children, logic, count))


def _drawn(edges: Mapping[tuple[Key, Key], None] | None, cause: Key, effect: Key) -> bool:
    return edges is None or (cause, effect) in edges


def compile_plan(
    causaloid: Causaloid,
    only: set[Key] | None = None,
    edges: Mapping[tuple[Key, Key], None] | None = None,
) -> Plan:
    """Lay out a causaloid, or for a graph the part that a question asks for.

    Parameters
    ----------
    causaloid : Causaloid
        The outermost one.
    only : set, optional
        The graph's nodes that are asked for; all without it.
    edges : mapping, optional
        The edges that count; all between those nodes without it.
    """
    compiler = _Compiler()
    if only is None:
        compiler.lay_out(causaloid, (), -1, (), True)
    else:
        compiler.slots.append(Slot((), -1, (), True, causaloid))
        compiler.steps.append(0)
        compiler.graph(causaloid, 0, (), True, only, edges)
    slots = tuple(compiler.slots)
    return Plan(
        slots=slots,
        steps=tuple(compiler.steps),
        inputs=tuple(compiler.inputs),
        groups=_groups(slots, tuple(compiler.inputs)),
        sinks=compiler.sinks or (0,),
        by_path={slot.path: at for at, slot in enumerate(slots)},
    )


def _groups(slots: Sequence[Slot], inputs: Sequence[Input]) -> tuple[tuple[int, ...], ...]:
    """Slots whose rules are one function of one column each, so that one call does for all."""
    found: dict[object, list[int]] = {}
    for at, slot in enumerate(slots):
        rule = slot.rule
        if rule is None or not slot.asked:
            continue
        alone = not rule.elementwise or len(slot.inputs) != 1
        if alone or not isinstance(inputs[slot.inputs[0]], (str, int)):
            continue
        same = rule.rule if isinstance(rule.rule, Hashable) else id(rule.rule)
        found.setdefault(same, []).append(at)
    return tuple(tuple(group) for group in found.values() if len(group) > 1)
