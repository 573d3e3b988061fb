"""The monthly breakout model: real markets, a naive reference, any batching, no look-ahead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_analytics import AlertPolicy, BreakoutEvaluation, BreakoutRule, MonthlyBreakout, State
from qd_analytics.errors import TradesRefused
from qd_schemas.arrays import Rows
from qd_schemas.enums import ModelId, Signal
from support.reference import answers, rises
from support.trades import as_trades, rows_of, trade_rows

MARKETS = ("XBTCAD", "XBTSEK")
JANUARY, FEBRUARY, MARCH = "2024-01-01", "2024-02-01", "2024-03-01"

EXPECTED = {None: State.NOT_EVALUATED, True: State.TRUE, False: State.FALSE}


def evaluated(rows: Rows, cuts: Sequence[int] = ()) -> list[BreakoutEvaluation]:
    """Evaluate a whole stream, cut at the given rows."""
    model = MonthlyBreakout()
    return [model.evaluate(part) for part in np.split(rows, sorted(set(cuts)))]


def states_of(parts: Sequence[BreakoutEvaluation]) -> list[int]:
    return [state for part in parts for state in part.states.tolist()]


def alerts_of(parts: Sequence[BreakoutEvaluation], **options: Any) -> list[Any]:
    return [alert for part in parts for alert in part.alerts(1, 7, **options)]


@st.composite
def streams(draw: st.DrawFn) -> Rows:
    """Trades over months with gaps, few enough prices to hit every level exactly."""
    days = draw(st.lists(st.integers(0, 200), max_size=60))
    prices = draw(st.lists(st.sampled_from([9.0, 10.0, 10.5, 11.0, 12.0]), min_size=len(days)))
    times = np.datetime64("2023-10-20", "us") + np.sort(days) * np.timedelta64(24 * 3600, "s")
    return trade_rows(times.astype(np.int64).tolist(), prices[: len(days)])


# Real markets


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("size", [None, 1777, 61])
def test_real_market(market: str, size: int | None, shared_data: Path, oracle_data: Path) -> None:
    expected = json.loads((oracle_data / "breakouts_expected.json").read_text())
    expect = expected[f"{market}.csv.gz"]
    rows = rows_of(shared_data / "trades" / f"{market}.csv.gz")
    parts = evaluated(rows, range(size, len(rows), size) if size else ())
    states = np.array(states_of(parts))
    found = [[alert.sequence, alert.date_time, alert.price] for alert in alerts_of(parts)]
    assert len(rows) == expect["accepted"]
    assert np.count_nonzero(states == State.TRUE) == expect["true"]
    assert np.count_nonzero(states == State.NOT_EVALUATED) == expect["not_evaluated"]
    assert len(found) == expect["rises"]
    assert found[:5] == expect["first_rises"]
    assert found[-3:] == expect["last_rises"]


@pytest.mark.parametrize("market", MARKETS)
def test_real_market_trade_by_trade(market: str, shared_data: Path) -> None:
    rows = rows_of(shared_data / "trades" / f"{market}.csv.gz")
    expected = [EXPECTED[answer] for _, answer in answers(as_trades(rows))]
    assert states_of(evaluated(rows)) == expected


# Properties


@given(streams())
def test_equals_the_naive_reference(rows: Rows) -> None:
    trades = as_trades(rows)
    parts = evaluated(rows)
    assert states_of(parts) == [EXPECTED[answer] for _, answer in answers(trades)]
    found = [(alert.sequence, alert.date_time, alert.price) for alert in alerts_of(parts)]
    assert found == rises(trades)


@given(streams(), st.lists(st.integers(0, 60), max_size=8))
def test_batching_changes_nothing(rows: Rows, cuts: list[int]) -> None:
    cuts = [min(cut, len(rows)) for cut in cuts]
    whole, parts = evaluated(rows), evaluated(rows, cuts)
    assert states_of(parts) == states_of(whole)
    assert np.concatenate([part.failed for part in parts]).tolist() == whole[0].failed.tolist()
    for policy in AlertPolicy:
        assert repr(alerts_of(parts, policy=policy, falls=True)) == repr(
            alerts_of(whole, policy=policy, falls=True)
        )


@given(streams(), st.integers(0, 60))
def test_truncating_changes_no_earlier_answer(rows: Rows, length: int) -> None:
    whole, cut = evaluated(rows), evaluated(rows[:length])
    assert states_of(cut) == states_of(whole)[:length]
    until = int(rows["sequence"][:length][-1]) if len(rows[:length]) else 0
    kept = [alert for alert in alerts_of(whole) if alert.sequence <= until]
    assert alerts_of(cut) == kept


@given(streams())
def test_one_trade_at_a_time_explains_the_same(rows: Rows) -> None:
    whole = evaluated(rows)[0]
    for row, part in enumerate(evaluated(rows, range(len(rows)))[1:]):
        assert whole.explain(row) == part.explain(0)


@given(streams())
def test_the_record_of_a_trade_is_its_evaluation_alone(rows: Rows) -> None:
    """Arrays and one at a time, over the same context, give the same answers."""
    model = MonthlyBreakout()
    for row in range(len(rows)):
        batch = model.evaluate(rows[row : row + 1])
        alone = model.model.evaluate({"price": rows["price"][row]}, model.months.context)
        assert batch.trade(0) == alone


# Semantics


def test_first_month_is_not_evaluated() -> None:
    part = evaluated(trade_rows([JANUARY] * 2, [1.0, 2.0]))[0]
    assert part.states.tolist() == [State.NOT_EVALUATED] * 2
    assert part.trade(0).node(1).reason == "the context has no previous month"


def test_month_after_a_gap_is_not_evaluated() -> None:
    rows = trade_rows([JANUARY, JANUARY, MARCH, MARCH], [1.0, 2.0, 3.0, 4.0])
    assert evaluated(rows)[0].states.tolist() == [State.NOT_EVALUATED] * 4


def test_first_trade_of_a_month_is_held_against_its_own_price() -> None:
    rows = trade_rows([JANUARY, JANUARY, FEBRUARY, FEBRUARY], [1.0, 2.0, 3.0, 3.5])
    part = evaluated(rows)[0]
    assert part.states.tolist()[2:] == [State.FALSE, State.TRUE]
    assert part.failed.tolist()[2:] == [BreakoutRule.ABOVE_CURRENT_OPEN, 0]


def test_months_are_utc_to_the_microsecond() -> None:
    last = "2024-01-31T23:59:59.999999"
    rows = trade_rows([JANUARY, last, FEBRUARY, "2024-02-29T23:59:59.999999"], [1, 2, 3, 4])
    assert [(s.start, s.stop) for s in evaluated(rows)[0].segments] == [(0, 2), (2, 4)]


@pytest.mark.parametrize(
    ("previous", "opens", "price", "failed"),
    [
        ([10, 15, 9], 1, 99, BreakoutRule.PREVIOUS_MONTH_ROSE),
        ([10, 15, 10], 1, 99, BreakoutRule.PREVIOUS_MONTH_ROSE),
        ([10, 15, 14], 1, 14, BreakoutRule.ABOVE_PREVIOUS_CLOSE),
        ([10, 15, 14], 17, 17, BreakoutRule.ABOVE_CURRENT_OPEN),
        ([10, 15, 14], 1, 15, BreakoutRule.ABOVE_PREVIOUS_HIGH),
    ],
)
def test_explain_names_the_rule_that_failed(
    previous: list[float], opens: float, price: float, failed: BreakoutRule
) -> None:
    rows = trade_rows([JANUARY] * 3 + [FEBRUARY] * 2, [*previous, opens, price])
    part = evaluated(rows)[0]
    node = part.trade(4).node(failed.value)
    assert part.failed[4] == failed
    assert f"no breakout, because not: {node.description}" in part.explain(4)
    assert f"price={float(price)}" in part.explain(4) or failed == 1


def test_explain_says_that_it_is_one() -> None:
    rows = trade_rows([JANUARY] * 2 + [FEBRUARY] * 2, [1.0, 2.0, 2.5, 3.0])
    text = evaluated(rows)[0].explain(3)
    assert text.startswith("trade 4 at 2024-02-01T00:00:00.000000Z, price 3.0: a breakout\n")
    assert "price=3.0, previous month high=2.0 evaluated to true" in text


def test_alert_carries_the_levels() -> None:
    rows = trade_rows([JANUARY] * 3 + [FEBRUARY] * 3, [1.0, 4.0, 2.0, 3.0, 5.0, 3.5])
    rose, fell = alerts_of(evaluated(rows), falls=True)
    assert (rose.signal, rose.sequence, rose.price) == (Signal.ROSE, 5, 5.0)
    assert (fell.signal, fell.sequence, fell.price) == (Signal.FELL, 6, 3.5)
    assert (rose.previous_open, rose.previous_high, rose.previous_close) == (1.0, 4.0, 2.0)
    assert (rose.current_open, rose.exchange_id, rose.symbol_id) == (3.0, 1, 7)
    assert rose.model_id is ModelId.MONTHLY_BREAKOUT


def test_policies() -> None:
    rows = trade_rows([JANUARY] * 2 + [FEBRUARY] * 6, [1.0, 2.0, 2.5, 3.0, 3.0, 1.0, 3.0, 3.0])

    def sequences(policy: AlertPolicy) -> list[int]:
        return [alert.sequence for alert in alerts_of(evaluated(rows), policy=policy)]

    assert sequences(AlertPolicy.RISE) == [4, 7]
    assert sequences(AlertPolicy.FIRST_OF_MONTH) == [4]
    assert sequences(AlertPolicy.EVERY_TRADE) == [4, 5, 7, 8]


def test_context_holds_years_months_and_their_bars() -> None:
    rows = trade_rows(["2023-12-05", "2023-12-06", "2024-01-02"], [2.0, 1.0, 5.0])
    model = MonthlyBreakout()
    model.evaluate(rows)
    context = model.months.context
    structure = context.to_igraph()
    reached = structure.subcomponent(0, mode="out")
    assert len(reached) == context.size == 1 + 2 * 2 + 2 * 2
    assert structure.is_dag()
    times = [node.time for node in context if node.kind.value == "tempoid"]  # type: ignore[union-attr]
    assert times == [2023, 202312, 2024, 202401]
    assert model.months.levels().previous_close == 1.0


def test_no_trades_change_nothing() -> None:
    model = MonthlyBreakout()
    part = model.evaluate(trade_rows([], []))
    assert (len(part), alerts_of([part]), model.last_sequence) == (0, [], 0)


# Refused


REFUSED = [
    (trade_rows([JANUARY] * 2, [1.0, float("inf")]), "trade 2 has the price inf"),
    (trade_rows([JANUARY], [float("nan")]), "price nan"),
    (trade_rows([FEBRUARY, JANUARY], [1.0, 1.0]), "time .* comes after"),
    (trade_rows([JANUARY] * 3, [1.0] * 3)[[0, 2, 1]], "sequence 2 comes after 3"),
    (trade_rows([JANUARY] * 2, [1.0] * 2)[[0, 0]], "sequence 1 comes after 1"),
    (trade_rows(["10001-01-01"], [1.0]), "before year 10000"),
    (np.zeros(2), "layout float64"),
]


@pytest.mark.parametrize(("rows", "message"), REFUSED)
def test_refused_trades_change_nothing(rows: Rows, message: str) -> None:
    model = MonthlyBreakout()
    with pytest.raises(TradesRefused, match=message):
        model.evaluate(rows)
    assert model.last_sequence == 0
    assert model.months.context.size == 1


def test_stream_must_go_on_where_it_was() -> None:
    model = MonthlyBreakout()
    model.evaluate(trade_rows([FEBRUARY], [1.0]))
    with pytest.raises(TradesRefused, match="sequence 1; expected 2 or later"):
        model.evaluate(trade_rows([FEBRUARY], [1.0]))
    with pytest.raises(TradesRefused, match="time"):
        model.evaluate(trade_rows([JANUARY], [1.0], first=2))
