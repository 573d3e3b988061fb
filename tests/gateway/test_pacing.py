"""When rows of a paced replay are due."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_gateway.core.plans import StreamPlan, plan_of
from qd_gateway.streams.pacing import Pacer, due_times
from qd_schemas.arrays import BAR, TRADE
from qd_schemas.enums import DataType, Resolution
from qd_schemas.messages import StartData

SECOND_US = 1_000_000
START_US = 1_377_993_600_000_000
TIMES = START_US + np.array([0, 0, 10, 20, 20, 30]) * SECOND_US


@pytest.mark.parametrize(
    ("pace", "passed_s", "due"),
    [
        (0, 0.0, 6),
        (1, 0.0, 2),
        (1, 9.999, 2),
        (1, 10.0, 3),
        (1, 20.0, 5),
        (1, 1e9, 6),
        (10, 0.999, 2),
        (10, 2.0, 5),
        (0.5, 20.0, 3),
    ],
)
def test_due(pace: float, passed_s: float, due: int) -> None:
    pacer = Pacer(pace)
    pacer.begin(START_US, 100.0)
    assert pacer.due(TIMES, 100.0 + passed_s) == due


def test_the_wait_ends_when_the_row_is_due() -> None:
    pacer = Pacer(10)
    pacer.begin(START_US, 100.0)
    assert pacer.wait_s(int(TIMES[2]), 100.25) == pytest.approx(0.75)
    assert pacer.wait_s(int(TIMES[2]), 200.0) == 0.0


def test_the_first_row_sets_the_clock_for_all_batches() -> None:
    pacer = Pacer(1)
    pacer.begin(START_US, 50.0)
    pacer.begin(START_US + SECOND_US, 60.0)
    assert pacer.due(TIMES[:2], 50.0) == 2
    assert pacer.due(TIMES[2:], 50.0) == 0
    assert pacer.due(TIMES[2:], 70.0) == 3


@given(
    gaps=st.lists(st.integers(0, 3_600 * SECOND_US), min_size=1, max_size=20),
    pace=st.floats(0.001, 1e6),
)
def test_waiting_as_told_always_makes_progress(gaps: list[int], pace: float) -> None:
    times = START_US + np.cumsum(np.array(gaps, dtype=np.int64))
    pacer, now, sent, rounds = Pacer(pace), 1_000.0, 0, 0
    pacer.begin(int(times[0]), now)
    while sent < len(times):
        due = pacer.due(times[sent:], now)
        # A row that rounding makes due a little late must not be waited for without end.
        now += pacer.wait_s(int(times[sent]), now) if due == 0 else 0.0
        now = np.nextafter(now, np.inf)
        sent += due
        rounds += 1
        assert rounds < 100


def test_a_trade_is_due_at_its_time_and_a_bar_at_its_end() -> None:
    trades = np.zeros(2, TRADE)
    trades["time"] = [START_US, START_US + 1]
    assert due_times(plan_of_type(DataType.TRADES_EXACT), trades).tolist() == [
        START_US,
        START_US + 1,
    ]
    bars = np.zeros(2, BAR)
    bars["time"] = [date_us("2013-12-01"), date_us("2014-02-01")]
    ends = [date_us("2014-01-01"), date_us("2014-03-01")]
    assert due_times(plan_of_type(DataType.OHLCV_EXACT), bars).tolist() == ends


def date_us(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


def plan_of_type(data_type: DataType) -> StreamPlan:
    plan = plan_of(StartData(21, 1, 7, Resolution.MO1, data_type, 3), 2, 1)
    assert isinstance(plan, StreamPlan)
    return plan
