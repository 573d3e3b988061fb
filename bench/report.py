"""One row of a benchmark and the table of all; no measuring here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured: a rate, and how it compares with another row of the same run."""

    name: str
    rate: float
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


def compared(name: str, rate: float, unit: str, limit: Row) -> Row:
    """Return a row whose ratio is against `limit`."""
    return Row(name, rate, unit, limit.name, rate / limit.rate)


def scaled(value: float) -> str:
    """Return a number with three digits and k, M or G."""
    for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}"


def show(title: str, rows: list[Row]) -> None:
    """Print the rows as a table; plain text when piped."""
    table = Table("measured", "rate", "unit", "ratio", "against", title=title)
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(row.name, scaled(row.rate), row.unit, ratio, row.against)
    Console().print(table)
