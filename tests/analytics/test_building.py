"""Rules from functions, graphs from text, and the checks of what was built."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_analytics import (
    Context,
    Datoid,
    EffectKind,
    FromCauses,
    FromContext,
    Graph,
    Logic,
    Registry,
    build,
    check,
    number,
    rule,
    text_of,
    threshold,
)
from qd_analytics.causal.errors import (
    CycleError,
    DuplicateNode,
    GraphTextError,
    MissingData,
    ModelError,
    NotAGraph,
    UnknownNode,
    UnreachableNode,
)
from qd_analytics.causal.text import parsed

CAUSES = FromCauses()
OIL_LIMIT = FromContext("limits", "oil")


@rule
def hot(temperature: Any) -> Any:
    """The engine is hot.

    More is not said of it.
    """
    return temperature > 90.0


@rule(id="oil", description="thin oil")
def thin(oil: Any, limit: Any = OIL_LIMIT) -> Any:
    return oil < limit


@number(threshold=2.0)
def wear(causes: Any = CAUSES, hours: Any = "engine hours") -> Any:
    return causes * hours


def nodes(names: str) -> list[Any]:
    return [threshold(name, 0.5) for name in names]


def test_a_function_is_a_rule() -> None:
    assert (hot.id, hot.description, hot.inputs) == ("hot", "The engine is hot.", ("temperature",))
    assert hot.evaluate({"temperature": 91.0}).result is True


def test_defaults_say_what_is_read() -> None:
    assert (thin.id, thin.description) == ("oil", "thin oil")
    assert thin.inputs == ("oil", FromContext("limits", "oil"))
    assert wear.inputs == (FromCauses(), "engine hours")
    assert (wear.effect.kind, wear.effect.threshold) == (EffectKind.NUMBER, 2.0)


def test_a_rule_registers_its_function() -> None:
    registry = Registry()

    @rule(name="tests.cold", version=3, registry=registry)
    def cold(temperature: Any) -> Any:
        return temperature < 0.0

    assert registry.find("tests.cold", 3) is cold.rule


@pytest.mark.parametrize("function", [lambda *values: True, lambda *, x: True, lambda x=1.5: True])
def test_parameters_that_name_nothing(function: Any) -> None:
    with pytest.raises(ModelError, match="expected"):
        rule(function)


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("a -> b", "ab"),
        ("a -> b; b -> c | d", "ab bc bd"),
        ("a | b -> c -> d", "ac bc cd"),
        ("a->b->c", "ab bc"),
        ("a -> b # not c\nb -> c;", "ab bc"),
        ("a ->\n  b |\n  c", "ab ac"),
        ('"a" -> "b"', "ab"),
        ("a\nb", ""),
        ("", ""),
    ],
)
def test_text(text: str, edges: str) -> None:
    assert parsed(text).edges == tuple((edge[0], edge[1]) for edge in edges.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a -> ", "line 1, column 3: nothing follows '->'"),
        ("a\n-> b", "line 2, column 1: found '->'; expected a name"),
        ("a b", "line 1, column 3: found 'b'; expected '->', '|' or ';'"),
        ("a -> ; b", "nothing follows '->'"),
        ('a -> ""', "line 1, column 6: a name is empty"),
        ('a -> "b', "line 1, column 6: found '\"'"),
        ("a | | b", "line 1, column 5: found '|'; expected a name"),
    ],
)
def test_text_that_is_no_graph(text: str, message: str) -> None:
    with pytest.raises(GraphTextError) as raised:
        parsed(text)
    assert message in str(raised.value)


NAMES = st.one_of(
    st.integers(-20, 20),
    st.integers(-20, 20).map(str),
    st.text(st.characters(exclude_characters='"\n', exclude_categories=["Cs"]), min_size=1),
)


@given(st.lists(NAMES, min_size=1, max_size=6, unique=True), st.data())
def test_text_is_read_back(names: list[str | int], data: st.DataObject) -> None:
    graph = Graph("g")
    graph.add(*(threshold(name, 0.5) for name in names))
    for effect in range(len(names)):
        for cause in range(effect):
            if data.draw(st.booleans()):
                graph.connect(names[cause], names[effect])
    wiring = parsed(text_of(graph), names)
    assert set(wiring.edges) == set(graph.edges)
    assert set(wiring.nodes) == set(names)


@pytest.mark.parametrize("name", ["", 'a"b', "a\nb"])
def test_names_without_a_text_form(name: str) -> None:
    graph = Graph("g")
    graph.add(threshold(name, 0.5))
    with pytest.raises(GraphTextError, match="has no text form"):
        text_of(graph)


def test_digits_that_are_too_many_for_a_number_are_a_name() -> None:
    assert parsed("9" * 5_000, {1}).nodes == ("9" * 5_000,)


def test_build() -> None:
    limits = Context("limits")
    limits.add(Datoid(1, {"oil": 1.2}))
    limits.point("limits", 1)
    graph = build(
        "engine",
        "hot -> oil -> wear",
        [hot, thin, wear],
        "wears out",
        joins={"wear": Logic.ANY},
        roots=["hot"],
        data=["temperature", "oil", "engine hours"],
        contexts=[limits.make_static()],
    )
    record = graph.evaluate({"temperature": 95.0, "oil": 1.0, "engine hours": 3.0}, limits)
    assert record.value == 3.0
    assert graph.join("wear") is Logic.ANY


@pytest.mark.parametrize(
    ("text", "error", "names"),
    [
        ("a -> b -> c -> a", CycleError, "'a' -> 'b' -> 'c' -> 'a'"),
        ("a -> a; b; c", CycleError, "'a' -> 'a'"),
        ("a -> b -> x | y; c", UnknownNode, "names 'x', 'y'"),
        ("a -> b", UnreachableNode, "does not name 'c'"),
    ],
)
def test_errors_name_the_nodes(text: str, error: type[ModelError], names: str) -> None:
    with pytest.raises(error) as raised:
        build("g", text, nodes("abc"))
    assert names in str(raised.value)


def test_an_edge_that_closes_a_circle_names_the_way() -> None:
    graph = build("g", "a -> b -> c", nodes("abc"))
    with pytest.raises(CycleError, match="'a' -> 'b' -> 'c' -> 'a'"):
        graph.connect("c", "a")
    long = build("g", " -> ".join(map(str, range(40))), [threshold(at, 0.5) for at in range(40)])
    with pytest.raises(CycleError, match=r"0 -> 1 -> .* -> … -> .* -> 39 -> 0"):
        long.connect(39, 0)


def test_many_edges_are_drawn_whole_or_not() -> None:
    """Causes that were added after their effects are still evaluated before them."""
    graph = Graph("g")
    graph.add(*nodes("cba"))
    with pytest.raises(CycleError):
        graph.connect_all([("a", "b"), ("b", "a")])
    assert graph.edges == ()
    graph.connect_all([("a", "b"), ("b", "c")], [1.0, 2.0])
    assert graph.order() == ("a", "b", "c")
    assert graph.weight("b", "c") == 2.0
    with pytest.raises(ModelError, match="weight -1"):
        graph.connect_all([("a", "c")], [-1.0])


def test_checks_name_what_is_missing() -> None:
    graph = build("engine", "hot -> oil", [hot, thin])
    with pytest.raises(MissingData, match="'oil' reads 'oil', but the data have 'temperature'"):
        check(graph, data=["temperature"])
    with pytest.raises(MissingData, match="'oil' reads 'limits oil', but the contexts are"):
        check(graph, contexts=[])
    empty = Context()
    check(graph, contexts=[empty])
    with pytest.raises(MissingData, match="is static"):
        check(graph, contexts=[empty.make_static()])
    with pytest.raises(UnreachableNode, match="'hot' cannot be reached from 'oil'"):
        check(graph, roots=["oil"])
    with pytest.raises(NotAGraph):
        check(hot, roots=["hot"])


def test_names_are_given_once() -> None:
    with pytest.raises(DuplicateNode, match="two causaloids 'a'"):
        build("g", "a", nodes("aa"))
    with pytest.raises(UnknownNode, match="joins name"):
        build("g", "a", nodes("a"), joins={"b": Logic.ANY})
