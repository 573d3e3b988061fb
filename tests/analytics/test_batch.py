"""Arrays and one observation at a time give the same answers, whatever the causaloid."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_analytics import (
    BatchEvaluation,
    Causaloid,
    Collection,
    Context,
    Datoid,
    EffectKind,
    FromCauses,
    FromContext,
    Graph,
    IndexName,
    Logic,
    RelayTo,
    Singleton,
    State,
    Table,
    threshold,
)
from qd_analytics.causal.errors import DataShapeError, DuplicateNode, UnknownNode

NAMES = ("a", "b", "c")
CAUSES = FromCauses("a")
LEVEL = FromContext(IndexName.CURRENT_MONTH, "level")
ABSENT = FromContext(IndexName.PREVIOUS_MONTH, "level")
VALUES = st.sampled_from([-1.0, 0.0, 0.3, 0.5, 0.7, 1.0, math.nan, math.inf])


def inverse(x: Any) -> Any:
    return 1.0 / x > 1.5


def raises_on_negative(x: Any) -> Any:
    if np.any(x < 0):
        raise ValueError(f"negative: {x}")
    return x > 0.2


def relays(x: Any) -> Any:
    return RelayTo("elsewhere") if x > 0.6 else bool(x > 0.2)


def same(x: Any) -> Any:
    return x


class Rule(NamedTuple):
    name: str
    function: Callable[..., Any]
    arity: int = 1
    elementwise: bool = True


TRUTHS = [
    Rule("above", lambda x: x > 0.4),
    Rule("compare", lambda x, y: x >= y, 2),
    Rule("inverse", inverse),
    Rule("raises", raises_on_negative),
    Rule("one by one", raises_on_negative, 1, False),
    Rule("relays", relays, 1, False),
    Rule("no boolean", same),
    Rule("constant", lambda x: True),
    Rule("where", lambda x: np.where(x > 0.5, True, False)),
]
NUMBERS = [
    Rule("same", same),
    Rule("half", lambda x: x / 2),
    Rule("difference", lambda x, y: x - y, 2),
    Rule("inverse", lambda x: 1.0 / x),
    Rule("constant", lambda x: 0.3),
    Rule("one by one", lambda x: 0.7 if x > 0 else 0.1, 1, False),
    Rule("a boolean", lambda x: x > 0.4),
    Rule("relays", lambda x: RelayTo("elsewhere") if x > 0.6 else 0.5, 1, False),
]


@st.composite
def singletons(draw: st.DrawFn, id: int, kind: EffectKind) -> Singleton:
    name, function, arity, elementwise = draw(
        st.sampled_from(TRUTHS if kind is EffectKind.TRUTH else NUMBERS)
    )
    sources: st.SearchStrategy[Any] = st.sampled_from([*NAMES, "missing", LEVEL, ABSENT, CAUSES])
    inputs: list[Any] = [
        draw(st.sampled_from([*NAMES, CAUSES])),
        *(draw(sources) for _ in range(arity - 1)),
    ]
    if draw(st.integers(0, 9)) == 0:
        inputs[0] = draw(sources)
    limits = st.none() if kind is EffectKind.TRUTH else st.sampled_from([None, 0.2, 0.5])
    return Singleton(
        id,
        function,
        inputs,
        name,
        elementwise=elementwise,
        effect=kind,
        threshold=draw(limits),
    )


@st.composite
def causaloids(
    draw: st.DrawFn, id: int = 0, depth: int = 0, kind: EffectKind | None = None
) -> Causaloid:
    form = draw(st.sampled_from(["single", "collection", "graph"])) if depth < 3 else "single"
    kind = kind or draw(st.sampled_from([EffectKind.TRUTH, *EffectKind]))
    if form == "single":
        return draw(singletons(id, kind))
    size = draw(st.integers(1, 4))
    members = [draw(causaloids(at, depth + 1, kind)) for at in range(size)]
    if form == "collection":
        logic = draw(st.sampled_from(Logic))
        count = draw(st.integers(1, size)) if logic is Logic.AT_LEAST else None
        limit = None if kind is EffectKind.TRUTH else draw(st.sampled_from([0.2, 0.5]))
        return Collection(id, members, logic, count=count, threshold=limit)
    graph = Graph(id)
    for member in members:
        graph.add(member, join=draw(st.sampled_from([Logic.ALL, Logic.ANY])))
    for effect in range(size):
        for cause in range(effect):
            if draw(st.booleans()):
                graph.connect(cause, effect)
    return graph


def context() -> Context:
    made = Context()
    made.add(Datoid(1, {"level": 0.45}))
    made.point(IndexName.CURRENT_MONTH, 1)
    return made


@settings(deadline=None)
@given(causaloids(), st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=6))
def test_batch_equals_one_at_a_time(
    causaloid: Causaloid, rows: list[tuple[float, float, float]]
) -> None:
    columns = {name: np.array([row[at] for row in rows]) for at, name in enumerate(NAMES)}
    batch = causaloid.evaluate_batch(columns, context())
    assert len(batch) == len(rows)
    table = Table(NAMES, np.array(rows).reshape(-1, len(NAMES)))
    assert_same(batch, causaloid.evaluate_batch(table, context()))
    for at, row in enumerate(rows):
        alone = causaloid.evaluate(dict(zip(NAMES, row, strict=True)), context())
        assert batch.row(at) == alone
        assert batch.row(at).explain() == alone.explain()
        assert batch.row(at).as_data() == alone.as_data()


def assert_same(one: BatchEvaluation, other: BatchEvaluation) -> None:
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.values, other.values)
    assert (one.failures, one.relays) == (other.failures, other.relays)


@settings(deadline=None)
@given(causaloids(), st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=6), st.data())
def test_what_comes_later_changes_no_answer(
    causaloid: Causaloid, rows: list[tuple[float, float, float]], data: st.DataObject
) -> None:
    columns = {name: np.array([row[at] for row in rows]) for at, name in enumerate(NAMES)}
    whole = causaloid.evaluate_batch(columns, context())
    assert_same(whole, causaloid.evaluate_batch(columns, context()))
    end = data.draw(st.integers(0, len(rows)))
    part = causaloid.evaluate_batch({n: column[:end] for n, column in columns.items()}, context())
    np.testing.assert_array_equal(part.codes, whole.codes[:, :end])
    np.testing.assert_array_equal(part.values, whole.values[:, :end])


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 3))
def test_nodes_with_one_rule_are_evaluated_together(nodes: int, rows: int, bad: int) -> None:
    """The fast way for equal rules gives the slow way's answers, bad values included."""
    graph = Graph("many")
    graph.add(*(threshold(at, 0.5) for at in range(nodes)))
    graph.connect_all((at, at + 1) for at in range(nodes - 1) if at % 5)
    values = np.random.default_rng(nodes).random((nodes, rows)) + 0.3
    values.flat[: bad if bad < values.size else 0] = math.nan
    batch = graph.evaluate_batch(dict(enumerate(values)))
    for row in range(rows):
        alone = graph.evaluate(dict(enumerate(values[:, row])))
        assert batch.row(row).states == alone.states


def test_each_rule_runs_once() -> None:
    calls: list[int] = []

    def counted(at: int) -> Singleton:
        def rule(x: Any) -> Any:
            calls.append(at)
            return x > 0

        return Singleton(at, rule)

    graph = Graph("diamonds")
    graph.add(*(counted(at) for at in range(7)))
    for cause, effect in [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (3, 5), (4, 6), (5, 6)]:
        graph.connect(cause, effect)
    graph.evaluate_batch({at: [1.0, 2.0] for at in range(7)})
    assert sorted(calls) == list(range(7))


def test_a_rule_that_fails_for_one_row_fails_for_that_row_only() -> None:
    rule = Singleton("x", inverse)
    batch = rule.evaluate_batch({"x": [0.5, 0.0, 2.0]})
    assert batch.states.tolist() == [State.TRUE, State.ERROR, State.FALSE]
    assert "FloatingPointError" in batch.row(1).explain()


def test_codes_cannot_be_changed() -> None:
    batch = threshold("x", 0.5).evaluate_batch({"x": [1.0]})
    with pytest.raises(ValueError, match="read-only"):
        batch.codes[0, 0] = 0
    with pytest.raises(IndexError, match="observation 1 of 1"):
        batch.row(1)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"x": 1.0},
        {"x": [[1.0]]},
        {"x": [1.0, 2.0], "y": [1.0]},
        {"x": ["one"]},
        {"x": [10**400]},
    ],
)
def test_columns_that_do_not_fit(columns: dict[str, Any]) -> None:
    with pytest.raises(DataShapeError):
        threshold("x", 0.5).evaluate_batch(columns)


def test_a_context_must_be_given() -> None:
    rule = Singleton("r", lambda x, level: x > level, ("x", LEVEL))
    with pytest.raises(UnknownNode, match="no context; pass the context"):
        rule.evaluate({"x": 1.0})


def test_several_contexts_are_told_apart_by_name() -> None:
    def named(name: str, level: float) -> Context:
        made = Context(name)
        made.add(Datoid(1, {"level": level}))
        made.point(IndexName.CURRENT_MONTH, 1)
        return made

    second = FromContext(IndexName.CURRENT_MONTH, "level", "second")
    rule = Singleton(
        "r", lambda x, first, other: first < x < other, ("x", LEVEL, second), elementwise=False
    )
    contexts = named("first", 1.0), named("second", 3.0)
    assert rule.evaluate_batch({"x": [0.0, 2.0, 4.0]}, *contexts).states.tolist() == [2, 1, 2]


@pytest.mark.parametrize("nodes", [1, 300])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (10**400, "'x' is too large; expected a number that a float can hold"),
        ("1", "'x' is '1' (str); expected a number"),
        (1j, "'x' is 1j (complex); expected a number"),
        (None, "the data has no value for 'x'"),
        (math.inf, "'x' is inf; expected a finite number"),
    ],
)
def test_values_that_are_no_numbers(nodes: int, value: Any, reason: str) -> None:
    """Whatever way a graph of this size is evaluated."""
    graph = Graph("g")
    graph.add(threshold("x", 0.5), *(threshold(at, 0.5, reads="y") for at in range(nodes)))
    record = graph.evaluate({"x": value, "y": 1.0})
    assert record.node("x").reason == reason
    assert record.number_true == nodes


@pytest.mark.parametrize(
    "make",
    [
        lambda: Table(["a"], [1.0]),
        lambda: Table(["a"], [[1.0, 2.0]]),
        lambda: Table(["a"], [["one"]]),
    ],
)
def test_tables_that_do_not_fit(make: Callable[[], Table]) -> None:
    with pytest.raises(DataShapeError):
        make()


def test_a_column_is_named_once() -> None:
    with pytest.raises(DuplicateNode, match="'a' is named twice"):
        Table(["a", "b", "a"], np.zeros((1, 3)))


def test_a_table_without_a_column() -> None:
    graph = Graph("g")
    graph.add(threshold("a", 0.5), threshold("b", 0.5))
    batch = graph.evaluate_batch(Table(["b"], [[1.0], [0.0]]))
    assert batch.node("b").tolist() == [State.TRUE, State.FALSE]
    assert batch.row(1).node("a").reason == "the data has no value for 'a'"


def test_a_column_of_uneven_columns() -> None:
    with pytest.raises(DataShapeError, match="holds columns of its own"):
        threshold("a", 0.5).evaluate_batch({"a": [[1.0, 2.0], 1.0]})
