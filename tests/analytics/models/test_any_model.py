"""What holds for every model: any cut, one by one, truncated, restarted give the same answers."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_analytics.causal.single import evaluate_one
from qd_analytics.errors import ModelFailed, StateUnusable, TradesRefused
from qd_analytics.models import PeriodModel, choose
from qd_analytics.models.calendar import DAY_US
from qd_schemas.arrays import Rows
from qd_schemas.messages import BreakoutAlert
from support.judged import a_run, in_arrays, one_by_one, restarted
from support.models import SHIPPED, streams, walk
from support.trades import trade_rows

OWN = ("support.models:above_mean", "count=3")
MODELS = [*SHIPPED, OWN]
JANUARY, FEBRUARY = "2024-01-01", "2024-02-01"

models = st.sampled_from(MODELS)
policies = st.sampled_from(["rise", "first", "every"])


@settings(deadline=None)
@given(streams(), models, policies, st.lists(st.integers(0, 60), max_size=8))
def test_batching_changes_nothing(
    rows: Rows, model: tuple[str, ...], policy: str, cuts: list[int]
) -> None:
    settings = (*model, f"policy={policy}", "signals=both")
    whole = in_arrays(rows, *settings, explain=True)
    parts = in_arrays(rows, *settings, cuts=cuts, explain=True)
    alone = one_by_one(rows, *settings)
    assert parts.states == alone.states == whole.states
    assert parts.told == alone.told == whole.told
    assert parts.explained == whole.explained


@settings(deadline=None)
@given(streams(), models, st.integers(0, 60))
def test_truncating_changes_no_earlier_answer(
    rows: Rows, model: tuple[str, ...], length: int
) -> None:
    whole, cut = in_arrays(rows, *model), in_arrays(rows[:length], *model)
    assert cut.states == whole.states[:length]
    until = int(rows["sequence"][:length][-1]) if len(rows[:length]) else 0
    kept = [alert for alert in whole.alerts if alert.sequence <= until]
    assert cut.told == repr(kept)


@settings(deadline=None)
@given(streams(), models, policies, st.lists(st.integers(0, 60), max_size=4))
def test_a_restart_changes_nothing(
    rows: Rows, model: tuple[str, ...], policy: str, stops: list[int]
) -> None:
    settings = (*model, f"policy={policy}", "signals=both")
    whole, again = in_arrays(rows, *settings), restarted(rows, stops, *settings)
    assert (again.states, again.told) == (whole.states, whole.told)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model[0])
@pytest.mark.parametrize("seed", [1, 2])
def test_longer_streams_with_many_signals(model: tuple[str, ...], seed: int) -> None:
    rows = walk(seed)
    settings = (*model, "signals=both")
    whole = in_arrays(rows, *settings)
    assert one_by_one(rows, *settings).told == whole.told
    assert in_arrays(rows, *settings, cuts=range(0, 3_000, 7)).told == whole.told
    assert restarted(rows, range(0, 3_000, 501), *settings).told == whole.told
    assert len(whole.alerts) > 10 or model[0] == "yearly-breakout"


@settings(deadline=None)
@given(streams(), st.sampled_from(SHIPPED))
def test_the_library_itself_says_the_same_of_each_trade(rows: Rows, model: tuple[str, ...]) -> None:
    """Folded or not: a market's answers are its plan's, evaluated over its context."""
    chosen = choose(model[0], model[1:]).model
    assert isinstance(chosen, PeriodModel)
    market = chosen.market()
    for row in range(len(rows)):
        part = market.evaluate(rows[row : row + 1])
        data = {"price": float(rows["price"][row]), "volume": float(rows["volume"][row])}
        alone = chosen.model.evaluate(data, market.rolling.context)
        assert part.states[0] == alone.state
        assert part.trade(0) == alone
        assert part.record(part.segments[0]).row(0) == alone
        again = evaluate_one(chosen.plan, data, part.segments[0].snapshot)
        assert again == alone


def test_what_an_alert_does_not_carry_is_told() -> None:
    volatility = choose("volatility").model
    assert "the alert does not carry" not in volatility.explain(3.0, (1.0, 1.5, 2.0, 2.5))
    assert "the alert does not carry" in volatility.explain(3.0, (1.0,))


# Refused


REFUSED = [
    (trade_rows([JANUARY] * 2, [1.0, float("inf")]), "trade 2 has the price inf"),
    (trade_rows([JANUARY], [float("nan")]), "price nan"),
    (trade_rows([FEBRUARY, JANUARY], [1.0, 1.0]), "time .* comes after"),
    (trade_rows([JANUARY] * 3, [1.0] * 3)[[0, 2, 1]], "sequence 2 comes after 3"),
    (trade_rows([JANUARY] * 2, [1.0] * 2)[[0, 0]], "sequence 1 comes after 1"),
    (trade_rows(["10001-01-01"], [1.0]), "before year 10000"),
    (np.zeros(2), "layout float64"),
    (trade_rows([], []), "at least one"),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model[0])
@pytest.mark.parametrize(("rows", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refused_trades_change_nothing(rows: Rows, message: str, model: tuple[str, ...]) -> None:
    run = a_run(*model)
    before = run.to_json()
    with pytest.raises(TradesRefused, match=message):
        run.evaluate(rows)
    assert run.to_json() == before
    good = walk(1, 50)
    assert run.evaluate(good).evaluation.states.tolist() == in_arrays(good, *model).states


@pytest.mark.parametrize(
    ("trade", "message"),
    [
        ((1, 10**15, 1.0, 1.0), "sequence 1; expected 2 or later"),
        ((2, 0, 1.0, 1.0), "has the time 0"),
        ((2, 2 * 10**15, float("nan"), 1.0), "price nan"),
        ((2, 2**62, 1.0, 1.0), "before year 10000"),
    ],
)
def test_a_single_trade_is_refused_as_in_arrays(
    trade: tuple[int, int, float, float], message: str
) -> None:
    run = a_run()
    run.evaluate_trade(1, 10**15, 1.0, 1.0)
    with pytest.raises(TradesRefused, match=message):
        run.evaluate_trade(*trade)
    assert run.last_sequence == 1


# Models that fail


FAILING = [
    ("failing", r"(?s)trade 31.*square root of a negative"),
    ("underivable", r"(?s)trade 31.*making 'days before' raised ArithmeticError: the day opens"),
    ("tiring", r"failed at trade 1001 \(failing.py:\d+\): RuntimeError: this model is tired"),
]


@pytest.mark.parametrize(("model", "message"), FAILING, ids=[name for name, _ in FAILING])
def test_a_failure_ends_the_run_at_its_trade_for_any_cut(model: str, message: str) -> None:
    rows = trade_rows([day * DAY_US for day in range(40)], [1.0 + day for day in range(40)])
    rows["price"][30:] = -1.0
    if model == "tiring":
        rows["sequence"] += 970
    told = set()
    for size in (40, 7, 1):
        run = a_run(f"support.failing:{model}", "policy=every")
        alerts: list[BreakoutAlert] = []
        failure, at = "", 0
        while not failure:
            try:
                judged = run.evaluate(rows[at : at + size])
            except ModelFailed as error:  # at the array's first trade
                failure = str(error)
            else:
                alerts += judged.alerts
                failure, at = judged.failure, at + size
        assert re.search(message, failure)
        told.add(repr(alerts))
        assert len(alerts) >= 24
        assert alerts[-1].sequence == rows["sequence"][29]
        with pytest.raises(ModelFailed, match=re.escape(failure)):
            run.evaluate(rows[:1])
    assert len(told) == 1


def test_code_that_raises_is_named() -> None:
    run = a_run("support.failing:raising")
    message = r"failed at trade 1 \(failing.py:\d+\): ZeroDivisionError: division"
    with pytest.raises(ModelFailed, match=message):
        run.evaluate(walk(1, 40))
    with pytest.raises(ModelFailed, match=message):
        run.evaluate_trade(41, 10**16, 1.0, 1.0)


def test_states_of_another_shape_are_a_failure() -> None:
    run = a_run("support.failing:misshapen")
    judged = run.evaluate(walk(1, 40))
    assert "gave states of shape (39,)" in judged.failure
    assert judged.alerts == []


def test_one_trade_that_fails_raises() -> None:
    run = a_run("support.failing:failing")
    with pytest.raises(ModelFailed, match="no answer to trade 1"):
        run.evaluate_trade(1, 10**15, -1.0, 1.0)


# Saved states


def test_a_state_of_other_settings_is_refused() -> None:
    saved = a_run("volatility", "days=9").to_json()
    with pytest.raises(StateUnusable, match="not of model volatility with these settings"):
        a_run("volatility", "days=8").restore(saved)


DAMAGE: list[object] = [None, "x", -1, 1.5, [], {}, [[1]], [[1, 2, "x"]]]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model[0])
@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_state_is_refused_or_harmless(
    data: st.DataObject, model: tuple[str, ...]
) -> None:
    run = a_run(*model)
    run.evaluate(walk(3, 60, 30))
    saved = json.loads(json.dumps(run.to_json()))
    part = saved
    while isinstance(part, dict) and part:
        key = data.draw(st.sampled_from(sorted(part)))
        if not isinstance(part[key], dict) or data.draw(st.booleans()):
            part[key] = data.draw(
                st.sampled_from([None, "x", -1, 1.5, [], {}, [[1]], [[1, 2, "x"]]])
            )
            break
        part = part[key]
    again = a_run(*model)
    try:
        again.restore(saved)
    except StateUnusable:
        assert again.to_json() == a_run(*model).to_json()
