"""Graphs of causaloids: time for each node and observation, growth, and memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from bench.report import Row, best_seconds, compared
from qd_analytics import Datoid, Graph, Names, Table, threshold
from qd_analytics.models import Bar, Period
from qd_analytics.models.rolling import RollingContext

Edges = Sequence[tuple[int, int]]

NODES = (10, 1_000, 100_000)
OBSERVATIONS = (1, 100, 10_000)
CELLS_MAX = 10_000_000
"""Larger tables are left out: they measure the memory."""
LOOPED_CELLS_MAX = 100_000
LIMIT = 0.55
MONTHS = 120
SMALL_NODES = 100
UNIT = "ns/(node x observation)"
GROWTH_UNIT = "ns/(node + edge)"
PUBLISHED = Row("published: the original, linear, 1 observation", 5.2, "ns/node")
"""Of a graph of 1,000 nodes, on another machine."""


def linear(nodes: int) -> Edges:
    """Return a chain."""
    return [(at, at + 1) for at in range(nodes - 1)]


def tree(nodes: int) -> Edges:
    """Return a binary tree."""
    return [((at - 1) // 2, at) for at in range(1, nodes)]


def diamonds(nodes: int) -> Edges:
    """Return diamonds in series, which have 2 to their number of paths."""
    return [
        edge
        for top in range(0, nodes - 3, 3)
        for edge in ((top, top + 1), (top, top + 2), (top + 1, top + 3), (top + 2, top + 3))
    ]


def scattered(nodes: int) -> Edges:
    """Return a random graph without circles, of up to three edges a node."""
    drawn = np.random.default_rng(1).integers(0, nodes, (3 * nodes, 2))
    pairs = np.unique(np.sort(drawn, axis=1), axis=0)
    return [(cause, effect) for cause, effect in pairs.tolist() if cause != effect]


SHAPES: dict[str, Callable[[int], Edges]] = {
    "linear": linear,
    "tree": tree,
    "diamonds": diamonds,
    "random": scattered,
}


def graphs() -> list[Row]:
    """Return the times of all shapes and sizes, and the memory of a node and of a market."""
    rows = [PUBLISHED]
    for shape, edges_of in SHAPES.items():
        per_edge: dict[int, float] = {}
        for nodes in NODES:
            edges = edges_of(nodes)
            measured, per_edge[nodes] = _sized(shape, nodes, edges)
            rows += measured
        least, most = per_edge[NODES[1]], per_edge[NODES[-1]]
        smaller = Row(f"{NODES[1]:,} nodes", least, GROWTH_UNIT)
        rows.append(compared(f"{shape}, {NODES[-1]:,} nodes: growth", most, GROWTH_UNIT, smaller))
    return [*rows, *_memory()]


def _sized(shape: str, nodes: int, edges: Edges) -> tuple[list[Row], float]:
    graph = Graph(shape)
    graph.add(*(threshold(at, LIMIT) for at in range(nodes)))
    planned = best_seconds(lambda: _connected(graph, edges), repeats=1)
    rows = [Row(f"{shape}, {nodes:,} nodes: plan", planned / nodes * 1e9, "ns/node, once")]
    names = Names(range(nodes))
    per_edge = 0.0
    for observations in OBSERVATIONS:
        cells = nodes * observations
        if cells > CELLS_MAX:
            continue
        values = np.random.default_rng(1).uniform(LIMIT - 0.001, 1.0, (observations, nodes))
        ours = _seconds(graph, names, values) / cells * 1e9
        if observations == OBSERVATIONS[1]:
            per_edge = ours * nodes / (nodes + len(edges))
        if cells <= LOOPED_CELLS_MAX:
            against = _loop(values, nodes, edges)
        else:
            plain = best_seconds(lambda values=values: values >= LIMIT)  # type: ignore[misc]
            against = Row("one numpy comparison", plain / cells * 1e9, UNIT)
        name = f"{shape}, {nodes:,} x {observations:,}"
        rows.append(compared(name, ours, UNIT, against))
        if observations == 1 and shape == "linear":
            rows.append(compared(name, ours, UNIT, PUBLISHED))
    return rows, per_edge


def _seconds(graph: Graph, names: Names, values: npt.NDArray[np.float64]) -> float:
    if len(values) == 1 and len(names) <= SMALL_NODES:
        data = dict(zip(names.names, values[0].tolist(), strict=True))
        return best_seconds(lambda: graph.evaluate(data))
    table = Table(names, values)
    return best_seconds(lambda: graph.evaluate_batch(table))


def _connected(graph: Graph, edges: Edges) -> object:
    graph.connect_all(edges)
    return graph.plan()


def _loop(values: npt.NDArray[np.float64], nodes: int, edges: Edges) -> Row:
    """The same by a plain Python loop over nodes, without records."""
    causes: list[list[int]] = [[] for _ in range(nodes)]
    for cause, effect in edges:
        causes[effect].append(cause)
    rows = values.tolist()

    def run() -> None:
        for row in rows:
            true: list[bool] = []
            for node, value in enumerate(row):
                true.append(value >= LIMIT and all(true[cause] for cause in causes[node]))

    return Row("a plain Python loop", best_seconds(run) / values.size * 1e9, UNIT)


def _memory() -> list[Row]:
    nodes = NODES[-1]

    def graph() -> object:
        made = Graph("memory")
        made.add(*(threshold(at, LIMIT) for at in range(nodes)))
        made.connect_all(tree(nodes))
        return made, made.plan()

    def context() -> object:
        months = RollingContext(Period.MONTH)
        for month in range(MONTHS):
            months.begin(12 * 44 + month, Bar(1.0, 1.0, 1.0, 1.0))
        return months

    def data() -> object:
        return [Datoid(at, {"open": 1.0 * at, "close": 2.0 * at}) for at in range(nodes)]

    return [
        Row("a node of a graph, with its edge and plan", _bytes(graph) / nodes, "bytes"),
        Row("a data node of a context", _bytes(data) / nodes, "bytes"),
        Row(f"a market's context of {MONTHS} months", _bytes(context), "bytes"),
    ]


def _bytes(make: Callable[[], object]) -> float:
    gc.collect()
    tracemalloc.start()
    made = make()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return float(held)
