"""The demo in plain lines, for pipes and files, and as JSON lines, for scripts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from qd_cli import console
from qd_cli.alerts import AlertRow
from qd_cli.demo.events import Progress
from qd_cli.demo.result import Summary
from qd_cli.demo.text import imported_text, part_text, summary_lines
from qd_cli.stack import Event
from qd_store.imports import FileResult

PROGRESS_STEPS = 10
"""A line is printed at each tenth of a long step."""
ALERTS_WHOLE = 10
"""So many alerts get a line each; after them only every `ALERTS_EVERY`-th one does."""
ALERTS_EVERY = 100


class Steps:
    """Tells when a long step has come another part of its way."""

    def __init__(self) -> None:
        self._last = -1

    def is_due(self, progress: Progress) -> bool:
        """Tell whether this progress is worth a line."""
        step = progress.done * PROGRESS_STEPS // progress.total if progress.total else 0
        if not progress.done:
            return False
        due = step > self._last
        self._last = max(step, self._last)
        return due


class PlainView:
    """Prints a line for whatever happens."""

    def __init__(self, out: Callable[[str], None] = console.out) -> None:
        self._out = out
        self._import_steps = Steps()
        self._stream_steps = Steps()

    def stage(self, text: str) -> None:
        """Print what begins."""
        self._out(text)

    def abandon(self) -> None:
        """Nothing was said to be done."""

    def part(self, event: Event) -> None:
        """Print what happened to a process."""
        if text := part_text(event):
            self._out(f"  {event.part:<10}{text}")

    def importing(self, rows: int, read: Progress) -> None:
        """Print each tenth of the import."""
        if read.total and self._import_steps.is_due(read):
            share = read.done * 100 // read.total
            self._out(
                f"  {share:3d} %  {console.count(rows)} rows  {console.rate(read.rate, 'rows')}"
            )

    def imported(self, file: FileResult) -> None:
        """Print what became of a file."""
        self._out(f"  {imported_text(file)}")

    def streaming(self, trades: Progress, bars: int) -> None:
        """Print each tenth of the stream."""
        if self._stream_steps.is_due(trades):
            self._out(
                f"  {console.count(trades.done)} of {console.count(trades.total or 0)} trades  "
                f"{console.rate(trades.rate, 'trades')}  {console.count(bars)} daily bars"
            )

    def alert(self, alert: AlertRow, count: int) -> None:
        """Print an alert, or every hundredth of many: a log is to be read."""
        if count <= ALERTS_WHOLE or count % ALERTS_EVERY == 0:
            self._out(f"  alert {count}: {alert.as_text()}")
        if count == ALERTS_WHOLE:
            self._out(f"  (from here on every {ALERTS_EVERY}th alert; --json prints all)")

    def summary(self, summary: Summary) -> None:
        """Print the summary."""
        for title, value in summary_lines(summary):
            self._out(f"{title:<22}{value}")

    def refresh(self) -> None:
        """Nothing moves here."""

    def close(self) -> None:
        """Nothing to give back."""


class JsonView:
    """Prints a JSON object a line; the summary is the last one."""

    def __init__(self) -> None:
        self._import_steps = Steps()
        self._stream_steps = Steps()

    def stage(self, text: str) -> None:
        """Print what begins."""
        _print("stage", text=text)

    def abandon(self) -> None:
        """Nothing was said to be done."""

    def part(self, event: Event) -> None:
        """Print what happened to a process."""
        seconds = round(event.seconds, 3)
        _print("part", part=event.part, what=event.kind.value, pid=event.pid, seconds=seconds)

    def importing(self, rows: int, read: Progress) -> None:
        """Print each tenth of the import."""
        if read.total and self._import_steps.is_due(read):
            _print(
                "import",
                rows=rows,
                bytes=read.done,
                bytes_total=read.total,
                rows_per_second=round(read.rate),
            )

    def imported(self, file: FileResult) -> None:
        """Print what became of a file."""
        known = asdict(file)
        known["state"] = file.state.value
        known["rejects"] = None if file.rejects is None else str(file.rejects)
        _print("imported", **known)

    def streaming(self, trades: Progress, bars: int) -> None:
        """Print each tenth of the stream."""
        if self._stream_steps.is_due(trades):
            _print(
                "stream",
                trades=trades.done,
                trades_total=trades.total,
                bars=bars,
                trades_per_second=round(trades.rate),
            )

    def alert(self, alert: AlertRow, count: int) -> None:
        """Print an alert."""
        _print("alert", count=count, **alert.as_json())

    def summary(self, summary: Summary) -> None:
        """Print the summary."""
        console.print_json(summary.as_json())

    def refresh(self) -> None:
        """Nothing moves here."""

    def close(self) -> None:
        """Nothing to give back."""


def _print(event: str, **fields: Any) -> None:
    console.print_json({"event": event, **fields})
