"""Recorded causality cases of values, contexts and examples, by id."""

from __future__ import annotations

from typing import Any

import pytest

from qd_analytics import (
    Assumption,
    CausalAction,
    CausalState,
    CausalStateMachine,
    Context,
    ContextSet,
    IndexName,
    Inference,
    Inferences,
    Observation,
    Observations,
    Relation,
    Root,
    SpaceTempoid,
    State,
    Tempoid,
    TimeScale,
)
from qd_analytics.causal.context import Absent
from qd_analytics.causal.errors import DuplicateNode, ModelError, UnknownNode
from qd_analytics.errors import TradesRefused
from qd_analytics.models import Bar, Period
from qd_analytics.models.rolling import RollingContext
from support.causal_cases import (
    CASES,
    VALUES,
    Checks,
    every,
    numbers,
    one,
    shaped,
)
from support.judged import a_run, in_arrays
from support.trades import trade_rows

CHECKS = Checks()
covers = CHECKS.covers

T = State.TRUE


# Examples


@covers("ex_smoking_obs")
def _(case: dict[str, Any]) -> None:
    pairs = zip(case["observations"], case["effects"], strict=True)
    seen = Observations([Observation(n, *pair) for n, pair in enumerate(pairs)])
    expect, limit = case["expect"], case["threshold"]
    share = seen.share(limit, case["effect"])
    assert seen.number(limit, case["effect"]) == expect["number"]
    assert share == pytest.approx(expect["percent"])
    assert 1 - share == pytest.approx(expect["non_percent"])
    assert Inference(1, "", share, limit, 1.0, 1.0).inferable is expect["inferable"]
    assert Inference(2, "", 1 - share, limit, 0.0, 0.0).inverse_inferable


@covers("ex_smoking_tar_cancer")
def _(case: dict[str, Any]) -> None:
    for entry in case["inferences"]:
        values = (entry["observation"], entry["threshold"], entry["effect"], entry["target"])
        inference = Inference(1, "", *values)
        assert inference.inferable is entry.get("inferable", False)
        assert inference.inverse_inferable is entry.get("inverse_inferable", False)


@covers("ex_starter")
def _(case: dict[str, Any]) -> None:
    graph = shaped(case["shape"])
    _, whole, path = case["steps"]
    record = graph.evaluate(every(graph))
    assert record.result is whole["result"]
    assert record.percent_true == whole["percent_active"]
    assert graph.evaluate_path(path["from"], path["to"], every(graph)).result is path["result"]


@covers("ex_tokio")
def _(case: dict[str, Any]) -> None:
    batch = one(limit=case["fn"]["value"]).evaluate_batch({"x": case["data"]})
    assert [state == T for state in batch.states] == case["expect"]


@covers("ex_ctx_year_close")
def _(case: dict[str, Any]) -> None:
    bar = case["bar"]
    months = RollingContext(Period.MONTH)
    months.begin(52 * 12, Bar(*[bar["open"]] * 4))
    months.extend(bar["high"], bar["close"], bar["close"])
    months.begin(53 * 12, Bar(1.0, 1.0, 1.0, 1.0))
    close = months.context.read(IndexName.PREVIOUS_YEAR, "close")
    assert close == case["better"]["BarRange.close"]


@covers("obs_vec")
def _(case: dict[str, Any]) -> None:
    seen = Observations([Observation(n, *pair) for n, pair in enumerate(case["observations"])])
    expect = case["expect"]
    number = seen.number(case["threshold"], case["effect"])
    assert (number, len(seen.items) - number) == (expect["number"], expect["non_number"])
    assert seen.share(case["threshold"], case["effect"]) == pytest.approx(expect["percent"])


@covers("obs_effect")
def _(case: dict[str, Any]) -> None:
    observation = Observation(1, *case["observation"])
    for entry in case["cases"]:
        assert observation.observed(entry["threshold"], entry["effect"]) is entry["observed"]


@covers("inf_collection")
def _(case: dict[str, Any]) -> None:
    found = Inferences([Inference(n, "", **entry) for n, entry in enumerate(case["inferences"])])
    expect = case["expect"]
    assert found.number_inferable == expect["inferable"]
    assert found.number_inverse_inferable == expect["inverse"]
    assert found.number_non_inferable == expect["non"]
    assert found.percent_inferable == expect["percent_inferable"]
    assert found.conjoint_delta == expect["conjoint_delta"]


@covers("inf_non_inferable")
def _(case: dict[str, Any]) -> None:
    inference = Inference(1, "", **case["inference"])
    assert inference.non_inferable
    assert not inference.inferable
    assert not inference.inverse_inferable


@covers("assumption_sticky")
def _(case: dict[str, Any]) -> None:
    assumption = Assumption(1, "the first number is positive", lambda data: data[0] > 0)
    verdicts = [assumption.verify(numbers(data)).holds for data in case["data_sequence"]]
    assert verdicts == case["expect"]["results"]


# Contexts


@covers("ctx_nodes_edges")
def _(case: dict[str, Any]) -> None:
    context = Context()
    context.add(Root(1))
    context.add(Tempoid(2, TimeScale.MONTH, 12))
    context.relate(1, 2, Relation.TEMPORAL)
    assert context.size == case["expect"]["size"]
    assert context.relation(1, 2) is Relation.TEMPORAL
    context.unrelate(1, 2)
    assert context.relation(1, 2) is None


@covers("ctx_index")
def _(case: dict[str, Any]) -> None:
    context = Context()
    context.add(Tempoid(1, TimeScale.YEAR, 2022))
    assert context.pointed(IndexName.CURRENT_YEAR) is None
    context.point(IndexName.CURRENT_YEAR, 1)
    assert context.pointed(IndexName.CURRENT_YEAR) == 1
    assert context.pointed(IndexName.PREVIOUS_YEAR) is None
    assert isinstance(context.read(IndexName.PREVIOUS_YEAR, "close"), Absent)


@covers("ctx_extra")
def _(case: dict[str, Any]) -> None:
    several = ContextSet()
    numbers_ = [several.add(Context(n), current=n != "third") for n in ("first", "second", "third")]
    assert numbers_ == [1, 2, 3]
    assert several.current == case["expect"]["current"]
    several.set_current(3)
    assert several.current == case["expect"]["after set 3"]
    assert [context.name for context in several] == ["third", "first", "second"]
    several.unset_current()
    assert several.current == case["expect"]["after unset"]


@covers("ctx_extra_exists_zero")
def _(case: dict[str, Any]) -> None:
    assert (0 in ContextSet()) is case["better"]


@covers("adj_spacetime")
def _(case: dict[str, Any]) -> None:
    for entry in case["cases"]:
        context = Context()
        context.add(SpaceTempoid(1, *entry.get("from", [1, 2, 3, 4])))

        def change(context: Context = context, entry: dict[str, Any] = entry) -> None:
            if entry["op"] == "update":
                context.update(SpaceTempoid(1, *entry["with"]))
            else:
                context.adjust(1, **dict(zip("xyz", entry["with"], strict=False)))
                context.adjust(1, time=entry["with"][3])

        if entry.get("result") == "error":
            with pytest.raises(ModelError, match="expected 0 or more"):
                change()
        else:
            change()
            assert context[1] == SpaceTempoid(1, *entry["to"])


@covers("fx_control_map")
def _(case: dict[str, Any]) -> None:
    assert [scale.name.title() for scale in TimeScale][1:] == case["order"]
    by_name = {scale.name.replace("_", "").lower(): scale for scale in TimeScale}
    for name, count in case["true_count"].items():
        assert len(by_name[name.lower()].included()) == count


# The causal state machine


def fires(into: list[int], id: int) -> CausalAction:
    return CausalAction(lambda record: into.append(id), "notes its state")


@covers("csm_ops")
def _(case: dict[str, Any]) -> None:
    fired: list[int] = []

    def pair(id: int) -> tuple[CausalState, CausalAction]:
        return CausalState(id, one(id), {"x": 0.23}), fires(fired, id)

    machine = CausalStateMachine([pair(42)])
    assert len(machine) == 1
    machine.add(*pair(43))
    assert len(machine) == 2
    with pytest.raises(DuplicateNode):
        machine.add(*pair(42))
    with pytest.raises(UnknownNode):
        machine.update(*pair(99))
    with pytest.raises(UnknownNode):
        machine.remove(99)
    machine.remove(43)
    assert len(machine) == 1
    assert machine.evaluate(42, {"x": 0.89}).fired
    assert fired == [42]
    with pytest.raises(UnknownNode):
        machine.evaluate(23, {"x": 0.89})
    assert [firing.fired for firing in machine.evaluate_all()] == [False]
    assert fired == [42]


@covers("csm_state")
def _(case: dict[str, Any]) -> None:
    state = CausalState(1, one())
    for entry in case["cases"]:
        assert state.evaluate({"x": entry["data"]}).result is entry["result"]


# The breakout rule


@covers("fx_breakout")
def _(case: dict[str, Any]) -> None:
    for entry in case["cases"]:
        if entry["price"] == "NaN":
            with pytest.raises(TradesRefused, match="price nan"):
                a_run().evaluate(trade_rows([0], [float("nan")]))
            continue
        prev, current = entry["prev"], entry["cur"]["open"]
        prices = [prev["open"], prev["high"], prev["close"], current, entry["price"]]
        rows = trade_rows(["2024-01-01"] * 3 + ["2024-02-01"] * 2, prices)
        assert (in_arrays(rows).states[-1] == T) is entry["result"]


def test_no_case_is_skipped_silently() -> None:
    CHECKS.assert_complete(VALUES)


@pytest.mark.parametrize("id", list(CHECKS.by_id))
def test_case(id: str) -> None:
    CHECKS.by_id[id](CASES[id])
