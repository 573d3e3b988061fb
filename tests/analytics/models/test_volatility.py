"""The volatility model against a naive reading of its definition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_analytics import State
from qd_schemas.arrays import Rows
from support.judged import in_arrays
from support.models import streams, walk
from support.reference import Trade
from support.trades import as_trades

DAY_US = 86_400_000_000


def naive(trades: list[Trade], days: int, calm_days: int, times: float) -> Iterator[bool | None]:
    """Trade by trade, from all trades before it: slow, and sharing no code with the project."""
    for trade in trades:
        today = trade.time_us // DAY_US
        before: dict[int, list[float]] = {}
        for other in trades[: trade.sequence]:
            before.setdefault(other.time_us // DAY_US, []).append(other.price)
        day_open = before.pop(today)[0]
        bars = list(before.values())[-(days + 1) :]
        if len(bars) < days + 1:
            yield None
            continue
        ranges = [
            max(*bar, last[-1]) - min(*bar, last[-1]) for last, bar in itertools.pairwise(bars)
        ]
        calm = math.fsum(ranges[-calm_days:]) / calm_days
        mean = math.fsum(ranges) / days
        is_calm = day_open + calm < day_open + mean
        yield is_calm and trade.price > day_open + times * calm


EXPECTED = {None: State.NOT_EVALUATED, True: State.TRUE, False: State.FALSE}


@settings(deadline=None)
@given(streams(), st.sampled_from([(2, 1, 0.5), (4, 2, 1.0), (3, 1, 2.0)]))
def test_equals_the_naive_reference(rows: Rows, settings: tuple[int, int, float]) -> None:
    days, calm_days, times = settings
    texts = (f"days={days}", f"calm_days={calm_days}", f"times={times}")
    found = in_arrays(rows, "volatility", *texts)
    assert found.states == [EXPECTED[said] for said in naive(as_trades(rows), *settings)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_speaks_of_longer_streams(seed: int) -> None:
    rows = walk(seed, 400, 60)
    found = in_arrays(rows, "volatility", "days=4", "calm_days=2", "times=0.5")
    assert found.states == [EXPECTED[said] for said in naive(as_trades(rows), 4, 2, 0.5)]
    assert len(found.alerts) > 5


def test_its_levels_are_prices_around_the_open() -> None:
    rows = walk(1, 400, 60)
    for alert in in_arrays(rows, "volatility", "days=4", "calm_days=2", "times=0.5").alerts:
        day_open, calm, mean, limit = (
            *(alert.previous_open, alert.previous_high),
            *(alert.previous_close, alert.current_open),
        )
        assert day_open < limit < calm < mean
        assert limit < alert.price
