"""Uncertain values: seeded draws, probabilities of nodes, and answers against a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from qd_analytics import (
    Bernoulli,
    Collection,
    EffectKind,
    FromContext,
    Graph,
    Logic,
    Normal,
    Point,
    Samples,
    Singleton,
    State,
    Uncertain,
    Uniform,
    evaluate_uncertain,
    threshold,
)
from qd_analytics.causal.errors import EvaluationError, ModelError


@pytest.mark.parametrize(
    ("value", "probability"),
    [
        (Point(1.0), 1.0),
        (Point(0.0), 0.0),
        (Bernoulli(0.3), 0.3),
        (Uniform(0.0, 2.0), 0.75),
        (Normal(0.5, 1.0), 0.5),
        (Samples([0.1, 0.9, 0.9, 0.9]), 0.75),
    ],
)
def test_the_probability_of_a_rule(value: Uncertain, probability: float) -> None:
    record = evaluate_uncertain(threshold("x", 0.5), {"x": value}, seed=7, samples=4_000)
    assert record.probability() == pytest.approx(probability, abs=5 * 0.5 / 4_000**0.5)
    assert record.standard_error() == pytest.approx(
        (record.probability() * (1 - record.probability()) / 4_000) ** 0.5
    )


def test_the_same_seed_draws_the_same() -> None:
    graph = Graph("g")
    graph.add(threshold("a", 0.5), threshold("b", 0.5))
    data = {"a": Uniform(0, 1), "b": Uniform(0, 1)}
    one, same, other = (evaluate_uncertain(graph, data, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.batch.codes, same.batch.codes)
    assert (one.batch.codes != other.batch.codes).any()
    assert (one.batch.node("a") != one.batch.node("b")).any(), "each name draws its own"
    alone = evaluate_uncertain(graph, {"a": Uniform(0, 1), "b": 1.0}, seed=1)
    np.testing.assert_array_equal(one.batch.node("a"), alone.batch.node("a"))


def test_nodes_of_a_graph() -> None:
    graph = Graph("g")
    graph.add(threshold("a", 0.5), threshold("b", 0.5))
    graph.connect("a", "b")
    record = evaluate_uncertain(graph, {"a": Bernoulli(0.5), "b": Bernoulli(0.5)}, seed=3)
    assert record.share(State.NOT_EVALUATED, "b") == pytest.approx(1 - record.probability("a"))
    assert record.probability() == record.probability("b") < record.probability("a")
    assert record.samples == 1_000
    assert "a tests whether data exceeds threshold of 0.5: true" in record.explain()
    part = evaluate_uncertain(graph, {"b": Bernoulli(0.5)}, seed=3, plan=graph.plan_node("b"))
    assert part.probability() == pytest.approx(0.5, abs=0.1)


def test_uncertain_numbers_and_contexts() -> None:
    level = FromContext("month", "level")
    rule = Singleton("gap", lambda x, y: x - y, ("x", level), effect=EffectKind.NUMBER)
    record = evaluate_uncertain(rule, {"x": 5.0, level: Normal(2.0, 0.1)}, seed=1)
    assert record.mean() == pytest.approx(3.0, abs=0.05)


def test_an_answer_needs_a_threshold() -> None:
    pair = Collection("c", [threshold(at, 0.5) for at in range(2)], Logic.ANY)
    data: dict[int, Uncertain] = {0: Bernoulli(0.5), 1: Bernoulli(0.5)}
    for limit, expected in ((0.6, True), (0.9, False)):
        assert evaluate_uncertain(pair, data, seed=1, threshold=limit).result is expected
    with pytest.raises(EvaluationError, match="only against a threshold"):
        _ = evaluate_uncertain(pair, data, seed=1).result


def test_draws_that_fail_leave_no_probability() -> None:
    rule = Singleton("inverse", lambda x: 1.0 / x > 0.5)
    record = evaluate_uncertain(rule, {"inverse": Bernoulli(0.5)}, seed=1, threshold=0.5)
    with pytest.raises(EvaluationError, match="draws failed, the first with: the rule raised"):
        _ = record.result
    assert record.share(State.ERROR) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Normal(0.0, -1.0),
        lambda: Uniform(2.0, 1.0),
        lambda: Bernoulli(1.1),
        lambda: Samples([]),
        lambda: evaluate_uncertain(threshold("x", 0.5), {"x": 1.0}, seed=1, samples=0),
        lambda: evaluate_uncertain(threshold("x", 0.5), {"x": 1.0}, seed=1, threshold=1.5),
    ],
)
def test_what_is_no_distribution(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(ModelError, match=r"no|few|expected"):
        wrong()
