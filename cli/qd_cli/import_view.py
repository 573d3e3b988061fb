"""``qd import``: runs an import and shows a bar, lines, or JSON lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qd_cli import console
from qd_cli.imports import ImportMeter, import_files
from qd_cli.tasks import beside

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from qd_store.imports import FileResult, ImportReport

_SHOW_SECONDS = 0.1


async def run_import(
    dsn: str, paths: Sequence[Path], exchange: str, rejects_folder: Path, *, json: bool
) -> ImportReport:
    """Import files and tell how it goes; the report is printed on standard output."""
    meter = ImportMeter()
    bar = _progress(hidden=json)
    with bar:
        task = bar.add_task("importing", total=None, rows="", rate="")
        async with beside(_show(bar, task, meter)):
            report = await import_files(
                dsn, paths, meter, exchange=exchange, rejects_folder=rejects_folder
            )
    if json:
        _print_json(report)
    else:
        _print_table(report, rejects_folder)
    return report


def _progress(*, hidden: bool) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    err = console.console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rows]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=hidden or not err.is_terminal,
    )


async def _show(bar: Progress, task: TaskID, meter: ImportMeter) -> None:
    while True:
        bar.update(
            task,
            completed=meter.bytes_done,
            total=meter.bytes_total or None,
            rows=f"{console.count(meter.rows)} rows",
            rate=console.rate(meter.rows_per_second, "rows"),
        )
        await asyncio.sleep(_SHOW_SECONDS)


def _print_json(report: ImportReport) -> None:
    for file in report.files:
        console.print_json({"event": "file", **_fields(file)})
    console.print_json(
        {
            "event": "import",
            "files": len(report.files),
            "refused": len(report.refused),
            "rows": report.rows,
            "rejected": report.rejected,
            "seconds": round(report.seconds, 3),
        }
    )


def _fields(file: FileResult) -> dict[str, object]:
    return {
        "file": file.file,
        "symbol": file.symbol,
        "state": file.state.value,
        "rows": file.rows,
        "known": file.known,
        "rejected": file.rejected,
        "reasons": dict(file.reasons),
        "seconds": round(file.seconds, 3),
        "rejects": None if file.rejects is None else str(file.rejects),
        "error": file.error or None,
    }


def _print_table(report: ImportReport, rejects_folder: Path) -> None:
    columns = ("SYMBOL", "STATE", "ROWS", "KNOWN", "REJECTED", "SECONDS")
    rows = [
        (
            file.symbol,
            file.state.value,
            *(console.count(value) for value in (file.rows, file.known, file.rejected)),
            f"{file.seconds:.1f}",
        )
        for file in report.files
    ]
    console.print_table(columns, rows, right=columns[2:])
    speed = console.rate(report.rows / max(report.seconds, 1e-9), "rows")
    console.say(
        f"{console.count(report.rows)} rows imported, {console.count(report.rejected)} rejected, "
        f"{console.duration(report.seconds)}, {speed}"
    )
    if any(file.rejects for file in report.files):
        console.say(f"rejected lines are in {rejects_folder}")
    for file in report.refused:
        console.say(f"not imported: {file.error}")
