"""A context: a graph of contextoids, and an index of names for current and previous nodes.

It holds what rules may read besides the observation. It does not evaluate rules and does
not know where its values come from. It may change while others read it: a change is made
in one step, and a reader holds the context for as long as it reads.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from qd_analytics.causal.contextoid import Contextoid, Datoid, Relation, TimeScale
from qd_analytics.causal.errors import DuplicateNode, ModelError, UnknownNode
from qd_analytics.causal.structure import igraph


class IndexName(Enum):
    """Names that move from node to node as time goes on."""

    CURRENT_YEAR = "current year"
    PREVIOUS_YEAR = "previous year"
    CURRENT_QUARTER = "current quarter"
    PREVIOUS_QUARTER = "previous quarter"
    CURRENT_MONTH = "current month"
    PREVIOUS_MONTH = "previous month"
    CURRENT_WEEK = "current week"
    PREVIOUS_WEEK = "previous week"
    CURRENT_DAY = "current day"
    PREVIOUS_DAY = "previous day"
    CURRENT_HOUR = "current hour"
    PREVIOUS_HOUR = "previous hour"
    CURRENT_MINUTE = "current minute"
    PREVIOUS_MINUTE = "previous minute"
    CURRENT_SECOND = "current second"
    PREVIOUS_SECOND = "previous second"

    @classmethod
    def current(cls, scale: TimeScale) -> IndexName:
        """The name of the current unit of a scale."""
        return cls(f"current {_unit(scale)}")

    @classmethod
    def previous(cls, scale: TimeScale) -> IndexName:
        """The name of the unit before it."""
        return cls(f"previous {_unit(scale)}")


def _unit(scale: TimeScale) -> str:
    if scale is TimeScale.NO_SCALE:
        raise ModelError("NO_SCALE has no current unit; name a scale such as TimeScale.MONTH")
    return scale.name.lower()


_LOCK: Final = threading.RLock()
# One for all contexts: a reader of several then sees them all as they were at one moment, and
# no two threads can wait for each other. It is held for as long as it takes to read some
# numbers or to make a change, never while a rule runs.

ContextName = IndexName | str | int
"""How a node is named: an index name, a name of one's own, or the node's id."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A value that a context does not have (yet), and why."""

    reason: str


def held() -> contextlib.AbstractContextManager[object]:
    """Keep all contexts as they are while some are read; keep it short."""
    return _LOCK


class Context:
    """A graph of contextoids.

    Parameters
    ----------
    name : str
        Says which context it is, where a model reads several.

    Attributes
    ----------
    version : int
        Counts the changes; several made by one `changing` are one.
    """

    def __init__(self, name: str = "context") -> None:
        self.name = name
        self.version = 0
        self._nodes: dict[int, Contextoid] = {}
        self._relations: dict[int, dict[int, Relation]] = {}
        self._index: dict[IndexName | str, int] = {}
        self._static = False
        self._undo: list[Callable[[], object]] | None = None

    # Changing

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Make several changes in one step: readers see all of them or none.

        An error undoes them. Several contexts change in one step within the `changing` of
        each. Threads that read or change any context wait meanwhile: keep it short.
        """
        with _LOCK:
            outermost = self._undo is None
            undo = self._undo = [] if self._undo is None else self._undo
            mark = len(undo)
            try:
                yield
            except BaseException:
                while len(undo) > mark:
                    undo.pop()()
                raise
            finally:
                if outermost:
                    self.version += bool(undo)
                    self._undo = None

    @property
    def static(self) -> bool:
        """Whether it is finished and can no longer change."""
        return self._static

    def make_static(self) -> Context:
        """Refuse changes from now on; returns this context."""
        self._static = True
        return self

    def _put(self, into: dict[Any, Any], key: Any, value: Any) -> None:
        """Set an entry so that it can be undone; None removes it."""
        if self._static:
            raise ModelError(
                f"context '{self.name}' is static and cannot change; "
                "build a dynamic one for what changes"
            )
        assert self._undo is not None  # all changes are made within `changing`
        before = into.get(key)
        self._undo.append(lambda: _set(into, key, before))
        _set(into, key, value)

    # Nodes

    @property
    def size(self) -> int:
        """How many contextoids there are."""
        return len(self._nodes)

    def __contains__(self, node: int) -> bool:
        return node in self._nodes

    def __iter__(self) -> Iterator[Contextoid]:
        with _LOCK:
            return iter(tuple(self._nodes.values()))

    def __getitem__(self, node: int) -> Contextoid:
        try:
            return self._nodes[node]
        except KeyError:
            raise UnknownNode(
                f"context '{self.name}' has no node {node}; it has {self.size} nodes, add it first"
            ) from None

    def add(self, *contextoids: Contextoid) -> None:
        """Add contextoids; their ids must be new."""
        with self.changing():
            for contextoid in contextoids:
                if contextoid.id in self._nodes:
                    raise DuplicateNode(
                        f"context '{self.name}' already has a node {contextoid.id}; "
                        "use update to replace its value"
                    )
                self._put(self._nodes, contextoid.id, contextoid)
                self._put(self._relations, contextoid.id, {})

    def update(self, contextoid: Contextoid) -> None:
        """Replace the value of the node with the same id and kind."""
        with self.changing():
            kind = self[contextoid.id].kind
            if kind is not contextoid.kind:
                raise ModelError(
                    f"node {contextoid.id} of context '{self.name}' is a {kind.value}; "
                    f"it cannot become a {contextoid.kind.value}"
                )
            self._put(self._nodes, contextoid.id, contextoid)

    def adjust(self, node: int, **deltas: float) -> None:
        """Move the values of a node by `deltas`."""
        with self.changing():
            self._put(self._nodes, node, self[node].adjusted(**deltas))

    def remove(self, node: int) -> None:
        """Remove a node with its relations; an index name on it is unset."""
        with self.changing():
            self[node]
            self._put(self._nodes, node, None)
            self._put(self._relations, node, None)
            for targets in [t for t in self._relations.values() if node in t]:
                self._put(targets, node, None)
            for name in [name for name, to in self._index.items() if to == node]:
                self._put(self._index, name, None)

    # Relations

    def relate(self, source: int, target: int, relation: Relation) -> None:
        """Draw an edge between two nodes that are there."""
        with self.changing():
            self[source], self[target]
            if source == target:
                raise ModelError(f"node {source} of context '{self.name}' cannot relate to itself")
            self._put(self._relations[source], target, relation)

    def unrelate(self, source: int, target: int) -> None:
        """Remove an edge; the nodes stay."""
        with self.changing():
            if self.relation(source, target) is None:
                raise ModelError(f"context '{self.name}' has no edge {source} -> {target}")
            self._put(self._relations[source], target, None)

    def relation(self, source: int, target: int) -> Relation | None:
        """The edge between two nodes, or None."""
        with _LOCK:
            self[source], self[target]
            return self._relations[source].get(target)

    def related(self, node: int) -> dict[int, Relation]:
        """The nodes that `node` points to."""
        with _LOCK:
            self[node]
            return dict(self._relations[node])

    @property
    def relations(self) -> tuple[tuple[int, int, Relation], ...]:
        """All edges as (source, target, relation)."""
        with _LOCK:
            return tuple(
                (source, target, relation)
                for source, targets in self._relations.items()
                for target, relation in targets.items()
            )

    def to_igraph(self) -> Any:
        """A copy as a directed igraph graph, vertices in the order in which they were added."""
        with _LOCK:
            edges = self.relations
            position = {node: at for at, node in enumerate(self._nodes)}
            pairs = [(position[s], position[t]) for s, t, _ in edges]
            graph = igraph.Graph(n=self.size, edges=pairs, directed=True)
            graph.vs["contextoid"] = list(self._nodes.values())
            graph.es["relation"] = [relation for _, _, relation in edges]
            return graph

    # Index

    def point(self, name: IndexName | str, node: int | None) -> None:
        """Let an index name stand for `node`, or for nothing."""
        with self.changing():
            self._put(self._index, name, None if node is None else self[node].id)

    def roll(self, scale: TimeScale, node: int, *, follows: bool = True) -> None:
        """Let `node` be the current unit of a scale, and the current one the previous, in one step.

        Parameters
        ----------
        follows : bool
            False where `node` does not come right after the current unit: there is no
            previous one then.
        """
        with self.changing():
            before = self._index.get(IndexName.current(scale))
            self.point(IndexName.previous(scale), before if follows else None)
            self.point(IndexName.current(scale), node)

    def pointed(self, name: IndexName | str) -> int | None:
        """The node that an index name stands for, or None."""
        return self._index.get(name)

    @property
    def index(self) -> dict[IndexName | str, int]:
        """All index names that stand for a node."""
        with _LOCK:
            return dict(self._index)

    def read(self, name: ContextName, field: str) -> float | Absent:
        """A number of a node, or of the data node that it relates to.

        Parameters
        ----------
        name : IndexName, str or int
            An index name, or a node's id.

        Returns
        -------
        float or Absent
            `Absent` where the name stands for nothing or its data are not there yet.
        """
        with _LOCK:
            node = self.holder(name, field)
            if node is None:
                shown = name.value if isinstance(name, IndexName) else name
                there = (name if isinstance(name, int) else self._index.get(name)) in self._nodes
                return Absent(
                    f"the {shown} has no '{field}' yet" if there else f"the context has no {shown}"
                )
            value = self._nodes[node].number(field)
            assert value is not None  # that is what a holder has
            return value

    def holder(self, name: ContextName, field: str) -> int | None:
        """The node that has the number: the named one, or a data node that it relates to."""
        with _LOCK:
            node = name if isinstance(name, int) else self._index.get(name)
            if node is None or node not in self._nodes:
                return None
            if not isinstance(self._nodes[node], Datoid):
                for target, how in self._relations[node].items():
                    if how is Relation.DATIAL and self._nodes[target].number(field) is not None:
                        return target
            return None if self._nodes[node].number(field) is None else node


def _set(into: dict[Any, Any], key: Any, value: Any) -> None:
    if value is None:
        into.pop(key, None)
    else:
        into[key] = value
