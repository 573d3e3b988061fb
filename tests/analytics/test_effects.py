"""Effects that are numbers and probabilities: combined alike in collections and in graphs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_analytics import (
    Collection,
    EffectKind,
    FromCauses,
    Graph,
    Logic,
    Singleton,
    State,
    probability,
    threshold,
)
from qd_analytics.causal.errors import ModelError

CAUSES = FromCauses()
CHANCES = st.lists(st.floats(0.0, 1.0, width=16), min_size=1, max_size=5)


def same(value: Any) -> Any:
    return value


def says(id: int, kind: EffectKind, limit: float | None = None) -> Singleton:
    return Singleton(id, same, (id,), effect=kind, threshold=limit)


def collected(kind: EffectKind, values: Sequence[float], logic: Logic, **options: Any) -> float:
    members = [says(at, kind) for at in range(len(values))]
    return Collection("c", members, logic, **options).evaluate(dict(enumerate(values))).value


def met(kind: EffectKind, values: Sequence[float], logic: Logic) -> float:
    """What a node reads of causes that say these values."""
    graph = Graph("g")
    graph.add(*(says(at, kind) for at in range(len(values))))
    graph.add(Singleton("end", same, (FromCauses(),), effect=kind), join=logic)
    graph.connect_all([(at, "end") for at in range(len(values))])
    return graph.evaluate(dict(enumerate(values))).value


@pytest.mark.parametrize(
    ("kind", "logic", "expected"),
    [
        (EffectKind.NUMBER, Logic.ALL, 0.25),
        (EffectKind.NUMBER, Logic.ANY, 0.5),
        (EffectKind.PROBABILITY, Logic.ALL, 0.125),
        (EffectKind.PROBABILITY, Logic.ANY, 0.625),
    ],
)
def test_collections_and_graphs_combine_alike(
    kind: EffectKind, logic: Logic, expected: float
) -> None:
    assert collected(kind, [0.5, 0.25], logic) == expected
    assert met(kind, [0.5, 0.25], logic) == expected


@given(CHANCES, st.sampled_from([Logic.ALL, Logic.ANY]), st.sampled_from(list(EffectKind)[1:]))
def test_they_combine_alike_whatever_the_values(
    values: list[float], logic: Logic, kind: EffectKind
) -> None:
    assert collected(kind, values, logic) == met(kind, values, logic)


@given(CHANCES, st.data())
def test_at_least_k_is_the_probability_of_k_or_more(
    values: list[float], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(values)))
    expected = 0.0
    for happened in product([False, True], repeat=len(values)):
        if sum(happened) >= count:
            pairs = zip(happened, values, strict=True)
            expected += float(np.prod([p if yes else 1.0 - p for yes, p in pairs]))
    kind = EffectKind.PROBABILITY
    found = collected(kind, values, Logic.AT_LEAST, count=count)
    assert found == pytest.approx(expected, abs=1e-9)
    if count == len(values):
        assert found == pytest.approx(collected(kind, values, Logic.ALL), abs=1e-9)
    if count == 1:
        assert found == pytest.approx(collected(kind, values, Logic.ANY), abs=1e-9)


@pytest.mark.parametrize(
    ("logic", "options", "value", "state"),
    [
        (Logic.AT_LEAST, {"count": 2, "threshold": 3.0}, 1.0, State.TRUE),
        (Logic.AT_LEAST, {"count": 3, "threshold": 3.0}, 0.0, State.FALSE),
        (Logic.NONE, {"threshold": 5.0}, 1.0, State.TRUE),
        (Logic.NONE, {"threshold": 4.0}, 0.0, State.FALSE),
        (Logic.ALL, {"threshold": 2.0}, 3.0, State.TRUE),
        (Logic.ALL, {"threshold": 3.0}, 3.0, State.FALSE),
        (Logic.ANY, {"threshold": 4.5}, 5.0, State.TRUE),
        (Logic.ANY, {}, 5.0, State.TRUE),
    ],
)
def test_numbers_against_a_threshold(
    logic: Logic, options: dict[str, Any], value: float, state: State
) -> None:
    members = [says(at, EffectKind.NUMBER) for at in range(3)]
    record = Collection("c", members, logic, **options).evaluate({0: 3.0, 1: 4.0, 2: 5.0})
    assert (record.value, record.state) == (value, state)


def test_a_number_opens_its_effects_above_its_threshold_only() -> None:
    graph = Graph("g")
    graph.add(says(0, EffectKind.NUMBER, 1.0), Singleton(1, lambda x: x > 0, (FromCauses(),)))
    graph.connect(0, 1)
    batch = graph.evaluate_batch({0: [0.5, 1.0, 1.5]})
    assert batch.node(1).tolist() == [State.NOT_EVALUATED, State.NOT_EVALUATED, State.TRUE]
    assert batch.node_values(0).tolist() == [0.5, 1.0, 1.5]
    assert "evaluated to 1.5 (true: above 1.0)" in batch.row(2).explain()


@pytest.mark.parametrize(
    ("effect", "value", "message"),
    [
        (EffectKind.PROBABILITY, 1.5, "expected a probability from 0 to 1"),
        (EffectKind.PROBABILITY, -0.5, "expected a probability from 0 to 1"),
        (EffectKind.NUMBER, 1e308, "the rule raised FloatingPointError"),
    ],
)
def test_values_that_are_none(effect: EffectKind, value: float, message: str) -> None:
    rule = Singleton("x", lambda x: x * 10 if x > 1e300 else x, effect=effect, elementwise=False)
    record = rule.evaluate({"x": value})
    assert record.state is State.ERROR
    assert message in record.explain()
    assert rule.evaluate_batch({"x": [value]}).row(0) == record


def test_a_value_that_is_missing_leaves_the_collection_open() -> None:
    graph = Graph("inner")
    graph.add(says(0, EffectKind.NUMBER, 10.0), says(1, EffectKind.NUMBER))
    graph.connect(0, 1)
    both = Collection("c", [graph, says(2, EffectKind.NUMBER)])
    record = both.evaluate({0: 1.0, 1: 1.0, 2: 1.0})
    assert record.state is State.NOT_EVALUATED
    assert record.reason(0) == "node 'inner' is false and has no value"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Collection("c", [threshold(1, 0.5)], threshold=0.5), "say true or false"),
        (
            lambda: Collection("c", [says(1, EffectKind.NUMBER)], Logic.NONE),
            "give it the threshold",
        ),
        (
            lambda: Collection("c", [threshold(1, 0.5), says(2, EffectKind.NUMBER)]),
            "different kinds of things .1 a truth, 2 a number",
        ),
        (lambda: Singleton(1, same, threshold=1.0), "says true or false"),
        (lambda: says(1, EffectKind.NUMBER, float("nan")), "has the threshold nan"),
    ],
)
def test_what_does_not_combine(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make().plan()


def test_causes_join_by_all_or_any_only() -> None:
    with pytest.raises(ModelError, match="by all or any"):
        Graph("g").add(threshold(1, 0.5), join=Logic.NONE)


def test_any_cause_opens_a_node_that_joins_so() -> None:
    graph = Graph("g")
    graph.add(threshold("a", 0.5), threshold("b", 0.5))
    graph.add(threshold("c", 0.5), join=Logic.ANY)
    graph.connect_all([("a", "c"), ("b", "c")])
    nan = float("nan")
    columns = {"a": [1, 1, 0, 1], "b": [1, 0, 0, nan], "c": [1, 1, 1, 1]}
    batch = graph.evaluate_batch(columns)
    assert batch.node("c").tolist() == [State.TRUE, State.TRUE, *[State.NOT_EVALUATED] * 2]
    assert batch.row(2).node("c").reason == "none of its causes is true"
    assert batch.row(3).node("c").reason == "its cause 'b' is error"


def test_a_graph_says_what_its_sinks_say_together() -> None:
    @probability
    def first(x: Any) -> Any:
        return x

    @probability
    def second(cause: Any = CAUSES) -> Any:
        return cause / 2

    @probability
    def third(cause: Any = CAUSES) -> Any:
        return cause / 4

    graph = Graph("g")
    graph.add(first, second, third)
    graph.connect_all([("first", "second"), ("first", "third")])
    assert graph.evaluate({"x": 1.0}).value == 0.125
    assert Collection("c", [graph, graph], Logic.ANY).evaluate({"x": 1.0}).value == 1 - 0.875**2
