"""Large graphs: every way of closing what causes leave closed agrees with a plain loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_analytics import Graph, Singleton, State, Table, compare, threshold
from qd_analytics.causal import sweep
from qd_analytics.causal.sweep import Sweep

Edges = Sequence[tuple[int, int]]
Codes = npt.NDArray[np.uint8]


def chain(nodes: int) -> Edges:
    return [(at, at + 1) for at in range(nodes - 1)]


def tree(nodes: int) -> Edges:
    return [((at - 1) // 2, at) for at in range(1, nodes)]


def diamonds(nodes: int) -> Edges:
    return [
        edge
        for top in range(0, nodes - 3, 3)
        for edge in ((top, top + 1), (top, top + 2), (top + 1, top + 3), (top + 2, top + 3))
    ]


def scattered(nodes: int) -> Edges:
    drawn = np.random.default_rng(nodes).integers(0, nodes, (3 * nodes, 2))
    return sorted({(int(a), int(b)) for a, b in np.sort(drawn, axis=1) if a != b})


def side_by_side(nodes: int) -> Edges:
    """Chains without a gate after their first node, and a second beginning."""
    return [(max(at - 3, 0), at) for at in range(1, nodes - 1)]


def scattered_after_a_gate(nodes: int) -> Edges:
    """Some nodes, one that all later ones follow from, and causes that go around it."""
    middle = nodes // 2
    edges = {edge for edge in scattered(nodes) if edge[1] != middle}
    return sorted(
        edges
        | {(at, middle) for at in range(middle)}
        | {(middle, at) for at in range(middle + 1, nodes)}
    )


SHAPES = {
    "chain": chain,
    "tree": tree,
    "diamonds": diamonds,
    "scattered": scattered,
    "side by side": side_by_side,
    "after a gate": scattered_after_a_gate,
}


def expected(nodes: int, edges: Edges, own: Codes) -> Codes:
    """A node keeps its own state where all its causes are true."""
    codes = own.copy()
    causes: list[list[int]] = [[] for _ in range(nodes)]
    for cause, effect in edges:
        causes[effect].append(cause)
    for node in range(nodes):  # edges lead from lower to higher numbers
        closed = (codes[causes[node]] != State.TRUE).any(axis=0)
        codes[node, closed] = State.NOT_EVALUATED
    return codes


@pytest.mark.parametrize("call_cost", [0, 10**9], ids=["in waves", "walked"])
@pytest.mark.parametrize("shape", SHAPES)
@settings(deadline=None, max_examples=25)
@given(
    st.integers(sweep.SWEEP_NODES_MIN, 90),
    st.sampled_from([1, 2, 8, 9, 64, 65, 130]),
    st.sampled_from([0.0, 0.02, 0.3]),
    st.integers(0, 100),
)
def test_sweeps_agree_with_a_plain_loop(
    shape: str, call_cost: int, nodes: int, rows: int, false_share: float, seed: int
) -> None:
    edges = SHAPES[shape](nodes)
    values = np.random.default_rng(seed).random((rows, nodes)) - false_share
    graph = Graph("large")
    graph.add(*(threshold(at, 0.0) for at in range(nodes)))
    graph.connect_all(edges)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "CALL_COST", call_cost)
        plan = graph.plan()
    (swept,) = (stage for stage in plan.stages if isinstance(stage, Sweep))
    assert (swept.waves is None) is (call_cost > 0)
    batch = graph.evaluate_batch(Table(range(nodes), values))
    own = np.where(values.T >= 0.0, State.TRUE, State.FALSE).astype(np.uint8)
    codes = np.array([batch.node(at) for at in range(nodes)])
    np.testing.assert_array_equal(codes, expected(nodes, edges, own))


@pytest.mark.parametrize(("shape", "levels"), [("chain", 0), ("diamonds", 1)])
def test_what_is_deep_takes_few_calls(shape: str, levels: int) -> None:
    """However many nodes follow each other."""
    for nodes in (1_000, 4_000):
        graph = Graph(shape)
        graph.add(*(threshold(at, 0.5) for at in range(nodes)))
        graph.connect_all(SHAPES[shape](nodes))
        (swept,) = (stage for stage in graph.plan().stages if isinstance(stage, Sweep))
        assert swept.waves is not None
        assert len(swept.waves.levels) == levels


def test_sweeps_within_sweeps() -> None:
    """Large graphs inside a large graph: closed from outside, and closing what follows."""
    inner = Graph("inner")
    inner.add(*(threshold(at, 0.5) for at in range(40)))
    inner.connect_all(chain(40))
    outer = Graph("outer")
    outer.add(*(threshold(f"o{at}", 0.5) for at in range(20)), inner)
    outer.connect_all([("o19", "inner")])
    outer.add(*(threshold(f"p{at}", 0.5) for at in range(20)))
    outer.connect_all([("inner", f"p{at}") for at in range(20)])
    names = [*range(40), *(f"o{at}" for at in range(20)), *(f"p{at}" for at in range(20))]
    values = np.ones((3, len(names)))
    values[1, names.index("o19")] = 0.0
    values[2, 7] = 0.0
    batch = outer.evaluate_batch(Table(names, values))
    for row in range(3):
        alone = outer.evaluate(dict(zip(names, values[row].tolist(), strict=True)))
        assert batch.row(row) == alone
    assert batch.node(("inner", 8)).tolist() == [State.TRUE, *[State.NOT_EVALUATED] * 2]
    assert batch.node("p3").tolist() == [State.TRUE, *[State.NOT_EVALUATED] * 2]


def test_a_rule_that_fails_within_a_sweep_fails_in_its_row_only() -> None:
    graph = Graph("large")
    graph.add(*(threshold(at, 0.5) for at in range(30)))
    graph.add(Singleton("inverse", lambda x: 1.0 / x > 0.1))
    graph.connect_all([*chain(30), (29, "inverse")])
    columns = {at: [1.0, 1.0, 0.0] for at in range(30)} | {"inverse": [1.0, 0.0, 0.0]}
    assert graph.evaluate_batch(columns).node("inverse").tolist() == [
        State.TRUE,
        State.ERROR,
        State.NOT_EVALUATED,
    ]


def test_a_hundred_thousand_nodes() -> None:
    """Comparisons that differ in their limits are one call, whatever the number of nodes."""
    nodes = 100_000
    graph = Graph("large")
    graph.add(*(compare(at, ">", at / nodes) for at in range(nodes)))
    graph.connect_all(tree(nodes))
    plan = graph.plan()
    assert (len(plan.groups), len(plan.single_rules), len(plan.stages)) == (1, 0, 3)
    values = np.full((2, nodes), 2.0)
    values[1, 1] = 0.0  # closes the left half
    batch = graph.evaluate_batch(Table(range(nodes), values))
    assert batch.states.tolist() == [State.TRUE, State.FALSE]
    assert batch.node(3).tolist() == [State.TRUE, State.NOT_EVALUATED]
    assert batch.node(2).tolist() == [State.TRUE, State.TRUE]
    record = graph.evaluate(dict(enumerate(values[1].tolist())))
    assert record.states == batch.row(1).states
    assert record.node(7).reason == "its cause 3 is not evaluated"
