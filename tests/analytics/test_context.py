"""Contexts: all kinds, changes in one step, names that roll, readers beside writers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

import qd_analytics.causal.graph
from qd_analytics import (
    Absent,
    Context,
    ContextSet,
    Datoid,
    FromContext,
    Graph,
    IndexName,
    Relation,
    Root,
    Singleton,
    Spaceoid,
    SpaceTempoid,
    State,
    Tempoid,
    TimeScale,
    threshold,
)
from qd_analytics.causal.errors import DuplicateNode, ModelError, UnknownNode


def context_of_all_kinds() -> Context:
    context = Context("all")
    context.add(
        Root(0),
        Tempoid(1, TimeScale.WEEK, 202407),
        Datoid(2, {"close": 3.0}),
        Spaceoid(3, 1.0, 2.0, 3.0),
        SpaceTempoid(4, 4.0, 5.0, 6.0, 7),
    )
    context.relate(0, 1, Relation.TEMPORAL)
    context.relate(1, 2, Relation.DATIAL)
    context.relate(1, 3, Relation.SPATIAL)
    context.relate(1, 4, Relation.SPACE_TEMPORAL)
    return context


@pytest.mark.parametrize(
    ("node", "field", "expected"),
    [
        (1, "close", 3.0),
        (1, "time", 202407.0),
        (2, "close", 3.0),
        (3, "y", 2.0),
        (4, "time", 7.0),
        (4, "z", 6.0),
        ("here", "close", 3.0),
        (IndexName.CURRENT_WEEK, "close", 3.0),
        (0, "close", Absent("the 0 has no 'close' yet")),
        (9, "close", Absent("the context has no 9")),
        ("nowhere", "x", Absent("the context has no nowhere")),
        (IndexName.PREVIOUS_WEEK, "x", Absent("the context has no previous week")),
    ],
)
def test_reading(node: int | str | IndexName, field: str, expected: float | Absent) -> None:
    context = context_of_all_kinds()
    context.point("here", 1)
    context.point(IndexName.current(TimeScale.WEEK), 1)
    assert context.read(node, field) == expected


def test_rules_read_nodes_of_any_kind_by_name_or_id() -> None:
    rule = Singleton("far", lambda x, here: x - here > 1.0, ["x", FromContext(3, "x")])
    assert rule.evaluate({"x": 3.0}, context_of_all_kinds()).result is True


@pytest.mark.parametrize("scale", [s for s in TimeScale if s is not TimeScale.NO_SCALE])
def test_names_roll_at_every_scale(scale: TimeScale) -> None:
    context = Context()
    context.add(*(Tempoid(at, scale, at) for at in range(3)))
    current, previous = IndexName.current(scale), IndexName.previous(scale)
    for node, follows, expected in [(0, True, None), (1, True, 0), (2, False, None)]:
        version = context.version
        context.roll(scale, node, follows=follows)
        assert (context.pointed(current), context.pointed(previous)) == (node, expected)
        assert context.version == version + 1


def test_there_is_no_current_unit_of_no_scale() -> None:
    with pytest.raises(ModelError, match="name a scale"):
        IndexName.current(TimeScale.NO_SCALE)


def test_a_change_that_fails_is_undone_whole() -> None:
    context = context_of_all_kinds()
    context.point("here", 1)
    before = (list(context), context.relations, context.index, context.version)

    def change() -> None:
        with context.changing():
            context.update(Datoid(2, {"close": 9.0}))
            context.adjust(3, x=1.0)
            context.add(Root(5))
            context.relate(5, 1, Relation.TEMPORAL)
            context.unrelate(0, 1)
            context.point("here", 5)
            context.add(Root(0))

    with pytest.raises(DuplicateNode):
        change()
    assert (list(context), context.relations, context.index, context.version) == before
    with context.changing():
        context.update(Datoid(2, {"close": 4.0}))
        with pytest.raises(DuplicateNode):
            context.add(Root(6), Root(0))
    assert 6 not in context
    assert context.read(2, "close") == 4.0


def test_a_static_context_does_not_change() -> None:
    context = context_of_all_kinds().make_static()
    with pytest.raises(ModelError, match="is static"):
        context.update(Datoid(2, {"close": 1.0}))
    with pytest.raises(ModelError, match="is static"):
        context.remove(2)
    assert context.static


def test_removing_a_node_takes_its_relations_and_names() -> None:
    context = context_of_all_kinds()
    context.point("here", 1)
    context.remove(1)
    assert (context.relations, context.index) == ((), {})


def test_rules_that_name_no_context_read_the_current_one() -> None:
    several = ContextSet()
    for name, level in (("low", 1.0), ("high", 3.0)):
        made = Context(name)
        made.add(Datoid(1, {"level": level}))
        several.add(made, current=True)
    rule = Singleton("above", lambda x, level: x > level, ["x", FromContext(1, "level")])
    assert rule.evaluate({"x": 2.0}, *several).result is False
    several.set_current(1)
    assert rule.evaluate({"x": 2.0}, *several).result is True
    with pytest.raises(DuplicateNode, match="a context 'low' already"):
        several.add(Context("low"))
    with pytest.raises(UnknownNode, match="no context 7"):
        several.set_current(7)
    several.remove(1)
    assert (several.current, len(several)) == (0, 1)


@pytest.fixture
def hurried_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hurried_threads")
def test_evaluations_beside_updates_see_one_version() -> None:
    """Two contexts and three nodes that change together: no evaluation sees them differ."""
    first, second = Context("first"), Context("second")
    first.add(Datoid(1, {"n": 0.0}), Datoid(2, {"n": 0.0}))
    second.add(Datoid(1, {"n": 0.0}))
    sources = [FromContext(1, "n", "first"), FromContext(2, "n", "first")]
    both = FromContext(1, "n", "second")
    graph = Graph("same")
    graph.add(
        Singleton("in one context", lambda a, b: a == b, sources),
        Singleton("in both contexts", lambda a, b: a == b, [sources[1], both]),
    )
    stop = threading.Event()

    def update() -> None:
        number = 0.0
        while not stop.is_set():
            number += 1.0
            with first.changing(), second.changing():
                first.update(Datoid(1, {"n": number}))
                second.update(Datoid(1, {"n": number}))
                first.update(Datoid(2, {"n": number}))

    writer = threading.Thread(target=update)
    writer.start()
    try:
        seen = set()
        records = [graph.evaluate({}, first, second) for _ in range(2_000)]
        for record in records:
            assert record.state is State.TRUE, record.explain()
            seen.add(record.readings[0])
    finally:
        stop.set()
        writer.join()
    assert len(seen) > 1, "nothing changed meanwhile"


@pytest.mark.usefixtures("hurried_threads")
def test_a_context_is_read_beside_changes() -> None:
    context = Context()
    context.add(Tempoid(0, TimeScale.DAY, 1))
    context.point("day", 0)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            for node in range(1, 50):
                context.add(Datoid(node, {"close": 1.0}))
                context.relate(0, node, Relation.DATIAL)
            for node in range(1, 50):
                context.remove(node)

    writer = threading.Thread(target=change)
    writer.start()
    try:
        for _ in range(3_000):
            context.read("day", "open")
            assert set(context.related(0).values()) <= {Relation.DATIAL}
    finally:
        stop.set()
        writer.join()


@pytest.mark.usefixtures("hurried_threads")
def test_threads_ask_more_questions_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qd_analytics.causal.graph, "PLANS_KEPT", 1)
    graph = Graph("many")
    graph.add(*(threshold(node, 0.5) for node in range(6)))
    failures: list[Exception] = []

    def ask(first: int) -> None:
        try:
            for step in range(500):
                graph.plan_node((first + step) % 6)
        except KeyError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
