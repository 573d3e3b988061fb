"""Nesting equals flattening, and every node is evaluated at most once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_analytics import Causaloid, Collection, Graph, Logic, Singleton, threshold, to_dot
from qd_analytics.causal.causaloid import NESTING_MAX
from qd_analytics.causal.errors import ModelError
from qd_analytics.causal.plan import Path
from qd_analytics.causal.saving import causaloid_from_data, causaloid_to_data

Nested = int | list["Nested"]
"""A node by the number that it reads, or a graph of them."""


class Flat(NamedTuple):
    """A nested graph's rules by path, with the edges that mean the same."""

    rules: dict[Path, int]
    edges: set[tuple[Path, Path]]


@st.composite
def nested_graphs(draw: st.DrawFn) -> tuple[Graph, Flat]:
    flat = Flat({}, set())
    numbers = iter(range(1_000))

    def make(path: Path, depth: int) -> tuple[Causaloid, list[Path], list[Path]]:
        """A node, its rules, and those of them that a cause from outside opens."""
        if depth == 3 or (depth and draw(st.booleans())):
            flat.rules[path] = number = next(numbers)
            return threshold(path[-1], 0.5, reads=number), [path], [path]
        graph = Graph(path[-1] if path else "outer")
        parts = [make((*path, at), depth + 1) for at in range(draw(st.integers(1, 3)))]
        graph.add(*(node for node, _, _ in parts))
        opened = set(range(len(parts)))
        for effect in range(len(parts)):
            for cause in range(effect):
                if draw(st.booleans()):
                    graph.connect(cause, effect)
                    opened.discard(effect)
                    flat.edges.update((a, b) for a in parts[cause][1] for b in parts[effect][2])
        inside = [rule for _, rules, _ in parts for rule in rules]
        return graph, inside, [rule for at in sorted(opened) for rule in parts[at][2]]

    graph, _, _ = make((), 0)
    assert isinstance(graph, Graph)
    return graph, flat


def flattened(flat: Flat) -> Graph:
    graph = Graph("flat")
    graph.add(*(threshold(str(path), 0.5, reads=number) for path, number in flat.rules.items()))
    for cause, effect in flat.edges:
        graph.connect(str(cause), str(effect))
    return graph


def in_collection(at: int, part: Causaloid) -> Causaloid:
    return Collection(at, [part])


def in_graph(at: int, part: Causaloid) -> Causaloid:
    graph = Graph(at)
    graph.add(part)
    return graph


@settings(deadline=None)
@given(nested_graphs(), st.data())
def test_nesting_equals_flattening(made: tuple[Graph, Flat], data: st.DataObject) -> None:
    graph, flat = made
    values = st.sampled_from([0.9, 0.9, 0.9, 0.1, float("nan")])
    rows = [{n: data.draw(values) for n in flat.rules.values()} for _ in range(4)]
    columns = {n: [row[n] for row in rows] for n in flat.rules.values()}
    ours, theirs = graph.evaluate_batch(columns), flattened(flat).evaluate_batch(columns)
    np.testing.assert_array_equal(ours.states, theirs.states)
    for path in flat.rules:
        np.testing.assert_array_equal(ours.node(path), theirs.node(str(path)))


@given(st.lists(st.sampled_from([0.9, 0.1, float("nan")]), min_size=1, max_size=5))
def test_a_collection_of_all_equals_a_graph_without_edges(values: Sequence[float]) -> None:
    members = [threshold(at, 0.5) for at in range(len(values))]
    graph = Graph("g")
    graph.add(*members)
    data = dict(enumerate(values))
    together = Collection("c", members, Logic.ALL).evaluate(data)
    assert together.states[1:] == graph.evaluate(data).states[1:]
    assert together.state is graph.evaluate(data).state


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 1_000), st.booleans())
def test_every_node_is_evaluated_at_most_once(nodes: int, seed: int, elementwise: bool) -> None:
    calls: Counter[int] = Counter()

    def counted(at: int) -> Singleton:
        def rule(value: Any) -> Any:
            calls[at] += 1
            return value > 0.2

        return Singleton(at, rule, elementwise=elementwise)

    graph = Graph("many ways")
    graph.add(*(counted(at) for at in range(nodes)))
    chance = np.random.default_rng(seed)
    for effect in range(1, nodes):
        for cause in np.unique(chance.integers(0, effect, 3)).tolist():
            graph.connect(cause, effect)
    values = chance.random((1, nodes))
    graph.evaluate(dict(enumerate(values[0].tolist())))
    assert max(calls.values()) == 1
    calls.clear()
    graph.evaluate_batch({at: values[:, at] for at in range(nodes)})
    assert max(calls.values()) == 1


@pytest.mark.parametrize("wrap", [in_collection, in_graph])
def test_nesting_is_bounded_where_it_is_built(wrap: Callable[[int, Causaloid], Causaloid]) -> None:
    causaloid: Causaloid = threshold("leaf", 0.5)
    for at in range(NESTING_MAX):
        causaloid = wrap(at, causaloid)
    assert causaloid.evaluate({"leaf": 1.0}).result
    assert to_dot(causaloid).count("->") >= NESTING_MAX - 1
    data = json.loads(json.dumps(causaloid_to_data(causaloid)))
    assert causaloid_from_data(data).evaluate({"leaf": 1.0}).result
    with pytest.raises(ModelError, match="nested 65 deep; at most 64"):
        wrap(NESTING_MAX, causaloid)
