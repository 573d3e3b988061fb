"""A context: a graph of contextoids, and an index of names for current and previous nodes.

It holds what rules may read besides the observation. It does not evaluate rules and does
not know where its values come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import igraph

from qd_analytics.causal.contextoid import Contextoid, Datoid, Relation
from qd_analytics.causal.errors import DuplicateNode, ModelError, UnknownNode


class IndexName(Enum):
    """Names that move from node to node as time goes on."""

    CURRENT_YEAR = "current year"
    PREVIOUS_YEAR = "previous year"
    CURRENT_MONTH = "current month"
    PREVIOUS_MONTH = "previous month"


@dataclass(frozen=True, slots=True)
class Absent:
    """A value that a context does not have (yet), and why."""

    reason: str


class Context:
    """A graph of contextoids.

    Parameters
    ----------
    name : str
        Says which context it is, where a model reads several.
    """

    def __init__(self, name: str = "context") -> None:
        self.name = name
        self._nodes: dict[int, Contextoid] = {}
        self._relations: dict[int, dict[int, Relation]] = {}
        self._index: dict[IndexName, int] = {}

    # Nodes

    @property
    def size(self) -> int:
        """How many contextoids there are."""
        return len(self._nodes)

    def __contains__(self, node: int) -> bool:
        return node in self._nodes

    def __iter__(self) -> Iterator[Contextoid]:
        return iter(self._nodes.values())

    def __getitem__(self, node: int) -> Contextoid:
        try:
            return self._nodes[node]
        except KeyError:
            raise UnknownNode(
                f"context '{self.name}' has no node {node}; it has {self.size} nodes, add it first"
            ) from None

    def add(self, contextoid: Contextoid) -> None:
        """Add a contextoid; its id must be new."""
        if contextoid.id in self._nodes:
            raise DuplicateNode(
                f"context '{self.name}' already has a node {contextoid.id}; "
                "use update to replace its value"
            )
        self._nodes[contextoid.id] = contextoid
        self._relations[contextoid.id] = {}

    def update(self, contextoid: Contextoid) -> None:
        """Replace the value of the node with the same id and kind."""
        kind = self[contextoid.id].kind
        if kind is not contextoid.kind:
            raise ModelError(
                f"node {contextoid.id} of context '{self.name}' is a {kind.value}; "
                f"it cannot become a {contextoid.kind.value}"
            )
        self._nodes[contextoid.id] = contextoid

    def adjust(self, node: int, **deltas: float) -> None:
        """Move the values of a node by `deltas`."""
        self._nodes[node] = self[node].adjusted(**deltas)

    def remove(self, node: int) -> None:
        """Remove a node with its relations; an index name on it is unset."""
        self[node]
        del self._nodes[node], self._relations[node]
        for targets in self._relations.values():
            targets.pop(node, None)
        self._index = {name: to for name, to in self._index.items() if to != node}

    # Relations

    def relate(self, source: int, target: int, relation: Relation) -> None:
        """Draw an edge between two nodes that are there."""
        self[source], self[target]
        if source == target:
            raise ModelError(f"node {source} of context '{self.name}' cannot relate to itself")
        self._relations[source][target] = relation

    def unrelate(self, source: int, target: int) -> None:
        """Remove an edge; the nodes stay."""
        if self.relation(source, target) is None:
            raise ModelError(f"context '{self.name}' has no edge {source} -> {target}")
        del self._relations[source][target]

    def relation(self, source: int, target: int) -> Relation | None:
        """The edge between two nodes, or None."""
        self[source], self[target]
        return self._relations[source].get(target)

    def related(self, node: int) -> dict[int, Relation]:
        """The nodes that `node` points to."""
        self[node]
        return dict(self._relations[node])

    def to_igraph(self) -> igraph.Graph:
        """A copy as a directed igraph graph, vertices in the order in which they were added."""
        position = {node: at for at, node in enumerate(self._nodes)}
        edges = [(s, t, r) for s, targets in self._relations.items() for t, r in targets.items()]
        graph = igraph.Graph(
            n=self.size, edges=[(position[s], position[t]) for s, t, _ in edges], directed=True
        )
        graph.vs["contextoid"] = list(self._nodes.values())
        graph.es["relation"] = [relation for _, _, relation in edges]
        return graph

    # Index

    def point(self, name: IndexName, node: int | None) -> None:
        """Let an index name stand for `node`, or for nothing."""
        if node is None:
            self._index.pop(name, None)
        else:
            self._index[name] = self[node].id

    def pointed(self, name: IndexName) -> int | None:
        """The node that an index name stands for, or None."""
        return self._index.get(name)

    def read(self, name: IndexName, field: str) -> float | Absent:
        """A number of the data node under an indexed node, or of the node itself.

        Returns
        -------
        float or Absent
            `Absent` where the name stands for nothing or its data are not there yet.
        """
        node = self._index.get(name)
        if node is None:
            return Absent(f"the context has no {name.value}")
        data = self._nodes[node]
        if not isinstance(data, Datoid):
            found = (
                self._nodes[n] for n, r in self._relations[node].items() if r is Relation.DATIAL
            )
            data = next(found, data)
        if not isinstance(data, Datoid) or field not in data.data:
            return Absent(f"the {name.value} has no '{field}' yet")
        return data.data[field]
