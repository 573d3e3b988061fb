"""One row of a benchmark and the table of all, and how a time is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

PIPED_COLUMNS = 120
"""Wide enough for all names, where there is no terminal to fit."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured: a rate or size, and how it compares with another row.

    Rows are of the same run, except those whose name says that they are published.
    """

    name: str
    value: float | None
    unit: str
    against: str = ""
    ratio: float | None = None


def best_seconds(run: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest of several runs, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def compared(name: str, value: float, unit: str, limit: Row) -> Row:
    """Return a row whose ratio is against `limit`."""
    assert limit.value  # only rows with a value are compared with
    return Row(name, value, unit, limit.name, value / limit.value)


def scaled(value: float) -> str:
    """Return a number with three digits and k, M or G."""
    for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}"


def show(title: str, rows: list[Row]) -> None:
    """Print the rows as a table; plain text when piped."""
    table = Table("measured", "value", "unit", "ratio", "against", title=title)
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        value = "" if row.value is None else scaled(row.value)
        table.add_row(row.name, value, row.unit, ratio, row.against)
    console = Console()
    if not console.is_terminal:
        console.width = PIPED_COLUMNS
    console.print(table)
