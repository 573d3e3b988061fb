"""Models in a row, and routes: what is passed on, and what is read once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_analytics import (
    Absent,
    Chain,
    Context,
    Datoid,
    EffectKind,
    FromContext,
    Graph,
    Model,
    Passing,
    RelayTo,
    Root,
    Singleton,
    State,
    Tempoid,
    TimeScale,
    evaluate_routed,
    pass_into,
    threshold,
)
from qd_analytics.causal.contextoid import Relation
from qd_analytics.causal.errors import ModelError, UnknownNode

TREND = FromContext("trend", "slope")
RISING = FromContext("trend", "rising")


def upstream() -> Model:
    graph = Graph("upstream")
    graph.add(
        threshold("awake", 0.5),
        Singleton("slope", lambda x: x * 2, ["x"], effect=EffectKind.NUMBER),
    )
    graph.connect("awake", "slope")
    return Model(1, graph)


def downstream() -> Model:
    return Model(2, Singleton("steep", lambda slope, least: slope > least, [TREND, "least"]))


CHAIN = Chain(upstream(), (Passing(TREND, "slope"), downstream()))


def test_what_one_says_the_next_reads() -> None:
    record = CHAIN.evaluate({"awake": 1.0, "x": 2.0, "least": 3.0})
    assert record.result is True
    assert record.last.node(()).values == {"trend slope": 4.0, "least": 3.0}
    assert len(record.explain().split("Causaloid: steep")) == 2


def test_no_answer_upstream_leaves_downstream_not_evaluated() -> None:
    record = CHAIN.evaluate({"awake": 0.0, "x": 2.0, "least": 3.0})
    assert record.last.state is State.NOT_EVALUATED
    assert record.last.reason(0) == "the upstream model 1 has no answer"


NUMBERS = st.sampled_from([0.0, 0.7, 2.0, float("nan")])


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=8))
def test_arrays_and_one_at_a_time_give_the_same(rows: list[tuple[float, float, float]]) -> None:
    last = Model(3, Singleton("both", lambda a, b: (a > 0.5) & (b > 1.0), [RISING, TREND]))
    chain = Chain(
        upstream(),
        (Passing(TREND, "slope"), downstream()),
        ([Passing(RISING)], last),
    )
    names = ("awake", "x", "least")
    columns = {name: np.array([row[at] for row in rows]) for at, name in enumerate(names)}
    batch = chain.evaluate_batch(columns)
    assert len(batch) == len(rows)
    for at, row in enumerate(rows):
        alone = chain.evaluate(dict(zip(names, row, strict=True)))
        assert batch.row(at) == alone
        assert batch.row(at).explain() == alone.explain()
        assert batch.states[at] == alone.last.state


def test_what_nobody_reads_is_refused() -> None:
    with pytest.raises(ModelError, match="which reads 'trend slope'"):
        Chain(upstream(), (Passing(RISING), downstream()))
    with pytest.raises(UnknownNode, match="no node 'tilt'"):
        Chain(upstream(), (Passing(TREND, "tilt"), downstream()))


def test_an_answer_is_written_into_a_context() -> None:
    context = Context("downstream")
    context.add(Root(0), Tempoid(1, TimeScale.DAY, 1), Datoid(2, {"kept": 7.0}))
    context.relate(1, 2, Relation.DATIAL)
    with pytest.raises(UnknownNode, match="has no trend"):
        pass_into(context, Passing(TREND), upstream().evaluate({}))
    context.point("trend", 1)
    passing = Passing(TREND, "slope")
    pass_into(context, passing, upstream().evaluate({"awake": 1.0, "x": 2.0}))
    assert context[2] == Datoid(2, {"kept": 7.0, "slope": 4.0})
    assert downstream().evaluate({"least": 1.0}, context).result is True
    pass_into(context, passing, upstream().evaluate({"awake": 0.0, "x": 2.0}))
    assert context.read("trend", "slope") == Absent("the trend has no 'slope' yet")
    context.point("trend", 0)
    with pytest.raises(ModelError, match="no data node"):
        pass_into(context, passing, upstream().evaluate({"awake": 1.0, "x": 2.0}))


# Routes


def test_a_route_reads_its_contexts_once() -> None:
    """A rule that changes the context does not change what later rounds read."""
    context = Context("levels")
    context.add(Datoid(1, {"level": 1.0}))
    level = FromContext(1, "level")

    def first(value: float) -> RelayTo:
        context.update(Datoid(1, {"level": 9.0}))
        return RelayTo("second", {"extra": 2.0})

    graph = Graph("g")
    graph.add(
        Singleton("first", first, [level], elementwise=False),
        Singleton("second", lambda level, extra: level + extra == 3.0, [level, "extra"]),
    )
    routed = evaluate_routed(graph, "first", {}, context)
    assert routed.result is True
    assert "from 'first':" in routed.explain()
    assert "relayed to 'second'" in routed.explain()


def test_routes_end() -> None:
    graph = Graph("g")
    graph.add(Singleton("a", lambda x: RelayTo("nowhere"), ["x"], elementwise=False))
    with pytest.raises(UnknownNode, match="relayed to 'nowhere'"):
        evaluate_routed(graph, "a", {"x": 1.0})
    calls: list[float] = []

    def counts(x: float) -> object:
        calls.append(x)
        return RelayTo("b", {"x": x + 1}) if x < 3 else True

    graph.add(Singleton("b", counts, ["x"], elementwise=False))
    assert evaluate_routed(graph, "b", {"x": 1.0}, relays_max=2).value is True
    assert calls == [1.0, 2.0, 3.0]


def test_relays_in_arrays() -> None:
    rule = Singleton("r", lambda x: RelayTo("t") if x > 1 else True, ["x"], elementwise=False)
    batch = rule.evaluate_batch({"x": [1.0, 2.0]})
    assert batch.states.tolist() == [State.TRUE, State.RELAYED]
    assert batch.row(1).relay == RelayTo("t")
    assert batch.row(0).relay is None
