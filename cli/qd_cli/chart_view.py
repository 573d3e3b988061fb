"""Charts for terminals: the price, a model's levels and its alerts in plain characters."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from qd_analytics.chart import Chart
from qd_cli import console

if TYPE_CHECKING:
    from rich.text import Text

ROWS_MAX: Final = 24
ROWS_MIN: Final = 8
ROWS_AROUND: Final = 6  # title, times, legend and the next prompt
COLUMNS_MIN: Final = 20
COLUMNS_PIPED: Final = 100
_AXIS: Final = 14  # columns of the price's scale
_TICKS: Final = 8
_DECADES_FINE: Final = 4  # with more of them each has one tick
_GAP: Final = 3  # columns between entries of the legend
_HALVES: Final = " ▀▄█"  # nothing, the upper half of a cell, the lower one, both
_LEVELS: Final = "┄═─·"
_ROSE, _FELL = "▲", "▼"
_STYLES: Final = {
    **dict.fromkeys(_HALVES[1:], "bold"),
    **dict(zip(_LEVELS, ("cyan", "yellow", "magenta", "green"), strict=True)),
    _ROSE: "bold green",
    _FELL: "bold red",
}

Scale = Callable[[float], float]
"""Of a price, to where it is: 0 at the top, 1 at the bottom."""


def columns_of_terminal() -> int:
    """How many columns a chart may have."""
    width = console.console().width if sys.stdout.isatty() else COLUMNS_PIPED
    return max(width - _AXIS, COLUMNS_MIN)


def rows_of_terminal() -> int:
    """How many rows a chart may have."""
    height = console.console().height if sys.stdout.isatty() else ROWS_MAX
    return min(max(height - ROWS_AROUND, ROWS_MIN), ROWS_MAX)


def chart_lines(chart: Chart, rows: int = ROWS_MAX) -> list[Text]:
    """A chart as lines: a column of characters for each column of time.

    Parameters
    ----------
    chart : Chart
        At least one trade in it.
    rows : int
        How high it is.
    """
    from rich.text import Text

    scale = _scale(chart)
    ticks = {round(scale(price) * (rows - 1)): price for price in _ticks(chart)}
    kind = "  (logarithmic)" if chart.is_logarithmic else ""
    lines = [Text.assemble((chart.title, "bold"), (kind, "dim"))]
    for number, cells in enumerate(_grid(chart, rows, scale)):
        label = console.number(ticks[number]) if number in ticks else ""
        line = Text.assemble((f"{label:>{_AXIS - 2}} {'┤' if label else '│'}", "dim"))
        for cell in cells:
            line.append(cell, style=_STYLES.get(cell, ""))
        lines.append(line)
    return [*lines, _times(chart), *_legend(chart)]


def _scale(chart: Chart) -> Scale:
    place: Scale = math.log if chart.is_logarithmic else float
    bottom, top = (place(bound) for bound in chart.bounds)
    height = top - bottom
    return lambda price: (top - place(price)) / height if height > 0 else 0.0


def _ticks(chart: Chart) -> Iterator[float]:
    """Round prices within the chart."""
    low, high = chart.bounds
    if chart.is_logarithmic:
        decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
        steps = (1, 2, 5) if len(decades) <= _DECADES_FINE else (1,)
        found = [float(f"{step}e{decade}") for decade in decades for step in steps]
    else:
        step = _round_step((high - low) / _TICKS) if high > low else abs(high) or 1.0
        first = math.floor(low / step)
        found = [float(f"{number * step:.12g}") for number in range(first, first + 2 * _TICKS)]
    return (price for price in found if low <= price <= high)


def _round_step(least: float) -> float:
    """The next of 1, 2 and 5, times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= least)


def _grid(chart: Chart, rows: int, scale: Scale) -> list[list[str]]:
    grid = [[" "] * chart.columns for _ in range(rows)]
    for sign, values in zip(_LEVELS, chart.levels, strict=False):
        for column in np.flatnonzero(~np.isnan(values)).tolist():
            grid[round(scale(values[column]) * (rows - 1))][column] = sign
    for column in np.flatnonzero(~np.isnan(chart.close)).tolist():
        first, last = (
            round(scale(price) * (2 * rows - 1))
            for price in (chart.high[column], chart.low[column])
        )
        for at in range(first // 2, last // 2 + 1):
            upper, lower = first <= 2 * at, last > 2 * at
            grid[at][column] = _HALVES[upper + 2 * lower]
    for mark in chart.marks:
        row = round(scale(mark.price) * (rows - 1))
        grid[row][chart.column(mark.time)] = _ROSE if mark.rose else _FELL
    return grid


def _times(chart: Chart) -> Text:
    from rich.text import Text

    size = 16 if chart.columns > 2 * 16 else 10  # to the minute, or the day
    begin, end = (console.iso_time(time)[:size] for time in (chart.start, chart.end - 1))
    gap = max(chart.columns - len(begin) - len(end), 1)
    return Text(f"{begin}{' ' * gap}{end}".rjust(_AXIS + chart.columns), style="dim")


def _legend(chart: Chart) -> Iterator[Text]:
    """What the signs are, in as many lines as that takes."""
    from rich.text import Text

    rose = sum(mark.rose for mark in chart.marks)
    entries = [(_HALVES[-1], "price"), *zip(_LEVELS, chart.level_names, strict=False)]
    entries += [(_ROSE, f"rose ({rose})")] * bool(rose)
    entries += [(_FELL, f"fell ({len(chart.marks) - rose})")] * (len(chart.marks) > rose)
    line = Text()
    for sign, name in entries:
        entry = Text.assemble((sign, _STYLES[sign]), (f" {name}", "dim"))
        if line and len(line) + _GAP + len(entry) > _AXIS + chart.columns:
            yield line
            line = Text()
        line = Text.assemble(line, " " * (_GAP if line else 0), entry)
    yield line
