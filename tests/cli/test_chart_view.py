"""Charts for terminals: where prices and levels are, which ticks there are, how legends fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from qd_analytics import MarketRun, choose
from qd_analytics.chart import Chart
from qd_analytics.picture import picture
from qd_cli.chart_view import chart_lines
from support.models import walk
from support.trades import trade_rows

DAY_US = 86_400_000_000


def charted(prices: Sequence[float], columns: int, model: str = "daily-breakout") -> Chart:
    """A trade a day."""
    rows = trade_rows([day * DAY_US for day in range(len(prices))], prices)
    run = MarketRun(choose(model, ["signals=both"]), 1, 1)
    chart = Chart("market", run.chosen.model.level_names, 0, len(prices) * DAY_US, columns)
    chart.add(run.evaluate(rows))
    return chart


def shown(chart: Chart, rows: int = 8) -> list[str]:
    return [line.plain for line in chart_lines(chart, rows)]


def labels(chart: Chart, rows: int = 24) -> list[str]:
    return [line.partition("┤")[0].strip() for line in shown(chart, rows) if "┤" in line]


def test_prices_in_halves_of_rows_with_levels_behind_and_alerts_before() -> None:
    # Monthly: no month before, so that the only level is the current month's open.
    lines = shown(charted([1.0, 2.0, 3.0, 4.0], 4, "monthly-breakout"), 2)
    assert [line[14:] for line in lines[1:3]] == ["  ▄▀", "▄▀··"]
    # The epoch is a Thursday: two weeks, the first of which rises.
    lines = shown(charted([1.0, 1.5, 1.5, 1.6, 3.0, 4.0], 6, "weekly-breakout"), 4)
    assert lines[1][14:] == "     ▲"
    assert "rose (1)" in lines[-1]


@pytest.mark.parametrize(
    ("prices", "ticks"),
    [
        ([1.0, 7.0], ["7", "6", "5", "4", "3", "2", "1"]),
        ([3.0, 400.0], ["200", "100", "50", "20", "10", "5"]),
        ([1e-5, 3e-5], ["0.00003", "0.000025", "0.00002", "0.000015", "0.00001"]),
        ([7.0, 7.0], ["7"]),
        ([0.0, 0.0], ["0"]),
        ([-5.0, 100.0], ["100", "80", "60", "40", "20", "0"]),
        ([1e-3, 1e6], ["1000000", "100000", "10000", "1000", "100", "10", "1", "0.1", "0.01"]),
    ],
    ids=str,
)
def test_ticks_are_round(prices: list[float], ticks: list[str]) -> None:
    found = labels(charted(prices, 2))
    assert [tick for tick in ticks if tick not in found] == []
    assert len(found) <= 12


def test_a_scale_is_logarithmic_where_low_prices_would_be_a_line() -> None:
    steep, even = charted([1.0, 10.0, 100.0], 3), charted([99.0, 100.0], 3)
    assert shown(steep)[0] == "market  (logarithmic)"
    assert shown(even)[0] == "market"
    assert [line[14] for line in shown(steep, 3)[1:4]].index("▄") == 2
    assert "logarithmic" in picture(steep, "svg").decode()
    assert "logarithmic" not in picture(even, "svg").decode()


@pytest.mark.parametrize("columns", [20, 46, 100])
def test_no_line_is_wider_than_the_chart(columns: int) -> None:
    rows = walk(1, 500)
    run = MarketRun(choose("weekly-breakout", ["signals=both"]), 1, 1)
    first, last = int(rows["time"][0]), int(rows["time"][-1])
    chart = Chart("walk", run.chosen.model.level_names, first, last + 1, columns)
    chart.add(run.evaluate(rows))
    lines = shown(chart)
    assert max(map(len, lines[1:10])) <= 14 + columns
    assert lines[9].split()[0] == ("2021-11-05" if columns == 20 else "2021-11-05T07:54")
    legend = lines[10:]
    assert max(map(len, legend)) <= 14 + columns
    words = ("price", "previous week open", "current week open", "rose (", "fell (")
    assert all(word in " ".join(legend) for word in words)
    assert np.isfinite(chart.bounds).all()
