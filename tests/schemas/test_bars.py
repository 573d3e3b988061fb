"""Bars equal a naive reference, to the last bit, however the trades are cut."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.bars import Resampler, bar_start_at_or_after, bar_starts
from qd_schemas.enums import Resolution

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RESOLUTIONS = [resolution for resolution in Resolution if resolution is not Resolution.NONE]
MINUTES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60}


def microseconds(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def naive_start(resolution: Resolution, time: int) -> int:
    moment = EPOCH + timedelta(microseconds=time)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match resolution.label:
        case "1Y" | "1y":
            start = day.replace(month=1, day=1)
        case "1M":
            start = day.replace(day=1)
        case "1d":
            start = day
        case label:
            minutes = (moment - day) // timedelta(minutes=1)
            start = day + timedelta(minutes=minutes // MINUTES[label] * MINUTES[label])
    return (start - EPOCH) // timedelta(microseconds=1)


def naive_bars(resolution: Resolution, trades: Rows) -> list[tuple[float, ...]]:
    bars: list[list[float]] = []
    for _, time, price, volume in trades.tolist():
        start = naive_start(resolution, time)
        if not bars or bars[-1][0] != start:
            bars.append([start, price, price, price, price, 0.0])
        bar = bars[-1]
        bar[2], bar[3], bar[4] = max(bar[2], price), min(bar[3], price), price
        bar[5] += volume
    return [tuple(bar) for bar in bars]


@st.composite
def trades_and_cuts(draw: st.DrawFn) -> tuple[Rows, list[int]]:
    gaps = draw(
        st.lists(
            st.sampled_from([0, 1, 59_999_999, 60_000_000, 3_600_000_000, 86_400_000_000, 10**13]),
            max_size=60,
        )
    )
    trades = np.zeros(len(gaps), TRADE)
    trades["sequence"] = np.arange(1, len(gaps) + 1)
    trades["time"] = microseconds("2011-12-30T23:59:00") + np.cumsum(np.array(gaps, np.int64))
    number = st.floats(1e-9, 1e9, width=64)
    trades["price"] = draw(st.lists(number, min_size=len(gaps), max_size=len(gaps)))
    trades["volume"] = draw(st.lists(number, min_size=len(gaps), max_size=len(gaps)))
    cuts = draw(st.lists(st.integers(0, len(gaps)), max_size=8))
    return trades, sorted(cuts)


@settings(deadline=None)
@given(trades_and_cuts(), st.sampled_from(RESOLUTIONS))
def test_bars_equal_the_reference_for_any_batches(
    case: tuple[Rows, list[int]], resolution: Resolution
) -> None:
    trades, cuts = case
    resampler = Resampler(resolution)
    parts = [resampler.feed(part) for part in np.split(trades, cuts)]
    bars = np.concatenate([np.empty(0, BAR), *parts, resampler.finish()])
    assert bars.tolist() == naive_bars(resolution, trades)


@pytest.mark.parametrize(
    ("resolution", "time", "start"),
    [
        (Resolution.M1, "2012-02-29T23:59:59.999999", "2012-02-29T23:59:00"),
        (Resolution.M15, "2012-02-29T23:59:59", "2012-02-29T23:45:00"),
        (Resolution.D1, "2012-02-29T23:59:59", "2012-02-29T00:00:00"),
        (Resolution.MO1, "2012-02-29T23:59:59", "2012-02-01T00:00:00"),
        (Resolution.MO1, "2012-03-01T00:00:00", "2012-03-01T00:00:00"),
        (Resolution.Y1, "2012-12-31T23:59:59.999999", "2012-01-01T00:00:00"),
    ],
)
def test_the_calendar_is_utc(resolution: Resolution, time: str, start: str) -> None:
    found = bar_starts(resolution, np.array([microseconds(time)], np.int64))
    assert found.tolist() == [microseconds(start)]


@pytest.mark.parametrize(
    ("resolution", "time", "start"),
    [
        (Resolution.D1, "2012-02-29T00:00:00", "2012-02-29T00:00:00"),
        (Resolution.D1, "2012-02-29T00:00:00.000001", "2012-03-01T00:00:00"),
        (Resolution.MO1, "2011-12-02T00:00:00", "2012-01-01T00:00:00"),
        (Resolution.Y1, "2012-01-01T00:00:01", "2013-01-01T00:00:00"),
    ],
)
def test_the_next_bar_start(resolution: Resolution, time: str, start: str) -> None:
    assert bar_start_at_or_after(resolution, microseconds(time)) == microseconds(start)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_times_that_no_calendar_has(resolution: Resolution) -> None:
    first, last = microseconds("1970-01-01"), microseconds("2100-01-01")
    for time in (-(2**63), -(2**62)):
        start = bar_start_at_or_after(resolution, time)
        assert start is not None
        assert start < first
    for time in (2**63 - 1, 2**63 - 2, 2**62):
        start = bar_start_at_or_after(resolution, time)
        assert start is not None
        assert last < start < 2**63


def test_no_bars_of_no_resolution() -> None:
    with pytest.raises(ValueError, match="expected one of 1m to 1y"):
        Resampler(Resolution.NONE)


def test_no_bar_is_given_before_it_is_over() -> None:
    trades = np.array([(1, 0, 5.0, 1.0), (2, 59_999_999, 6.0, 1.0)], TRADE)
    resampler = Resampler(Resolution.M1)
    assert len(resampler.feed(trades)) == 0
    assert resampler.finish().tolist() == [(0, 5.0, 6.0, 5.0, 6.0, 2.0)]
    assert len(resampler.finish()) == 0
