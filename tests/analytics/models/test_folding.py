"""Folded plans say what the library says, for any graph of comparisons and any context."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_analytics import Collection, Context, Datoid, FromContext, Graph, Logic, Singleton, compare
from qd_analytics.causal.batch import evaluate_columns
from qd_analytics.causal.causaloid import Causaloid
from qd_analytics.causal.reading import snapshot_of
from qd_analytics.causal.single import evaluate_one
from qd_analytics.models.folding import foldable

OPERATORS = (operator.gt, operator.ge, operator.lt, operator.le, operator.eq, operator.ne)
LEVELS = ("low", "middle", "high", "absent")
VALUES = st.sampled_from([1.0, 1.5, 2.0, 2.5, 3.0])


@st.composite
def graphs(draw: st.DrawFn) -> Causaloid:
    """Up to six comparisons of two columns and four levels, with any edges that are allowed."""
    levels = [FromContext("levels", name) for name in LEVELS]
    sides: st.SearchStrategy[Any] = st.sampled_from(["price", "volume", *levels])
    rules: list[Causaloid] = []
    for number in range(draw(st.integers(1, 6))):
        if draw(st.integers(0, 4)) == 0:
            sign = draw(st.sampled_from([">", ">=", "<", "<="]))
            rules.append(compare(number, sign, draw(VALUES), reads="price"))
        else:
            inputs = (draw(sides), draw(sides))
            rules.append(Singleton(number, draw(st.sampled_from(OPERATORS)), inputs))
    if draw(st.booleans()):
        return Collection("all", rules)
    graph = Graph("graph")
    graph.add(*rules)
    for effect in range(1, len(rules)):
        for cause in draw(st.sets(st.integers(0, effect - 1), max_size=2)):
            graph.connect(cause, effect)
    return graph


@settings(deadline=None)
@given(graphs(), st.data())
def test_a_folded_plan_says_what_the_library_says(
    causaloid: Causaloid, data: st.DataObject
) -> None:
    context = Context("levels")
    numbers = {name: data.draw(VALUES) for name in LEVELS[:3] if data.draw(st.integers(0, 3))}
    context.add(Datoid(1, numbers))
    context.point("levels", 1)
    plan = causaloid.plan()
    snapshot = snapshot_of(plan.from_contexts, (context,))
    fold = foldable(plan)
    assert fold is not None
    folded = fold.fold(snapshot)
    assert folded is not None
    rows = data.draw(st.integers(1, 5))
    columns = {
        name: np.array(data.draw(st.lists(VALUES, min_size=rows, max_size=rows)))
        for name in ("price", "volume")
    }
    expected = evaluate_columns(plan, columns, snapshot).states.tolist()
    found = folded.many([columns[str(name)] for name in fold.columns], rows)
    assert found.tolist() == expected
    assert found.dtype == np.uint8
    for row in range(rows):
        observation = {name: float(column[row]) for name, column in columns.items()}
        alone = folded.one([observation[str(name)] for name in fold.columns])
        assert alone == evaluate_one(plan, observation, snapshot).state == expected[row]


def test_of_several_limits_the_tightest_is_left() -> None:
    rules = [compare(n, ">", limit, reads="price") for n, limit in enumerate([1.0, 3.0, 2.0])]
    fold = foldable(Collection("all", rules).plan())
    assert fold is not None
    folded = fold.fold({})
    assert folded is not None
    assert [limit for _, _, limit in folded.limits] == [3.0]


A = Singleton("a", operator.gt, ("price", "volume"))
B = Singleton("b", operator.lt, ("price", "volume"))


def joined_by_any() -> Graph:
    graph = Graph("joined")
    graph.add(A, B)
    graph.add(Singleton("c", operator.gt, ("price", "volume")), join=Logic.ANY)
    graph.connect("a", "c")
    graph.connect("b", "c")
    return graph


NOT_FOLDED: list[Any] = [
    Singleton("own", lambda price: price > 1, ("price",)),
    Collection("any", [A, B], Logic.ANY),
    Collection("nested", [Collection("inner", [A]), B]),
    joined_by_any(),
]


@pytest.mark.parametrize("causaloid", NOT_FOLDED, ids=lambda causaloid: str(causaloid.id))
def test_what_is_more_than_comparisons_is_left_to_the_library(causaloid: Causaloid) -> None:
    assert foldable(causaloid.plan()) is None


def test_a_level_that_no_rule_may_see_is_left_to_the_library() -> None:
    context = Context("levels")
    context.add(Datoid(1, {"low": float("nan")}))
    context.point("levels", 1)
    plan = Singleton("above", operator.gt, ("price", FromContext("levels", "low"))).plan()
    fold = foldable(plan)
    assert fold is not None
    assert fold.fold(snapshot_of(plan.from_contexts, (context,))) is None
