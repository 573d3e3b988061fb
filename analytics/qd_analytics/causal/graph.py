"""A graph of causaloids: effects follow causes along edges that never close a circle.

Structure only: which node comes after which. What nodes mean is theirs to say.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from qd_analytics.causal.causaloid import Causaloid, levels_with
from qd_analytics.causal.errors import (
    CycleError,
    DuplicateNode,
    EmptyCollection,
    ModelError,
    NoPath,
    UnknownNode,
)
from qd_analytics.causal.inputs import Key, Logic
from qd_analytics.causal.layout import Layout, Node, plan_of
from qd_analytics.causal.plan import Plan
from qd_analytics.causal.structure import igraph

WAY_NODES_MAX = 12  # nodes that a message names
PLANS_KEPT = 256  # plans for parts of the graph; the oldest goes first
_PLANS_LOCK = threading.Lock()


class Graph(Causaloid):
    """Causaloids joined by edges from cause to effect.

    A node is evaluated, once, when all its causes are true (or any, where it joins so);
    else it is not evaluated. The graph is true when every node is; where its sinks say
    numbers or probabilities, its value is theirs, combined. The order is Kahn's: nodes
    without a cause in the order in which they were added, and each other node once its last
    cause is done.
    """

    __slots__ = (
        "_causes",
        "_effects",
        "_frozen",
        "_igraph",
        "_joins",
        "_nodes",
        "_plans",
        "_position",
        "levels",
    )

    def __init__(self, id: Key, description: str = "") -> None:
        super().__init__(id, description)
        self._joins: dict[int, Logic] = {}
        self.levels = 0
        self._position: dict[Key, int] = {}
        self._nodes: list[Causaloid] = []
        self._effects: list[dict[int, float]] = []
        self._causes: list[dict[int, None]] = []
        self._frozen = False
        self._igraph: Any = None
        self._plans: dict[tuple[object, ...], Plan] = {}

    # Building

    def add(self, *causaloids: Causaloid, join: Logic = Logic.ALL) -> None:
        """Add nodes; a node that is a graph itself can no longer be changed.

        Parameters
        ----------
        join : Logic
            All or any: how many causes must be true to open a node, and how their effects
            combine into what `FromCauses` reads.
        """
        self._changing()
        if join not in (Logic.ALL, Logic.ANY):
            raise ModelError(
                f"graph {self.id!r}: causes join by all or any, not by '{join.value}'; "
                "put the causes into a Collection for that"
            )
        for causaloid in causaloids:
            if causaloid.id in self._position:
                raise DuplicateNode(f"graph {self.id!r} already has a node {causaloid.id!r}")
            if causaloid is self:
                raise CycleError(f"graph {self.id!r} cannot be a node of itself")
            self.levels = max(self.levels, levels_with((causaloid,)))
            causaloid.freeze()
            if join is not Logic.ALL:
                self._joins[len(self._nodes)] = join
            self._position[causaloid.id] = len(self._nodes)
            self._nodes.append(causaloid)
            self._effects.append({})
            self._causes.append({})

    def connect(self, cause: Key, effect: Key, weight: float = 1.0) -> None:
        """Draw an edge from cause to effect.

        Raises
        ------
        CycleError
            If the effect is already among the causes of the cause, or is the cause.
        """
        self._changing()
        source, target = self._at(cause), self._at(effect)
        self._check_weight(cause, effect, weight)
        if source == target or self._leads_to(target, source):
            way = self._way(target, source)
            raise CycleError(
                f"graph {self.id!r}: the edge {cause!r} -> {effect!r} would close a circle "
                f"(directed cycle: {_shown([*way, effect])}); "
                "a cause cannot follow from its own effect"
            )
        self._effects[source][target] = weight
        self._causes[target][source] = None

    def connect_all(
        self, edges: Iterable[tuple[Key, Key]], weights: Iterable[float] | None = None
    ) -> None:
        """Draw many edges with one check; none is drawn if one of them is refused.

        Parameters
        ----------
        weights : iterable of float, optional
            Of each edge; 1 without it.
        """
        self._changing()
        drawn = list(edges)
        pairs = [(self._at(cause), self._at(effect)) for cause, effect in drawn]
        lengths = [1.0] * len(pairs) if weights is None else list(weights)
        for (cause, effect), weight in zip(drawn, lengths, strict=True):
            self._check_weight(cause, effect, weight)
        trial = self.to_igraph()
        trial.add_edges(pairs)
        if not trial.is_dag():
            around = [self._nodes[at].id for at in circle_of(trial)]
            raise CycleError(
                f"graph {self.id!r}: these {len(pairs)} edges would close a circle "
                f"(directed cycle: {_shown(around)}); leave one of its edges out"
            )
        self._igraph = None  # the trial was of the graph as it was
        for (source, target), weight in zip(pairs, lengths, strict=True):
            self._effects[source][target] = weight
            self._causes[target][source] = None

    def disconnect(self, cause: Key, effect: Key) -> None:
        """Remove an edge; the nodes stay."""
        self._changing()
        source, target = self._at(cause), self._at(effect)
        if target not in self._effects[source]:
            raise ModelError(f"graph {self.id!r} has no edge {cause!r} -> {effect!r}")
        del self._effects[source][target], self._causes[target][source]

    def freeze(self) -> None:
        """Refuse changes from now on: this graph became part of another."""
        self._frozen = True

    # Structure

    def __contains__(self, node: Key) -> bool:
        return node in self._position

    def __getitem__(self, node: Key) -> Causaloid:
        return self._nodes[self._at(node)]

    @property
    def size(self) -> int:
        """How many nodes there are, nested ones not counted."""
        return len(self._nodes)

    @property
    def nodes(self) -> tuple[Causaloid, ...]:
        """The nodes in the order in which they were added."""
        return tuple(self._nodes)

    @property
    def edges(self) -> tuple[tuple[Key, Key], ...]:
        """All edges as (cause, effect)."""
        return tuple(
            (self._nodes[source].id, self._nodes[target].id)
            for source, targets in enumerate(self._effects)
            for target in targets
        )

    def causes(self, node: Key) -> tuple[Key, ...]:
        """The direct causes of a node."""
        return tuple(self._nodes[at].id for at in self._causes[self._at(node)])

    @property
    def sinks(self) -> tuple[Key, ...]:
        """The nodes without effects of their own."""
        return tuple(n.id for n, to in zip(self._nodes, self._effects, strict=True) if not to)

    def below(self, node: Key) -> tuple[Key, ...]:
        """A node and all that follows from it."""
        found = self._structure().subcomponent(self._at(node), mode="out")
        return tuple(self._nodes[at].id for at in found)

    def weight(self, cause: Key, effect: Key) -> float:
        """The weight of an edge."""
        source, target = self._at(cause), self._at(effect)
        if target not in self._effects[source]:
            raise ModelError(f"graph {self.id!r} has no edge {cause!r} -> {effect!r}")
        return self._effects[source][target]

    def to_igraph(self) -> Any:
        """A copy as a directed igraph graph; attributes ``name`` and ``weight``."""
        return self._structure().copy()

    def shortest_path(self, start: Key, stop: Key) -> tuple[Key, ...]:
        """The nodes on the shortest path, both ends included.

        Raises
        ------
        UnknownNode, NoPath
            If a node is not there, no edges lead from one to the other, or they are one.
        """
        source, target = self._at(start), self._at(stop)
        if source == target:
            raise NoPath(
                f"graph {self.id!r}: the path from {start!r} to itself has no edge; "
                "use evaluate_node to evaluate one node"
            )
        if not self._leads_to(source, target):
            raise NoPath(f"graph {self.id!r}: no edges lead from {start!r} to {stop!r}")
        structure = self._structure()
        path = structure.get_shortest_path(source, to=target, weights="weight", output="vpath")
        return tuple(self._nodes[at].id for at in path)

    # Plans

    def plan(self) -> Plan:
        """The order of evaluation of the whole graph, made once."""
        return self._planned(("all",), None, None)

    def plan_from(self, start: Key) -> Plan:
        """The plan for `start` and all below it."""
        return self._planned(("from", start), set(self.below(start)), None)

    def plan_path(self, start: Key, stop: Key) -> Plan:
        """The plan for the shortest path between two nodes."""
        path = self.shortest_path(start, stop)
        edges = set(itertools.pairwise(path))
        return self._planned(("path", start, stop), set(path), edges)

    def plan_node(self, node: Key) -> Plan:
        """The plan for one node alone."""
        self._at(node)
        return self._planned(("node", node), {node}, set())

    def lay_out(self, layout: Layout, at: int) -> None:
        """All nodes, causes before effects."""
        layout.nodes(at, self._ordered())

    def join(self, node: Key) -> Logic:
        """How a node's causes join."""
        return self._joins.get(self._at(node), Logic.ALL)

    def _ordered(self) -> Iterator[Node]:
        if not self._nodes:
            raise EmptyCollection(f"graph {self.id!r} has no nodes; add at least one")
        for at in self._structure().topological_sorting():
            node = self._nodes[at]
            causes = [self._nodes[cause].id for cause in self._causes[at]]
            yield node.id, node, causes, self._joins.get(at, Logic.ALL)

    def order(self) -> tuple[Key, ...]:
        """All nodes, causes before effects: the documented order of evaluation."""
        return tuple(self._nodes[at].id for at in self._structure().topological_sorting())

    def _planned(
        self,
        question: tuple[object, ...],
        asked: set[Key] | None,
        edges: set[tuple[Key, Key]] | None,
    ) -> Plan:
        plan = self._plans.get(question)
        if plan is None:

            def asked_for(layout: Layout, at: int) -> None:
                layout.nodes(at, self._ordered(), asked, edges)

            plan = plan_of(self, asked_for)
            with _PLANS_LOCK:  # threads may ask at the same time
                if len(self._plans) >= PLANS_KEPT:
                    del self._plans[next(iter(self._plans))]
                self._plans[question] = plan
        return plan

    # Help

    def _at(self, node: Key) -> int:
        try:
            return self._position[node]
        except KeyError:
            raise UnknownNode(
                f"graph {self.id!r} does not contain the node {node!r}; "
                f"it has {self.size} nodes, add it first"
            ) from None

    def _changing(self) -> None:
        if self._frozen:
            raise ModelError(
                f"graph {self.id!r} is part of another causaloid and can no longer change; "
                "build it whole before you nest it"
            )
        self._igraph = self._plan = None
        self._plans.clear()

    def _check_weight(self, cause: Key, effect: Key, weight: float) -> None:
        if not (math.isfinite(weight) and weight >= 0):
            raise ModelError(
                f"the edge {cause!r} -> {effect!r} has the weight {weight}; "
                "expected a finite number, 0 or more"
            )

    def _way(self, source: int, target: int) -> list[Key]:
        """The ids on a shortest way, both ends included."""
        if source == target:
            return [self._nodes[source].id]
        path = self._structure().get_shortest_path(source, to=target, output="vpath")
        return [self._nodes[at].id for at in path]

    def _leads_to(self, source: int, target: int) -> bool:
        """Whether edges lead from `source` to `target`; searched from both ends at once."""
        ahead, behind = {source}, {target}
        front, back = {source}, {target}
        while front and back:
            if len(front) <= len(back):
                front = {n for at in front for n in self._effects[at]} - ahead
                ahead |= front
            else:
                back = {n for at in back for n in self._causes[at]} - behind
                behind |= back
            if not behind.isdisjoint(front) or not ahead.isdisjoint(back):
                return True
        return False

    def _structure(self) -> Any:
        if self._igraph is None:
            pairs = [(s, t) for s, targets in enumerate(self._effects) for t in targets]
            graph = igraph.Graph(n=self.size, edges=pairs, directed=True)
            graph.vs["name"] = [str(node.id) for node in self._nodes]
            graph.es["weight"] = [w for targets in self._effects for w in targets.values()]
            self._igraph = graph
        return self._igraph


def circle_of(graph: Any) -> list[int]:
    """The vertices of one circle of a directed graph, its first again at the end."""
    loops = [edge.source for edge in graph.es if edge.is_loop()]
    if loops:
        return [loops[0], loops[0]]
    component = next(part for part in graph.connected_components(mode="strong") if len(part) > 1)
    inside = graph.induced_subgraph(component)
    first = inside.successors(0)[0]
    back = inside.get_shortest_path(first, to=0, output="vpath")
    return [component[at] for at in (0, *back)]


def _shown(nodes: Sequence[Key]) -> str:
    """A way in words; its middle left out where it is long."""
    names = [repr(node) for node in nodes]
    if len(names) > WAY_NODES_MAX:
        names = [*names[: WAY_NODES_MAX // 2], "…", *names[-WAY_NODES_MAX // 2 :]]
    return " -> ".join(names)
