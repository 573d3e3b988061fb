"""What the demo tells its view while it works. Only values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from qd_cli.alerts import AlertRow
from qd_cli.demo.result import Summary
from qd_cli.stack import Event
from qd_store.imports import FileResult


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long step is; `total` is None where it is not known."""

    done: int
    total: int | None
    rate: float  # per second


class View(Protocol):
    """Shows the demo to somebody."""

    def stage(self, text: str) -> None:
        """Show that a step begins."""
        ...

    def abandon(self) -> None:
        """Show that the present step does not come to its end."""
        ...

    def part(self, event: Event) -> None:
        """Show that a process started or stopped."""
        ...

    def importing(self, rows: int, read: Progress) -> None:
        """Show how far the import is: rows, and bytes read at a rate of rows."""
        ...

    def imported(self, file: FileResult) -> None:
        """Show what became of a file."""
        ...

    def streaming(self, trades: Progress, bars: int) -> None:
        """Show what the client has received."""
        ...

    def alert(self, alert: AlertRow, count: int) -> None:
        """Show an alert, the `count`-th one of all markets."""
        ...

    def summary(self, summary: Summary) -> None:
        """Show how it went."""
        ...

    def refresh(self) -> None:
        """Draw anew what moves; called several times a second."""
        ...

    def close(self) -> None:
        """Give the terminal back."""
        ...
