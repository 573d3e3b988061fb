"""``qd analytics backtest``: the alerts of a market's history as a table, JSON lines or CSV."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from qd_analytics.backtest import Summary
from qd_analytics.models.protocol import StreamModel
from qd_analytics.readable import levels_of
from qd_cli import console
from qd_cli.blocking import Meter, run_blocking
from qd_cli.history import History
from qd_cli.streaming import Format
from qd_schemas.enums import Signal
from qd_schemas.messages import BreakoutAlert


@dataclass(frozen=True, slots=True)
class AlertTable:
    """How one model's alerts are written.

    Attributes
    ----------
    symbol, exchange : str
        The market.
    model : StreamModel
        What raised them.
    """

    symbol: str
    exchange: str
    model: StreamModel

    @property
    def heading(self) -> tuple[str, ...]:
        """The names of the columns."""
        return ("time", "signal", "price", "sequence", *self.model.level_names)

    def cells(self, alert: BreakoutAlert) -> list[str]:
        """An alert's cells."""
        return [
            console.iso_time(alert.date_time),
            Signal(alert.signal).name.lower(),
            console.number(alert.price),
            str(alert.sequence),
            *(console.number(value) for value in self._levels(alert)),
        ]

    def object(self, alert: BreakoutAlert) -> dict[str, Any]:
        """An alert as a JSON object."""
        return {
            "symbol": self.symbol,
            "exchange": self.exchange,
            "model": self.model.name,
            "signal": Signal(alert.signal).name.lower(),
            "time": console.iso_time(alert.date_time),
            "price": alert.price,
            "sequence": alert.sequence,
            "levels": dict(zip(self.model.level_names, self._levels(alert), strict=True)),
        }

    def _levels(self, alert: BreakoutAlert) -> tuple[float, ...]:
        return levels_of(alert)[: len(self.model.level_names)]


async def show_backtest(
    history: History, table: AlertTable, layout: Format, start: int | None
) -> None:
    """Print the alerts from a time on; what it came to is said on standard error."""
    began = time.monotonic()
    summary = Summary()
    kept: list[list[str]] = []
    take = _taker(table, layout, kept)

    def work(meter: Meter) -> None:
        for judged in history.judged(meter):
            summary.add(judged)
            take(alert for alert in judged.alerts if start is None or alert.date_time >= start)

    if layout is Format.CSV:
        console.out(",".join(table.heading))
    # A bar would be among the lines that come meanwhile.
    hidden = layout is not Format.TEXT and sys.stdout.isatty()
    try:
        await run_blocking("evaluating", work, hidden=hidden)
    finally:
        if kept:
            _print(table.heading, kept)
    seconds = max(time.monotonic() - began, 1e-9)
    console.say(
        f"{table.symbol}: {console.count(summary.trades, 'trade')} "
        f"({console.count(summary.true)} true, "
        f"{console.count(summary.not_evaluated)} not evaluated), "
        f"{console.count(summary.rises)} rises, {console.count(summary.falls)} falls, "
        f"{console.count(summary.alerts, 'alert')} of {table.model.name} "
        f"({console.rate(summary.trades / seconds, 'trades')})"
    )


def _taker(
    table: AlertTable, layout: Format, kept: list[list[str]]
) -> Callable[[Iterator[BreakoutAlert]], None]:
    """What is done with alerts as they come."""

    def keep(alerts: Iterator[BreakoutAlert]) -> None:
        kept.extend(table.cells(alert) for alert in alerts)

    def as_json(alerts: Iterator[BreakoutAlert]) -> None:
        if lines := [console.json_line(table.object(alert)) for alert in alerts]:
            console.out("\n".join(lines))

    def as_csv(alerts: Iterator[BreakoutAlert]) -> None:
        if lines := [",".join(table.cells(alert)) for alert in alerts]:
            console.out("\n".join(lines))

    return {Format.TEXT: keep, Format.JSON: as_json, Format.CSV: as_csv}[layout]


def _print(heading: Sequence[str], rows: list[list[str]]) -> None:
    columns = [name.upper() for name in heading]
    console.print_table(columns, rows, right=columns[2:])
