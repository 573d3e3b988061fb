"""Charts for terminals: the price, a model's levels and its alerts in plain characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from qd_analytics.chart import Chart
from qd_cli import console

if TYPE_CHECKING:
    from rich.text import Text

ROWS_DEFAULT: Final = 20
COLUMNS_MIN: Final = 20
COLUMNS_PIPED: Final = 100
_AXIS: Final = 14  # columns of the price's scale
_STYLES: Final = {
    "█": "bold",
    "▲": "bold green",
    "▼": "bold red",
    "1": "cyan",
    "2": "yellow",
    "3": "magenta",
    "4": "green",
}


def columns_of_terminal() -> int:
    """How many columns a chart may have."""
    import sys

    width = console.console().width if sys.stdout.isatty() else COLUMNS_PIPED
    return max(width - _AXIS, COLUMNS_MIN)


def chart_lines(chart: Chart, rows: int = ROWS_DEFAULT) -> list[Text]:
    """A chart as lines: a column of characters for each column of time.

    Parameters
    ----------
    chart : Chart
        At least one trade in it.
    rows : int
        How high it is.
    """
    from rich.text import Text

    grid, low, high = _grid(chart, rows)
    lines = [Text(chart.title, style="bold")]
    for number, cells in enumerate(grid):
        price = high - (high - low) * number / max(rows - 1, 1)
        scale = f"{price:>{_AXIS - 2}.6g} " if number % 4 == 0 else " " * (_AXIS - 1)
        line = Text(f"{scale}│", style="dim")
        for cell in cells:
            line.append(cell, style=_STYLES.get(cell, ""))
        lines.append(line)
    begin, end = (console.iso_time(time)[:16] for time in (chart.start, chart.end - 1))
    gap = max(chart.columns - len(begin) - len(end), 1)
    lines.append(Text(f"{' ' * _AXIS}{begin}{' ' * gap}{end}", style="dim"))
    lines.append(_legend(chart))
    return lines


def _grid(chart: Chart, rows: int) -> tuple[list[list[str]], float, float]:
    low, high = float(np.nanmin(chart.low)), float(np.nanmax(chart.high))
    if chart.levels.size and not np.isnan(chart.levels).all():
        low, high = min(low, np.nanmin(chart.levels)), max(high, np.nanmax(chart.levels))
    grid = [[" "] * chart.columns for _ in range(rows)]

    def row(price: float) -> int:
        return round((high - price) / (high - low) * (rows - 1)) if high > low else 0

    for name, values in enumerate(chart.levels, 1):
        for column in np.flatnonzero(~np.isnan(values)).tolist():
            grid[row(values[column])][column] = str(name)
    for column in np.flatnonzero(~np.isnan(chart.close)).tolist():
        for at in range(row(chart.high[column]), row(chart.low[column]) + 1):
            grid[at][column] = "█"
    for mark in chart.marks:
        grid[row(mark.price)][chart.column(mark.time)] = "▲" if mark.rose else "▼"
    return grid, low, high


def _legend(chart: Chart) -> Text:
    from rich.text import Text

    rose = sum(mark.rose for mark in chart.marks)
    entries = [("█", "price")]
    entries += [(str(number), name) for number, name in enumerate(chart.level_names, 1)]
    entries += [("▲", f"rose ({rose})")] * bool(rose)
    entries += [("▼", f"fell ({len(chart.marks) - rose})")] * (len(chart.marks) > rose)
    line = Text(" " * _AXIS)
    for sign, name in entries:
        line.append(sign, style=_STYLES.get(sign, ""))
        line.append(f" {name}   ", style="dim")
    return line
