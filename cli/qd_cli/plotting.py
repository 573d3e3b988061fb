"""``qd analytics plot``: a chart of a market's history into a file, or onto the terminal."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from qd_analytics.chart import COLUMNS_DEFAULT, Chart
from qd_analytics.picture import picture
from qd_cli import console
from qd_cli.blocking import Meter, run_blocking
from qd_cli.chart_view import chart_lines, columns_of_terminal, rows_of_terminal
from qd_cli.errors import RequestRefused
from qd_cli.history import History


async def plot_history(history: History, start: int | None, out: Path | None) -> None:
    """Draw from a time on; what was traded before still counts."""
    market, model = history.market, history.chosen.model
    begin = market.first_time if start is None else max(start, market.first_time)
    end = market.last_time + 1
    if history.end_time is not None:
        end = min(end, history.end_time)
    columns = COLUMNS_DEFAULT if out else columns_of_terminal()
    chart = Chart(f"{market.symbol}  {model.name}", model.level_names, begin, end, columns)

    def work(meter: Meter) -> None:
        for judged in history.judged(meter):
            chart.add(judged)

    await run_blocking("evaluating", work, hidden=False)
    if chart.is_empty:
        raise RequestRefused(
            f"{market.symbol} has no trades in that time: it has some from "
            f"{console.iso_time(market.first_time)} to {console.iso_time(market.last_time)}"
        )
    if out is None:
        _print(chart)
        return
    drawn = picture(chart, out.suffix.removeprefix(".").lower())
    await asyncio.to_thread(out.write_bytes, drawn)
    console.say(
        f"{out}: {console.count(len(chart.marks), 'alert')} of {model.name} over {market.symbol}"
    )


def _print(chart: Chart) -> None:
    lines = chart_lines(chart, rows_of_terminal())
    if not sys.stdout.isatty():
        console.out("\n".join(line.plain.rstrip() for line in lines))
        return
    screen = console.console()
    for line in lines:
        screen.print(line, no_wrap=True, overflow="crop")
