"""Recorded causality cases of effects: combinations, values along edges, relays, by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from qd_analytics import (
    Collection,
    EffectKind,
    FromCauses,
    Graph,
    Logic,
    Point,
    RelayTo,
    Singleton,
    State,
    evaluate_routed,
    evaluate_uncertain,
)
from qd_analytics.causal.errors import (
    CycleError,
    EmptyCollection,
    EvaluationError,
    RelayBudgetExhausted,
    UnknownNode,
)
from support.causal_cases import (
    CASES,
    EFFECTS,
    SHAPES,
    Checks,
    collection,
    every,
    graph_of,
    numbers,
    shaped,
)

CHECKS = Checks()
covers = CHECKS.covers

UNKNOWN, ERROR = State.NOT_EVALUATED, State.ERROR


def same(value: Any) -> Any:
    return value


def flowing(
    shape: dict[str, Any], functions: Sequence[Any], effect: EffectKind = EffectKind.NUMBER
) -> Graph:
    """A graph whose nodes read what their causes say."""
    graph = Graph("flow")
    for at, function in enumerate(functions):
        graph.add(Singleton(at, function, (FromCauses(),), effect=effect), join=Logic.ANY)
    for cause, effect_ in shape["edges"]:
        graph.connect(cause, effect_)
    return graph


def probabilities(values: Sequence[Any], logic: Logic, **options: Any) -> Collection:
    members = [
        Singleton(at, same, (at,), effect=EffectKind.PROBABILITY) for at in range(len(values))
    ]
    return Collection("members", members, logic, **options)


def relaying(relays: dict[int, RelayTo], edges: Sequence[Sequence[int]]) -> Graph:
    """Three nodes; those without a relay say what they get."""

    def made(at: int) -> Singleton:
        def rule(value: float) -> Any:
            return relays.get(at, value != 0)

        return Singleton(at, rule, (FromCauses(),), elementwise=False)

    graph = Graph("relays")
    graph.add(*(made(at) for at in range(3)))
    for cause, effect in edges:
        graph.connect(cause, effect)
    return graph


# Combinations


@covers("agg_bool_all_tt", "agg_bool_any_ft")
def _(case: dict[str, Any]) -> None:
    logic = Logic[case["logic"].upper()]
    record = collection(len(case["effects"]), logic=logic).evaluate(numbers(case["effects"]))
    assert record.result is case["expect"]


@covers("agg_empty")
def _(case: dict[str, Any]) -> None:
    with pytest.raises(EmptyCollection):
        collection(0)


@covers("agg_missing_value")
def _(case: dict[str, Any]) -> None:
    data = dict(enumerate(case["effects"]))
    assert collection(2, logic=Logic.ALL).evaluate(data).state is ERROR


@covers("agg_f64_all", "agg_f64_any", "agg_f64_none")
def _(case: dict[str, Any]) -> None:
    members = probabilities(case["effects"], Logic[case["logic"].upper()])
    assert members.evaluate(numbers(case["effects"])).value == case["expect"]


@covers("agg_f64_some1", "agg_f64_some2")
def _(case: dict[str, Any]) -> None:
    """The original counts what exceeds 0.5, always; here the threshold is given."""
    count = int(case["logic"][5])
    for limit, expected in ((0.5, case["expect"]), (0.4, 1.0), (0.95, 0.0)):
        members = probabilities(case["effects"], Logic.AT_LEAST, count=count, threshold=limit)
        assert members.evaluate(numbers(case["effects"])).value == expected


@covers("agg_f64_nan")
def _(case: dict[str, Any]) -> None:
    for logic in Logic:
        options = {"count": 1, "threshold": 0.5} if logic is Logic.AT_LEAST else {}
        members = probabilities(case["effects"], logic, **options)
        assert members.evaluate(numbers(case["effects"])).state is ERROR


@covers("agg_uncertain_no_threshold")
def _(case: dict[str, Any]) -> None:
    members = collection(len(case["effects"]), logic=Logic.ALL)
    record = evaluate_uncertain(members, {0: Point(1.0)}, seed=1, threshold=case["threshold"])
    with pytest.raises(EvaluationError, match="only against a threshold"):
        _ = record.result
    assert evaluate_uncertain(members, {0: Point(1.0)}, seed=1, threshold=0.5).result is True


# The original's later graphs


@covers("h_cycle")
def _(case: dict[str, Any]) -> None:
    with pytest.raises(CycleError, match="directed cycle"):
        graph_of(case["shape"]["nodes"], case["shape"]["edges"])


@covers("h_not_frozen")
def _(case: dict[str, Any]) -> None:
    graph = graph_of(2, [(0, 1)])
    plan = graph.plan()
    assert graph.plan() is plan, "made once"
    graph.disconnect(0, 1)
    assert graph.plan() is not plan


@covers("h_missing_start")
def _(case: dict[str, Any]) -> None:
    with pytest.raises(UnknownNode, match="does not contain"):
        graph_of(2, []).evaluate_from(case["start"], {})


@covers("h_tree_log", "h_diamond_log", "h_layer_log")
def _(case: dict[str, Any]) -> None:
    graph = shaped(case["shape"])
    record = graph.evaluate(every(graph))
    assert [node.path[0] for node in record.nodes] == list(range(graph.size))
    assert record.explain().count("Causaloid: 0 ") == 1


@covers("h_reconverge", "h_reconverge_from_2")
def _(case: dict[str, Any]) -> None:
    """Where causes meet, any of them opens the node, and the greatest number goes on."""
    graph = flowing(SHAPES[case["shape"]], [same, lambda x: x + 1, lambda x: x + 10, same])
    record = graph.evaluate_from(case["start"], {"observation": case["obs"]})
    assert record.value == case["expect"]


@covers("h_join_or_false")
def _(case: dict[str, Any]) -> None:
    functions = [lambda x: x != 0, lambda x: x != x, lambda x: x != x, lambda x: x != 0]
    graph = flowing(SHAPES[case["shape"]], functions, EffectKind.TRUTH)
    record = graph.evaluate_from(case["start"], {"observation": case["obs"]})
    assert record.value is case["expect"]
    assert graph.evaluate_from(0, {"observation": True}).value is False, "both causes are false"


@covers("h_chain_log")
def _(case: dict[str, Any]) -> None:
    graph = flowing(SHAPES[case["shape"]], [lambda x: np.where(x >= 0.55, 1.0, 0.0)] * 4)
    record = graph.evaluate_from(case["start"], {"observation": case["obs"]})
    assert record.value == case["expect"]["value"]
    assert [node.path for node in record.nodes] == [(0,), (1,), (2,), (3,)]
    assert record.node(0).values == {"observation": 0.99}
    assert [record.node(n).values for n in (1, 2, 3)] == [{"causes": 1.0}] * 3
    assert record.explain().count("Causaloid: ") == 4


@covers("epp_observe")
def _(case: dict[str, Any]) -> None:
    graph = Graph("effects")
    causes = (FromCauses(),)
    graph.add(
        Singleton("effective dose", lambda x: x * 0.8, causes, effect=EffectKind.NUMBER),
        Singleton("left", lambda x: x - 2, causes, effect=EffectKind.NUMBER),
        Singleton("Effective", lambda x: x > 5, causes),
    )
    graph.connect_all([("effective dose", "left"), ("left", "Effective")])
    record = graph.evaluate({"observation": case["obs"]})
    assert [node.path[0] for node in record.sinks if node.value] == [case["expect"]]


# Routing


@covers("h_relay_ok")
def _(case: dict[str, Any]) -> None:
    graph = relaying({0: RelayTo(2, {"observation": True})}, case["edges"])
    routed = evaluate_routed(graph, case["start"], {"observation": 0.0})
    assert routed.route == (0, 2)
    assert routed.result is True
    assert routed.rounds[0].node(0).state is State.RELAYED
    assert all(record.node(1).state is UNKNOWN for record in routed.rounds)
    assert routed.last.node(2).values == {"observation": 1.0}


@covers("h_relay_cycle")
def _(case: dict[str, Any]) -> None:
    graph = relaying({0: RelayTo(1), 1: RelayTo(0)}, [])
    with pytest.raises(RelayBudgetExhausted, match=r"Relay budget exhausted.*1025 times"):
        evaluate_routed(graph, case["start"], {"observation": 0.0})


@covers("h_path_relay")
def _(case: dict[str, Any]) -> None:
    graph = relaying({1: RelayTo(9)}, [(0, 1), (1, 2)])
    record = graph.evaluate_path(case["from"], case["to"], {"observation": True})
    assert record.relay == RelayTo(9)
    assert record.state is State.RELAYED
    assert record.node(2).reason == "its cause 1 is relayed"


def test_no_case_is_skipped_silently() -> None:
    CHECKS.assert_complete(EFFECTS)


@pytest.mark.parametrize("id", list(CHECKS.by_id))
def test_case(id: str) -> None:
    CHECKS.by_id[id](CASES[id])
