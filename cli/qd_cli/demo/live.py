"""The demo on a terminal: a picture that is drawn anew while it works."""

from __future__ import annotations

import contextlib
import sys
from collections import deque

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from qd_cli import console
from qd_cli.alerts import AlertRow
from qd_cli.demo.events import Progress
from qd_cli.demo.result import Summary
from qd_cli.demo.text import imported_text, part_text, summary_lines
from qd_cli.errors import OutputClosed
from qd_cli.stack import Event
from qd_store.imports import FileResult

ALERTS_SHOWN = 5
_BAR_WIDTH = 32
_SHOW_CURSOR = "\x1b[?25h"
_DONE = Text("✓ ", "green")


class LiveView:
    """Steps that are done stay on the screen; what moves is drawn below them."""

    def __init__(self) -> None:
        self._console = console.console()
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop"
        )
        self._spinner = Spinner("dots")
        self._stage: str | None = None
        self._bar: RenderableType | None = None
        self._alerts: deque[AlertRow] = deque(maxlen=ALERTS_SHOWN)
        self._alert_count = 0
        self._live.start()

    def stage(self, text: str) -> None:
        """Leave the step before as done, and show the new one."""
        self._leave()
        self._stage = text
        self.refresh()

    def abandon(self) -> None:
        """Leave the present step as not done."""
        self._leave(Text("✗ ", "red"))

    def part(self, event: Event) -> None:
        """Print what happened to a process above the picture."""
        if text := part_text(event):
            self._console.print(Text(f"  {event.part:<10}{text}", style="dim"))

    def importing(self, rows: int, read: Progress) -> None:
        """Show how far the import is."""
        left = _seconds_left(rows, read)
        self._bar = _bar(
            read, f"{console.count(rows)} rows  {console.rate(read.rate, 'rows')}  {left}"
        )

    def imported(self, file: FileResult) -> None:
        """Print what became of a file above the picture."""
        self._console.print(Text(f"  {imported_text(file)}", style="dim"))

    def streaming(self, trades: Progress, bars: int) -> None:
        """Show what the client has received."""
        text = (
            f"{console.count(trades.done)} trades  {console.rate(trades.rate, 'trades')}  "
            f"{console.count(bars)} daily bars"
        )
        self._bar = _bar(trades, text)

    def alert(self, alert: AlertRow, count: int) -> None:
        """Show an alert among the last ones."""
        self._alerts.append(alert)
        self._alert_count = count

    def summary(self, summary: Summary) -> None:
        """Print the summary below everything."""
        self._leave()
        self.close()
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold")
        table.add_column()
        for title, value in summary_lines(summary):
            table.add_row(title, Text(value))
        self._console.print()
        self._console.print(table)

    def refresh(self) -> None:
        """Draw the picture."""
        if self._live.is_started:
            self._live.update(self._picture(), refresh=True)

    def close(self) -> None:
        """Give the terminal back, also one that hung up."""
        with contextlib.suppress(OSError, OutputClosed):
            self._live.stop()
            sys.stdout.write(_SHOW_CURSOR)
            sys.stdout.flush()

    def _leave(self, mark: Text = _DONE) -> None:
        """Print the present step, by default as done."""
        if self._stage is not None:
            self._console.print(Text.assemble(mark, self._stage))
        if self._bar is not None:
            self._console.print(self._bar)
        self._stage = self._bar = None

    def _picture(self) -> RenderableType:
        lines: list[RenderableType] = []
        if self._stage is not None:
            self._spinner.update(text=self._stage)
            lines.append(self._spinner)
        if self._bar is not None:
            lines.append(self._bar)
        if self._alert_count:
            lines.append(Text(f"  {console.count(self._alert_count)} alerts, the last ones:"))
        for alert in self._alerts:
            style = "green" if alert.signal == "rose" else "red"
            lines.append(Text(f"    {alert.as_text()}", style=style, no_wrap=True))
        return Group(*lines)


def _bar(progress: Progress, text: str) -> RenderableType:
    total = float(progress.total or max(progress.done, 1))
    row = Table.grid(padding=(0, 1))
    row.add_row("  ", ProgressBar(total=total, completed=progress.done, width=_BAR_WIDTH), text)
    return row


def _seconds_left(rows: int, read: Progress) -> str:
    """Estimate from the bytes how long the rest takes."""
    if not read.total or not read.done or not rows or not read.rate:
        return ""
    if read.done >= read.total:
        return ""
    left = (read.total - read.done) / read.done * rows / read.rate
    return f"{console.duration(max(0.0, left))} left"
