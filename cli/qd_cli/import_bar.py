"""The bar of ``qd import`` on a terminal: files with rows, rate and time left, then the bars."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from qd_cli import console
from qd_cli.imports import ImportMeter


class ImportBar(Progress):
    """A line for the files, one for the bars, and one for the columns of the file just read.

    Parameters
    ----------
    meter : ImportMeter
        What is shown.
    verb : str
        What is done to the files, such as ``importing``.
    """

    def __init__(self, meter: ImportMeter, verb: str) -> None:
        err = console.console(stderr=True)
        self._meter = meter
        self._verb = verb
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[done]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._files = self.add_task(verb, total=None, done="", rate="")
        self._bars: TaskID | None = None

    def show(self) -> None:
        """Show what the meter says."""
        if self._meter.refresh is None:
            self._show_files()
        else:
            self._show_bars(self._meter.refresh.done, self._meter.refresh.total)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Give the lines of the tasks, and what is known of the file."""
        yield from super().get_renderables()
        latest = self._meter.latest
        if latest is not None and latest.layout and self._meter.refresh is None:
            line = f"{latest.symbol}: {latest.layout}"
            yield Text(line, style="dim", no_wrap=True, overflow="ellipsis")

    def _show_files(self) -> None:
        meter = self._meter
        self.update(
            self._files,
            description=f"{self._verb} {meter.files}/{meter.files_total}",
            completed=meter.bytes_done,
            total=meter.bytes_total or None,
            done=f"{console.count(meter.rows)} rows",
            rate=console.rate(meter.rows_per_second, "rows"),
        )

    def _show_bars(self, done: int, total: int) -> None:
        if self._bars is None:
            self._show_files()
            self._bars = self.add_task("making bars", total=None, done="", rate="")
        task = self.tasks[self._bars]
        self.update(
            self._bars,
            completed=done,
            total=total or None,
            done=f"of {console.count(done)} trades",
            rate=console.rate(done / max(task.elapsed or 0.0, 1e-9), "trades"),
        )
