"""Models are saved and loaded whole; what cannot be is refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_analytics import (
    Assumption,
    Collection,
    Context,
    Datoid,
    EffectKind,
    FromCauses,
    FromContext,
    Graph,
    IndexName,
    Logic,
    Model,
    Registry,
    Relation,
    Root,
    Singleton,
    Spaceoid,
    SpaceTempoid,
    Tempoid,
    TimeScale,
    compare,
    load,
    registered,
    save,
    threshold,
    to_dot,
)
from qd_analytics.causal.errors import (
    AnalyticsError,
    DuplicateFunction,
    SavedModelError,
    UnknownFunction,
)
from qd_analytics.causal.saving import model_from_data, model_to_data


def doubled(x: Any) -> Any:
    return x * 2


def positive(data: Any) -> bool:
    return bool(data["x"] > 0)


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.register(doubled, "tests.doubled", version=2)
    made.register(positive, "tests.positive")
    return made


def whole_model() -> Model:
    context = Context("all")
    context.add(
        Root(0),
        Tempoid(1, TimeScale.MONTH, 202402),
        Datoid(2, {"low": 1.0}),
        Spaceoid(3, 1, 2, 3),
        SpaceTempoid(4, 1, 2, 3, 4),
    )
    context.relate(0, 1, Relation.TEMPORAL)
    context.relate(1, 2, Relation.DATIAL)
    context.point(IndexName.CURRENT_MONTH, 1)
    context.point("own name", 2)
    inner = Graph(7, "with a number for its id")
    inner.add(threshold("x", 0.5), compare("y", "<", 2.0, reads="x"))
    inner.connect("x", "y", weight=2.5)
    level = FromContext(IndexName.CURRENT_MONTH, "low", "all")
    graph = Graph("outer", "all there is")
    graph.add(
        inner,
        Collection("few", [threshold(1, 0.5, reads="x")], Logic.AT_LEAST, "some", count=1),
        Singleton("d", doubled, [level], "twice", effect=EffectKind.NUMBER, threshold=1.5),
    )
    graph.add(
        Singleton("e", doubled, [FromCauses("x")], elementwise=False, effect=EffectKind.NUMBER),
        join=Logic.ANY,
    )
    graph.connect_all([(7, "few"), ("few", "d"), ("d", "e")])
    assumption = Assumption(5, "x is positive", positive)
    return Model(9, graph, "somebody", "a model", (context.make_static(),), (assumption,), 3)


def test_a_model_is_loaded_as_it_was_saved(tmp_path: Path, registry: Registry) -> None:
    model, path = whole_model(), tmp_path / "model.json"
    save(model, path, registry)
    loaded = load(path, registry)
    assert model_to_data(loaded, registry) == model_to_data(model, registry)
    for x in (1.0, 0.1, 3.0):
        assert loaded.evaluate({"x": x}).explain() == model.evaluate({"x": x}).explain()
        assert loaded.evaluate({"x": x}).states == model.evaluate({"x": x}).states
    assert loaded.evaluate({"x": 1.0}).value == 4.0
    assert loaded.verify({"x": 1.0})[0].holds
    assert loaded.contexts[0].static
    assert (loaded.id, loaded.version, loaded.author) == (9, 3, "somebody")
    with pytest.raises(KeyError):
        json.loads(path.read_text())["lambda"]


def test_functions_are_found_by_name_and_version(registry: Registry) -> None:
    data = model_to_data(whole_model(), registry)
    other = Registry()
    with pytest.raises(UnknownFunction, match=r"'tests.doubled' version 2 \(no version of it\)"):
        model_from_data(data, other)
    other.register(doubled, "tests.doubled", version=1)
    with pytest.raises(UnknownFunction, match=r"version 2 \(versions \[1\] of it\)"):
        model_from_data(data, other)
    with pytest.raises(UnknownFunction, match="'positive' is not registered"):
        model_to_data(whole_model(), other)


def test_a_name_is_one_function(registry: Registry) -> None:
    assert registry.register(doubled, "tests.doubled", version=2) is doubled
    with pytest.raises(DuplicateFunction, match="give this one a new version"):
        registered("tests.doubled", 2, registry)(positive)
    assert registered("tests.doubled", 3, registry)(positive) is positive


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "no saved model"),
        ({"format_version": 2}, "saved in version 2"),
        ({"causaloid": {"form": "rule"}}, "damaged: KeyError"),
        ({"causaloid": {"form": "cloud"}}, "form 'cloud'"),
        ({"contexts": [{"name": "x"}]}, "damaged: KeyError"),
        ({"contexts": 5}, "damaged: found 5; expected a list"),
    ],
)
def test_what_is_no_model(change: dict[str, Any], message: str, registry: Registry) -> None:
    with pytest.raises(SavedModelError, match=message):
        model_from_data(model_to_data(whole_model(), registry) | change, registry)


HOSTILE: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 1.5, 10**400, float("nan"), float("inf"), "", "x", [], [[]], {}, {"a": 1}]
)


def places_in(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in plain data."""
    parts = enumerate(data) if isinstance(data, list) else data.items()
    for name, value in parts if isinstance(data, (list, dict)) else ():
        yield (*place, name)
        if isinstance(value, (list, dict)):
            yield from places_in(value, (*place, name))


@given(st.data())
def test_a_damaged_model_is_refused_or_works(drawn: st.DataObject) -> None:
    registry = Registry()
    registry.register(doubled, "tests.doubled", version=2)
    registry.register(positive, "tests.positive")
    data = json.loads(json.dumps(model_to_data(whole_model(), registry)))
    place = drawn.draw(st.sampled_from(list(places_in(data))))
    holder = data
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = drawn.draw(HOSTILE)
    try:
        model = model_from_data(data, registry)
        record = model.evaluate({"x": 1.0})
    except AnalyticsError:
        return
    record.explain()
    to_dot(model.causaloid, record)
    assert json.dumps(model_to_data(model, registry))
    for context in model.contexts:
        to_dot(context)


def test_a_file_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text("{")
    with pytest.raises(SavedModelError, match="is no JSON"):
        load(path)
    with pytest.raises(SavedModelError, match="no saved model"):
        model_from_data([])
