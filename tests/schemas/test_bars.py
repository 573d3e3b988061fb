"""Bars equal a naive reference, to the last bit, however the trades are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.bars import CHAIN, Resampler, bar_start_at_or_after, bar_starts
from qd_schemas.enums import Resolution
from support.bars import microseconds, naive_bars

RESOLUTIONS = [resolution for resolution in Resolution if resolution is not Resolution.NONE]


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
    parts, state = [np.empty(0, BAR)], None
    for part in np.split(trades, cuts):
        resampler = Resampler(resolution, state)
        parts.append(resampler.feed(part))
        state = resampler.state
    last = Resampler(resolution, state)
    unfinished = last.unfinished.tolist()
    assert unfinished == last.finish().tolist()
    assert len(last.finish()) == 0
    bars = np.concatenate(parts)
    assert bars.tolist() + unfinished == naive_bars(resolution, trades)
    assert len(unfinished) == min(len(trades), 1)  # no finished bar waits


@settings(deadline=None)
@given(trades_and_cuts(), st.sampled_from(RESOLUTIONS), st.data())
def test_finished_bars_stand_for_their_trades(
    case: tuple[Rows, list[int]], resolution: Resolution, data: st.DataObject
) -> None:
    trades, _ = case
    finer = CHAIN[: CHAIN.index(resolution)]
    levels = data.draw(st.lists(st.sampled_from(finer), unique=True)) if finer else []
    resampler, parts, taken = Resampler(resolution), [np.empty(0, BAR)], 0
    for level in sorted(levels, reverse=True):
        own = Resampler(level)
        bars = own.feed(trades[taken:])
        parts.append(resampler.feed_bars(level, bars))
        if len(open_bar := own.unfinished):
            taken = int(np.searchsorted(trades["time"], open_bar["time"][0]))
    parts += [resampler.feed(trades[taken:]), resampler.finish()]
    assert np.concatenate(parts).tolist() == naive_bars(resolution, trades)


def test_bars_that_cannot_join() -> None:
    resampler = Resampler(Resolution.M5)
    with pytest.raises(ValueError, match="of 5m cannot be made of bars of 5m"):
        resampler.feed_bars(Resolution.M5, np.zeros(1, BAR))
    resampler.feed(np.array([(1, 0, 5.0, 1.0)], TRADE))
    with pytest.raises(ValueError, match="cannot follow trades of an unfinished one"):
        resampler.feed_bars(Resolution.M1, np.zeros(1, BAR))
    with pytest.raises(ValueError, match="expected 1, one for each of 1m"):
        Resampler(Resolution.M1, resampler.state)


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
