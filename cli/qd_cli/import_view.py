"""``qd import``: runs an import and shows a bar, lines, or JSON lines."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from qd_cli import console
from qd_cli.import_lines import ImportLines
from qd_cli.import_settings import ImportSettings
from qd_cli.imports import ImportMeter, check_files, import_files
from qd_cli.tasks import beside

if TYPE_CHECKING:
    from qd_store.imports import FileResult, ImportReport

_SHOW_SECONDS = 0.1
_WIDE_COLUMNS = 110
"""From here on there is room for each file's layout beside it."""


async def run_import(dsn: str, settings: ImportSettings, *, json: bool) -> ImportReport:
    """Import files and tell how it goes; the report is printed on standard output.

    Parameters
    ----------
    settings : ImportSettings
        With paths, an exchange, and a folder for refused lines.
    """
    assert settings.exchange is not None
    assert settings.rejects is not None
    meter = ImportMeter()
    work = import_files(
        dsn,
        settings.paths,
        meter,
        exchange=settings.exchange,
        rejects_folder=settings.rejects,
        scratch_folder=settings.scratch,
        parallel=settings.parallel,
        strict=bool(settings.strict),
    )
    report = await _shown(work, meter, "importing", json=json)
    _print(report, json=json)
    if not json and any(file.rejects for file in report.files):
        console.say(f"refused lines are in {settings.rejects}")
    return report


async def run_check(settings: ImportSettings, *, json: bool) -> ImportReport:
    """Only read the files, and print what an import would find."""
    assert settings.exchange is not None
    meter = ImportMeter()
    work = check_files(
        settings.paths, meter, exchange=settings.exchange, strict=bool(settings.strict)
    )
    report = await _shown(work, meter, "checking", json=json)
    _print(report, json=json)
    return report


async def _shown(
    work: Coroutine[Any, Any, ImportReport], meter: ImportMeter, verb: str, *, json: bool
) -> ImportReport:
    """Run an import beneath a bar, or with lines for a log; JSON lines tell the end alone."""
    if json:
        return await work
    if not sys.stderr.isatty():
        async with beside(_refreshed(ImportLines(meter, verb, time.monotonic).show)):
            return await work
    from qd_cli.import_bar import ImportBar

    with ImportBar(meter, verb) as bar:
        async with beside(_refreshed(bar.show)):
            return await work


async def _refreshed(show: Callable[[], None]) -> None:
    while True:
        show()
        await asyncio.sleep(_SHOW_SECONDS)


def _print(report: ImportReport, *, json: bool) -> None:
    if json:
        _print_json(report)
        return
    _print_table(report)
    _print_totals(report)


def _print_json(report: ImportReport) -> None:
    for file in report.files:
        console.print_json({"event": "file", **_fields(file)})
    console.print_json(
        {
            "event": "import",
            "files": len(report.files),
            "refused": len(report.refused),
            "rows": report.rows,
            "known": sum(file.known for file in report.files),
            "rejected": report.rejected,
            "reasons": dict(_reasons(report)),
            "seconds": round(report.seconds, 3),
        }
    )


def _fields(file: FileResult) -> dict[str, object]:
    return {
        "file": file.file,
        "symbol": file.symbol,
        "state": file.state.value,
        "layout": file.layout or None,
        "rows": file.rows,
        "known": file.known,
        "rejected": file.rejected,
        "reasons": dict(file.reasons),
        "seconds": round(file.seconds, 3),
        "rejects": None if file.rejects is None else str(file.rejects),
        "error": file.error or None,
        "retriable": file.retriable,
    }


def _print_table(report: ImportReport) -> None:
    """A line for each file, with its layout, or below them where the terminal is narrow."""
    columns = ("SYMBOL", "STATE", "ROWS", "KNOWN", "REJECTED", "SECONDS", "LAYOUT")
    shown = len(columns) - console.is_narrower(_WIDE_COLUMNS)
    rows = [
        (
            file.symbol,
            file.state.value,
            *(console.count(value) for value in (file.rows, file.known, file.rejected)),
            f"{file.seconds:.1f}",
            file.layout or "-",
        )[:shown]
        for file in report.files
    ]
    console.print_table(columns[:shown], rows, right=columns[2:6])
    if shown < len(columns):
        for layout, files in Counter(file.layout for file in report.files if file.layout).items():
            console.out(f"{layout}: {console.count(files, 'file')}")


def _print_totals(report: ImportReport) -> None:
    speed = console.rate(report.rows / max(report.seconds, 1e-9), "rows")
    counts = ", ".join(f"{console.count(n)} {reason}" for reason, n in _reasons(report).items())
    files = console.count(len(report.files), "file")
    console.say(
        f"{files}, {console.count(report.rows, 'row')}, "
        f"{console.count(report.rejected)} rejected{f' ({counts})' if counts else ''}, "
        f"{console.duration(report.seconds)}, {speed}"
    )
    for file in report.files:
        if file.error:
            console.say(f"not imported: {file.error}")
        elif not (file.rows or file.known or file.rejected):
            console.say(f"empty: {file.file} has no trades")


def _reasons(report: ImportReport) -> Counter[str]:
    """The refused lines of all files by reason."""
    total: Counter[str] = Counter()
    for file in report.files:
        total.update(file.reasons)
    return total
