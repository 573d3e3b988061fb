"""The breakout models: real markets, a naive reference, the exact semantics."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from qd_analytics import BreakoutRule, Period, PeriodModel, State, monthly_breakout
from qd_analytics.models import PeriodEvaluation, breakout
from qd_schemas.arrays import Rows
from qd_schemas.enums import ModelId, Signal
from support.judged import a_run, in_arrays
from support.models import streams
from support.reference import answers, rises
from support.trades import as_trades, rows_of, trade_rows

MARKETS = ("XBTCAD", "XBTSEK")
JANUARY, FEBRUARY, MARCH = "2024-01-01", "2024-02-01", "2024-03-01"

EXPECTED = {None: State.NOT_EVALUATED, True: State.TRUE, False: State.FALSE}


def evaluated(rows: Rows, period: Period = Period.MONTH) -> PeriodEvaluation:
    return breakout(period).market().evaluate(rows)


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("size", [None, 1777, 61])
def test_real_market(market: str, size: int | None, shared_data: Path, oracle_data: Path) -> None:
    expected = json.loads((oracle_data / "breakouts_expected.json").read_text())
    expect = expected[f"{market}.csv.gz"]
    rows = rows_of(shared_data / "trades" / f"{market}.csv.gz")
    found = in_arrays(rows, cuts=range(size, len(rows), size) if size else ())
    assert len(rows) == expect["accepted"]
    assert found.states.count(State.TRUE) == expect["true"]
    assert found.states.count(State.NOT_EVALUATED) == expect["not_evaluated"]
    assert len(found.rises) == expect["rises"]
    assert [list(rise) for rise in found.rises[:5]] == expect["first_rises"]
    assert [list(rise) for rise in found.rises[-3:]] == expect["last_rises"]


@pytest.mark.parametrize("market", MARKETS)
def test_real_market_trade_by_trade(market: str, shared_data: Path) -> None:
    rows = rows_of(shared_data / "trades" / f"{market}.csv.gz")
    expected = [EXPECTED[answer] for _, answer in answers(as_trades(rows))]
    assert in_arrays(rows).states == expected


@settings(deadline=None)
@given(streams())
def test_equals_the_naive_reference(rows: Rows) -> None:
    trades, found = as_trades(rows), in_arrays(rows)
    assert found.states == [EXPECTED[answer] for _, answer in answers(trades)]
    assert found.rises == rises(trades)


# Semantics


def test_first_month_is_not_evaluated() -> None:
    part = evaluated(trade_rows([JANUARY] * 2, [1.0, 2.0]))
    assert part.states.tolist() == [State.NOT_EVALUATED] * 2
    assert part.trade(0).node(1).reason == "the context has no previous month"


def test_month_after_a_gap_is_not_evaluated() -> None:
    rows = trade_rows([JANUARY, JANUARY, MARCH, MARCH], [1.0, 2.0, 3.0, 4.0])
    assert evaluated(rows).states.tolist() == [State.NOT_EVALUATED] * 4


def test_first_trade_of_a_month_is_held_against_its_own_price() -> None:
    rows = trade_rows([JANUARY, JANUARY, FEBRUARY, FEBRUARY], [1.0, 2.0, 3.0, 3.5])
    part = evaluated(rows)
    assert part.states.tolist()[2:] == [State.FALSE, State.TRUE]
    assert part.failed().tolist()[2:] == [BreakoutRule.ABOVE_CURRENT_OPEN, None]


PERIODS = [
    (Period.MONTH, "2024-01-31T23:59:59.999999", FEBRUARY, "2024-02-29T23:59:59.999999"),
    (Period.WEEK, "2024-01-07T23:59:59.999999", "2024-01-08", "2024-01-14T23:59:59.999999"),
    (Period.DAY, "2024-01-01T23:59:59.999999", "2024-01-02", "2024-01-02T23:59:59.999999"),
    (Period.YEAR, "2024-12-31T23:59:59.999999", "2025-01-01", "2025-12-31T23:59:59.999999"),
]


@pytest.mark.parametrize(("period", "last", "next_first", "next_last"), PERIODS)
def test_periods_are_utc_to_the_microsecond(
    period: Period, last: str, next_first: str, next_last: str
) -> None:
    rows = trade_rows([JANUARY, last, next_first, next_last], [1, 2, 3, 4])
    part = evaluated(rows, period)
    assert [(s.start, s.stop) for s in part.segments] == [(0, 2), (2, 4)]
    assert part.states.tolist()[2:] == [State.FALSE, State.TRUE], "the one before is just before"


@pytest.mark.parametrize(
    ("previous", "opens", "price", "failed"),
    [
        ([10, 15, 9], 1, 99, BreakoutRule.PREVIOUS_ROSE),
        ([10, 15, 10], 1, 99, BreakoutRule.PREVIOUS_ROSE),
        ([10, 15, 14], 1, 14, BreakoutRule.ABOVE_PREVIOUS_CLOSE),
        ([10, 15, 14], 17, 17, BreakoutRule.ABOVE_CURRENT_OPEN),
        ([10, 15, 14], 1, 15, BreakoutRule.ABOVE_PREVIOUS_HIGH),
    ],
)
def test_explain_names_the_rule_that_failed(
    previous: list[float], opens: float, price: float, failed: BreakoutRule
) -> None:
    rows = trade_rows([JANUARY] * 3 + [FEBRUARY] * 2, [*previous, opens, price])
    part = evaluated(rows)
    node = part.trade(4).node(failed.value)
    assert part.failed()[4] == failed
    assert f"false, because not: {node.description}" in part.explain(4)
    assert f"price={float(price)}" in part.explain(4) or failed == 1


def test_explain_says_that_it_is_one() -> None:
    rows = trade_rows([JANUARY] * 2 + [FEBRUARY] * 2, [1.0, 2.0, 2.5, 3.0])
    text = evaluated(rows).explain(3)
    assert text.startswith("trade 4 at 2024-02-01T00:00:00.000000Z, price 3.0: true\n")
    assert "price=3.0, previous month high=2.0 evaluated to true" in text


def test_alert_carries_the_levels_and_explains_itself() -> None:
    rows = trade_rows([JANUARY] * 3 + [FEBRUARY] * 3, [1.0, 4.0, 2.0, 3.0, 5.0, 3.5])
    rose, fell = in_arrays(rows, "monthly-breakout", "signals=both").alerts
    assert (rose.signal, rose.sequence, rose.price) == (Signal.ROSE, 5, 5.0)
    assert (fell.signal, fell.sequence, fell.price) == (Signal.FELL, 6, 3.5)
    levels = (rose.previous_open, rose.previous_high, rose.previous_close, rose.current_open)
    assert levels == (1.0, 4.0, 2.0, 3.0)
    assert (rose.exchange_id, rose.symbol_id) == (1, 7)
    assert rose.model_id is ModelId.MONTHLY_BREAKOUT
    words = monthly_breakout().explain(rose.price, levels)
    assert "price=5.0, previous month high=4.0 evaluated to true" in words
    assert "evaluated to false" in monthly_breakout().explain(fell.price, levels)


@pytest.mark.parametrize(
    ("policy", "sequences"),
    [("rise", [4, 7, 10]), ("first", [4, 10]), ("every", [4, 5, 7, 8, 10])],
)
def test_policies(policy: str, sequences: list[int]) -> None:
    times = [JANUARY] * 2 + [FEBRUARY] * 6 + [MARCH] * 2
    rows = trade_rows(times, [1.0, 2.0, 2.5, 3.0, 3.0, 1.0, 3.0, 3.0, 3.0, 4.0])
    assert in_arrays(rows, "monthly-breakout", f"policy={policy}").sequences == sequences


@pytest.mark.parametrize(("signals", "sequences"), [("falls", [6]), ("both", [4, 6, 7])])
def test_signals(signals: str, sequences: list[int]) -> None:
    rows = trade_rows([JANUARY] * 2 + [FEBRUARY] * 6, [1.0, 2.0, 2.5, 3.0, 3.0, 1.0, 3.0, 3.0])
    assert in_arrays(rows, "monthly-breakout", f"signals={signals}").sequences == sequences


@pytest.mark.parametrize(
    ("period", "times"),
    [
        (Period.MONTH, [2023, 202312, 2024, 202401]),
        (Period.WEEK, [2023, 202349, 2024, 202401]),
        (Period.DAY, [2023, 202312, 20231205, 20231206, 2024, 202401, 20240102]),
        (Period.YEAR, [2023, 2024]),
    ],
)
def test_context_holds_years_and_periods_with_their_bars(period: Period, times: list[int]) -> None:
    rows = trade_rows(["2023-12-05", "2023-12-06", "2024-01-02"], [2.0, 1.0, 5.0])
    market = breakout(period).market()
    market.evaluate(rows)
    context = market.rolling.context
    structure = context.to_igraph()
    reached = structure.subcomponent(0, mode="out")
    assert len(reached) == context.size == 1 + 2 * len(times)
    assert structure.is_dag()
    assert [node.time for node in context if node.kind.value == "tempoid"] == times  # type: ignore[union-attr]
    if period in (Period.MONTH, Period.YEAR):
        assert context.read(period.previous, "close") == 1.0
        assert context.read(period.previous, "high") == 2.0


def test_longer_periods_take_in_all_of_their_months() -> None:
    times = ["2022-11-01", "2022-12-01", "2022-12-02", "2023-01-05"]
    market = monthly_breakout().market()
    market.evaluate(trade_rows(times, [5.0, 9.0, 3.0, 7.0]))
    context = market.rolling.context
    found = [context.read(Period.YEAR.previous, name) for name in ("open", "high", "low", "close")]
    assert found == [5.0, 9.0, 3.0, 3.0]


def test_a_week_belongs_to_the_year_of_its_thursday() -> None:
    unit = Period.WEEK.units(Period.WEEK.number(_us("2024-12-30")))
    assert [each.label for each in unit] == [2025, 202501]
    assert Period.WEEK.units(Period.WEEK.number(_us("2021-01-03")))[-1].label == 202053


def test_what_matters_to_a_month_begins_with_the_one_before() -> None:
    assert monthly_breakout().needs_from(_us("2024-03-15")) == _us("2024-02-01")
    assert breakout(Period.WEEK).needs_from(_us("2024-03-15")) == _us("2024-03-04")


@pytest.mark.parametrize("period", list(Period))
def test_ids_and_names_differ(period: Period) -> None:
    models: list[PeriodModel] = [breakout(each) for each in Period]
    assert len({model.id for model in models}) == len({model.name for model in models}) == 4
    assert breakout(period).level_names[3] == f"current {period.value} open"


def test_a_run_of_no_trades_is_at_none() -> None:
    assert a_run().last_sequence == 0


def _us(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))
