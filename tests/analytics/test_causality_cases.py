"""Recorded causality cases of reasoning, by id."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from qd_analytics import (
    Collection,
    Evaluation,
    Graph,
    Singleton,
    State,
)
from qd_analytics.causal.errors import (
    CycleError,
    EvaluationError,
    NoPath,
    NotAGraph,
    UnknownNode,
)
from support.causal_cases import (
    CASES,
    DESCRIPTION,
    REASONING,
    Checks,
    collection,
    every,
    graph_of,
    numbers,
    one,
    shaped,
)

CHECKS = Checks()
covers = CHECKS.covers

T, F, UNKNOWN, ERROR = State.TRUE, State.FALSE, State.NOT_EVALUATED, State.ERROR


def states(evaluation: Evaluation) -> list[State]:
    """States of the nodes in the order of their numbers."""
    return [node.state for node in sorted(evaluation.nodes, key=lambda node: node.path)]


# One cause


@covers("single_true")
def _(case: dict[str, Any]) -> None:
    record = one(case["id_"]).evaluate({"x": case["obs"]})
    assert record.result is case["expect"]["result"]
    assert record.explain() == case["expect"]["explain"]


@covers("single_unevaluated_explain")
def _(case: dict[str, Any]) -> None:
    graph = graph_of(2, [(0, 1)])
    record = graph.evaluate({0: 0.1, 1: 0.9})
    assert record.node(1).state is UNKNOWN
    assert "not evaluated: its cause 0 is false" in record.explain(1)
    assert "error" not in record.explain(1)


@covers("single_false_explain")
def _(case: dict[str, Any]) -> None:
    record = one(case["id_"]).evaluate({"x": case["obs"]})
    assert record.result is False
    assert record.explain() == f"Causaloid: 7 {DESCRIPTION} on last data 0.1 evaluated to false"


@covers("single_boundary")
def _(case: dict[str, Any]) -> None:
    assert one().evaluate({"x": case["obs"]}).result is case["expect"]["result"]


@covers("single_err_nan", "single_err_inf", "single_nan_unguarded")
def _(case: dict[str, Any]) -> None:
    calls = []

    def rule(value: float) -> bool:
        calls.append(value)
        return True

    record = Singleton(1, rule, ("x",)).evaluate({"x": float(case["obs"])})
    assert record.state is ERROR
    assert not calls, "the rule ran"
    with pytest.raises(EvaluationError, match=r"'x' is (nan|inf); expected a finite number"):
        _ = record.result


@covers("single_nan_keeps_stale")
def _(case: dict[str, Any]) -> None:
    first, second = (one().evaluate({"x": float(x)}) for x in case["obs_sequence"])
    assert (first.state, second.state) == (T, ERROR)
    assert second.node(()).values == {}


@covers("verify_all_on_singleton")
def _(case: dict[str, Any]) -> None:
    with pytest.raises(NotAGraph):
        one().evaluate_from(1, {"x": 0.9})


@covers("to_string")
def _(case: dict[str, Any]) -> None:
    assert repr(one()) == "Singleton(1)"


# Collections


@covers("coll_one_false")
def _(case: dict[str, Any]) -> None:
    record = collection(case["collection"]).evaluate(numbers(case["data"]))
    assert record.result is case["expect"]["result"]


@covers("coll_shortcircuit_stale")
def _(case: dict[str, Any]) -> None:
    members = collection(case["collection"])
    first, second = (members.evaluate(numbers(data)) for data in case["data_sequence"])
    assert [first.result, second.result] == case["expect"]["results"]
    assert states(second) == [T, F, F]


@covers("coll_data_short")
def _(case: dict[str, Any]) -> None:
    record = collection(case["collection"]).evaluate(numbers(case["data"]))
    assert record.state is ERROR
    assert record.node(1).reason == "the data has no value for 1"


@covers("coll_explain_inactive")
def _(case: dict[str, Any]) -> None:
    graph = Graph("outer")
    graph.add(one(7, reads=7), collection(case["collection"]))
    graph.connect(7, "members")
    text = graph.evaluate({7: 0.1}).explain("members")
    assert text.count("not evaluated: its cause 7 is false") == case["collection"]


@covers("coll_explain_format")
def _(case: dict[str, Any]) -> None:
    members = [one(id, reads=at) for at, id in enumerate(case["ids"])]
    record = Collection("pair", members).evaluate(numbers(case["data"]))
    assert record.explain() == case["expect"]["explain"]


@covers("coll_logs_duplicated")
def _(case: dict[str, Any]) -> None:
    text = collection(case["collection"]).evaluate({0: 0.99, 1: 0.99}).explain()
    assert text.count("Causaloid: 0 ") == text.count("Causaloid: 1 ") == 1


# Graphs


@covers("g_fork_all", "g_linear_all")
def _(case: dict[str, Any]) -> None:
    graph = shaped(case["shape"])
    record = graph.evaluate(every(graph))
    assert record.result is case["expect"]["result"]
    assert record.percent_true == case["expect"]["percent_active"]
    assert record.number_true == case["expect"].get("number_active", graph.size)


@covers("g_fork_before")
def _(case: dict[str, Any]) -> None:
    graph = shaped(case["shape"])
    record = graph.evaluate_node(0, every(graph, 0.1))
    assert record.percent_true == case["expect"]["percent_active"]
    assert record.number_true == case["expect"]["number_active"]


@covers("g_fork_subgraph_from_1")
def _(case: dict[str, Any]) -> None:
    graph = shaped(case["shape"])
    record = graph.evaluate_from(case["start"], every(graph))
    assert record.result is case["expect"]["result"]
    assert record.percent_true == case["expect"]["percent_active"]


@covers("g_err_no_data")
def _(case: dict[str, Any]) -> None:
    assert graph_of(1, []).evaluate_from(case["start"], {}).state is ERROR


@covers("g_sp_err_missing_start", "g_sp_err_missing_stop")
def _(case: dict[str, Any]) -> None:
    with pytest.raises(UnknownNode, match="does not contain"):
        graph_of(2, []).evaluate_path(case["from"], case["to"], {0: 0.99, 1: 0.99})


@covers("g_sp_err_identical", "g_sp_err_no_path")
def _(case: dict[str, Any]) -> None:
    with pytest.raises(NoPath):
        graph_of(2, []).evaluate_path(case["from"], case["to"], {0: 0.99, 1: 0.99})


@covers("g_sp_identical_head")
def _(case: dict[str, Any]) -> None:
    graph = graph_of(7, itertools.pairwise(range(7)))
    with pytest.raises(NoPath, match="evaluate_node"):
        graph.shortest_path(case["from"], case["to"])
    assert graph.evaluate_node(case["from"], every(graph)).result is True


@covers("g_single_many_one_false")
def _(case: dict[str, Any]) -> None:
    batch = graph_of(1, []).evaluate_batch({0: case["data"]})
    assert batch.states.tolist() == [T, F, T]


@covers("g_single_many_nan")
def _(case: dict[str, Any]) -> None:
    batch = graph_of(1, []).evaluate_batch({0: [float(x) for x in case["data"]]})
    assert batch.states.tolist() == [T, ERROR]


@covers("g_single_errors")
def _(case: dict[str, Any]) -> None:
    def fails(value: float) -> bool:
        raise RuntimeError("no answer")

    graph = graph_of(2, [], lambda at: one(0, reads=0) if at == 0 else Singleton(1, fails))
    with pytest.raises(UnknownNode):
        graph.evaluate_node(99, {0: 0.99})
    assert graph.evaluate_node(0, {}).state is ERROR
    record = graph.evaluate_node(1, {1: 0.99})
    assert record.node(1).reason == "the rule raised RuntimeError: no answer"


@covers("g_diamond_steps", "g_left_steps", "g_right_steps")
def _(case: dict[str, Any]) -> None:
    """The cases count over several questions; records stand alone, so the test keeps count."""
    graph = shaped(case["shape"])
    known: dict[int, State] = {}
    for step in case["steps"]:
        if step["call"] == "single":
            record = graph.evaluate_node(step["index"], {step["index"]: step["data"][0]})
        elif step["call"] == "subgraph":
            record = graph.evaluate_from(step["start"], every(graph))
        elif step["call"] == "shortest_path":
            record = graph.evaluate_path(step["from"], step["to"], every(graph))
        else:
            record = graph.evaluate(every(graph))
        if "result" in step:
            assert record.result is step["result"]
        known |= {n: s for n, s in enumerate(states(record)) if s is not UNKNOWN}
        assert sum(state is T for state in known.values()) == step["number_active"]


@covers("g_explain_path_2_3")
def _(case: dict[str, Any]) -> None:
    graph = graph_of(4, [(0, 1), (0, 2), (1, 3), (2, 3)])
    text = graph.evaluate_path(case["from"], case["to"], every(graph)).explain()
    expected = case["expect"]["explain"].replace("Causaloid: 1", "Causaloid: {}")
    assert text == expected.format(2, 3)


@covers("g_explain_partial", "g_diamond_B_false")
def _(case: dict[str, Any]) -> None:
    graph = shaped(case["shape"])
    record = graph.evaluate(numbers(case["data"]))
    false = case["data"].index(0.1)
    assert record.result is False
    assert states(record) == [F if n == false else UNKNOWN if n == 3 else T for n in range(4)]
    lines = record.explain().split("\n * ")[1:]
    assert [line.rsplit(" to ", 1)[-1].strip() for line in lines[:3]].count("false") == 1
    assert f"not evaluated: its cause {false} is false" in lines[3]


@covers("g_remove_edge")
def _(case: dict[str, Any]) -> None:
    graph = graph_of(case["shape"]["nodes"], case["shape"]["edges"])
    graph.disconnect(0, 1)
    assert [node in graph for node in range(3)] == case["better"]["contains"]
    assert graph.edges == ((1, 2),)


@covers("g_cycle")
def _(case: dict[str, Any]) -> None:
    *good, closing = case["shape"]["edges"]
    graph = graph_of(case["shape"]["nodes"], good)
    with pytest.raises(CycleError, match="directed cycle"):
        graph.connect(*closing)
    assert len(graph.edges) == len(good)
    with pytest.raises(CycleError, match="directed cycle"):
        graph_of(case["shape"]["nodes"], []).connect_all(case["shape"]["edges"])


@covers("g_self_loop_edge")
def _(case: dict[str, Any]) -> None:
    with pytest.raises(CycleError):
        graph_of(2, []).connect(1, 1)


@covers("g_stacked_diamonds")
def _(case: dict[str, Any]) -> None:
    visits = []

    def visited(at: int) -> Singleton:
        def rule(value: float) -> bool:
            visits.append(at)
            return True

        return Singleton(at, rule, elementwise=False)

    edges = [
        edge
        for top in range(0, 48, 3)
        for edge in ((top, top + 1), (top, top + 2), (top + 1, top + 3), (top + 2, top + 3))
    ]
    graph = graph_of(49, edges, visited)
    assert graph.evaluate(every(graph)).number_true == 49
    assert len(visits) == case["better"]["node_visits"]


@covers("g_id_not_index")
def _(case: dict[str, Any]) -> None:
    graph = shaped(case["shape"])
    record = graph.evaluate(dict(zip(case["ids"], case["data"], strict=True)))
    assert record.result is False
    assert states(record) == [T, T, T, F]


@covers("g_data_index_missing")
def _(case: dict[str, Any]) -> None:
    graph = Graph("by name")
    graph.add(*(one(id, reads=id) for id in case["ids"]))
    record = graph.evaluate({10: 0.9})
    assert record.node(11).reason == "the data has no value for 11"


# Nesting


@covers("nest_graph_in_graph")
def _(case: dict[str, Any]) -> None:
    inner = shaped("diamond")
    outer = Graph("outer")
    outer.add(one(0, reads=0), inner)
    outer.connect(0, inner.id)
    for example in case["cases"]:
        assert outer.evaluate(numbers(example["data"])).result is example["result"]


@covers("nest_coll_child", "nest_coll_root", "nest_coll_on_path", "nest_head_any")
def _(case: dict[str, Any]) -> None:
    """A collection evaluates alike at the root, below it, and on a path."""
    for place in range(3):
        outer = Graph("outer")
        outer.add(*(collection(2) if at == place else one(9 + at, reads=0) for at in range(3)))
        for cause, effect in itertools.pairwise(node.id for node in outer.nodes):
            outer.connect(cause, effect)
        start, stop = outer.nodes[0].id, outer.nodes[-1].id
        for data, expected in (({0: 0.9, 1: 0.9}, True), ({0: 0.9, 1: 0.1}, False)):
            assert outer.evaluate(data).result is expected
            assert outer.evaluate_path(start, stop, data).result is expected


def test_no_case_is_skipped_silently() -> None:
    CHECKS.assert_complete(REASONING)


@pytest.mark.parametrize("id", list(CHECKS.by_id))
def test_case(id: str) -> None:
    CHECKS.by_id[id](CASES[id])
