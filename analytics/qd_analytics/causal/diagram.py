"""What is drawn: boxes and arrows of a causaloid or a context, coloured by an evaluation.

The one description that DOT, Mermaid and pictures are made from; draws nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qd_analytics.causal.causaloid import Causaloid, Collection
from qd_analytics.causal.context import Context, IndexName, held
from qd_analytics.causal.contextoid import (
    Contextoid,
    ContextoidKind,
    Datoid,
    Spaceoid,
    SpaceTempoid,
    Tempoid,
    TimeScale,
)
from qd_analytics.causal.errors import ModelError
from qd_analytics.causal.evaluation import Evaluation
from qd_analytics.causal.graph import Graph
from qd_analytics.causal.inputs import Logic
from qd_analytics.causal.plan import Path
from qd_analytics.causal.states import State


@dataclass(frozen=True, slots=True)
class Look:
    """Colours of a box, each ``#rrggbb``."""

    fill: str
    line: str


PLAIN: Final = Look("#f1f5f9", "#64748b")
STATE_LOOKS: Final = {
    State.TRUE: Look("#dcfce7", "#15803d"),
    State.FALSE: Look("#fee2e2", "#b91c1c"),
    State.NOT_EVALUATED: Look("#f4f4f5", "#a1a1aa"),
    State.ERROR: Look("#fae8ff", "#a21caf"),
    State.RELAYED: Look("#dbeafe", "#1d4ed8"),
}
KIND_LOOKS: Final = {
    ContextoidKind.ROOT: Look("#e2e8f0", "#334155"),
    ContextoidKind.DATOID: Look("#fef9c3", "#a16207"),
    ContextoidKind.TEMPOID: Look("#dbeafe", "#1d4ed8"),
    ContextoidKind.SPACEOID: Look("#dcfce7", "#15803d"),
    ContextoidKind.SPACE_TEMPOID: Look("#fae8ff", "#a21caf"),
}
USED: Final = Look("#fde68a", "#c2410c")
"""A context's node that the evaluation read."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node: its key, unique in the diagram, its title and further lines, its colours."""

    key: str
    title: str
    lines: tuple[str, ...]
    look: Look


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge; dashed where it leads from a composite to a part of it."""

    source: str
    target: str
    label: str = ""
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Legend:
    """What a colour says."""

    text: str
    look: Look


@dataclass(frozen=True, slots=True)
class Diagram:
    """Boxes and arrows, under a title."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    legends: tuple[Legend, ...]


def of_causaloid(causaloid: Causaloid, record: Evaluation | None = None) -> Diagram:
    """A causaloid with all inside it.

    Parameters
    ----------
    record : Evaluation, optional
        Colours the boxes by what it says of them, and adds what they read.
    """
    drawing = _Drawing(record)
    if isinstance(causaloid, Graph):
        drawing.graph(causaloid, ())
    else:
        drawing.node(causaloid, (), Logic.ALL)
    title = f"{causaloid.id} {causaloid.description}".strip()
    legends: tuple[Legend, ...] = ()
    if record is not None:
        title = f"{title}: {record.state.label}"
        seen = {record.states[record.plan.slot_of(path)] for path in drawing.paths}
        legends = tuple(Legend(s.label, STATE_LOOKS[s]) for s in State if s in seen)
    return Diagram(title, tuple(drawing.boxes), tuple(drawing.arrows), legends)


class _Drawing:
    """A diagram of a causaloid while it is made."""

    def __init__(self, record: Evaluation | None) -> None:
        self.record = record
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []
        self.paths: list[Path] = []

    def graph(self, graph: Graph, path: Path) -> None:
        """The nodes of a graph, and its edges."""
        for node in graph.nodes:
            self.node(node, (*path, node.id), graph.join(node.id))
        for cause, effect in graph.edges:
            weight = graph.weight(cause, effect)
            label = "" if weight == 1.0 else f"{weight:g}"
            self.arrows.append(Arrow(_key((*path, cause)), _key((*path, effect)), label))

    def node(self, node: Causaloid, path: Path, join: Logic) -> None:
        """A node with all inside it."""
        lines = [node.description] if node.description else []
        if join is Logic.ANY:
            lines.append("opened by any cause")
        inside: list[tuple[Path, Causaloid]] = []
        if isinstance(node, Collection):
            count = f" {node.count}" if node.logic is Logic.AT_LEAST else ""
            lines.append(f"{node.logic.value}{count} of {len(node.members)}")
            ids = [member.id for member in node.members]
            names = ids if len(set(ids)) == len(ids) else range(len(ids))
            inside = [((*path, n), m) for n, m in zip(names, node.members, strict=True)]
        self._box(node, path, lines)
        for part, member in inside:
            self.node(member, part, Logic.ALL)
            self.arrows.append(Arrow(_key(path), _key(part), dashed=True))
        if isinstance(node, Graph):
            self.graph(node, path)
            sources = [inner.id for inner in node.nodes if not node.causes(inner.id)]
            self.arrows += [Arrow(_key(path), _key((*path, n)), dashed=True) for n in sources]

    def _box(self, node: Causaloid, path: Path, lines: list[str]) -> None:
        look = PLAIN
        self.paths.append(path)
        if self.record is not None:
            at = self.record.plan.slot_of(path)
            found = self.record.slot(at)
            look = STATE_LOOKS[found.state]
            lines += [f"{name} = {value:g}" for name, value in found.values.items()]
            if isinstance(found.value, float):
                lines.append(f"says {found.value:g}")
            elif found.state is State.ERROR:
                lines.append(f"error: {found.reason}")
        self.boxes.append(Box(_key(path), str(node.id), tuple(lines), look))


def _key(path: Path) -> str:
    """Unique: names are escaped, and numbers differ from names of digits."""
    parts = map(repr, path)
    return "/" + "/".join(parts)


def of_context(context: Context, record: Evaluation | None = None) -> Diagram:
    """A context with its relations and index names.

    Parameters
    ----------
    record : Evaluation, optional
        Marks the nodes that it read.
    """
    with held():
        names: dict[int, list[str]] = {}
        for name, node in context.index.items():
            names.setdefault(node, []).append(name.value if isinstance(name, IndexName) else name)
        used = set() if record is None else _used(context, record)
        boxes = tuple(
            _context_box(node, names.get(node.id, []), node.id in used) for node in context
        )
        arrows = tuple(
            Arrow(str(source), str(target), relation.value)
            for source, target, relation in context.relations
        )
        kinds = {node.kind for node in context}
    legends = [Legend(kind.value, look) for kind, look in KIND_LOOKS.items() if kind in kinds]
    if used:
        legends.append(Legend("read by the rules", USED))
    return Diagram(f"context {context.name}", boxes, arrows, tuple(legends))


def _used(context: Context, record: Evaluation) -> set[int]:
    """The nodes whose numbers an evaluation read, as the context is now."""
    used = set()
    for source in record.plan.from_contexts:
        if source.context in (None, context.name):
            node = context.holder(source.index, source.field)
            if node is not None:
                used.add(node)
    return used


def _context_box(node: Contextoid, names: list[str], used: bool) -> Box:
    look = USED if used else KIND_LOOKS[node.kind]
    return Box(str(node.id), _title(node), (*_numbers(node), *names), look)


def _title(node: Contextoid) -> str:
    if isinstance(node, Tempoid):
        scale = "time" if node.scale is TimeScale.NO_SCALE else node.scale.name.lower()
        return f"{scale} {node.time}"
    return f"{node.kind.value} {node.id}"


def _numbers(node: Contextoid) -> tuple[str, ...]:
    if isinstance(node, Datoid):
        return tuple(f"{name} = {value:g}" for name, value in node.data.items())
    if isinstance(node, SpaceTempoid):
        return (f"at {node.x:g}, {node.y:g}, {node.z:g}", f"time {node.time}")
    if isinstance(node, Spaceoid):
        return (f"at {node.x:g}, {node.y:g}, {node.z:g}",)
    return ()


def diagram_of(drawn: Causaloid | Context, record: Evaluation | None = None) -> Diagram:
    """The diagram of a causaloid or a context."""
    if isinstance(drawn, Context):
        return of_context(drawn, record)
    if record is not None and record.plan.slots[0].id != drawn.id:
        raise ModelError(
            f"the record is of {record.plan.slots[0].id!r}, and cannot colour {drawn!r}"
        )
    return of_causaloid(drawn, record)
