"""The demo's words: what both the plain and the live view say."""

from __future__ import annotations

from qd_cli import console
from qd_cli.demo.result import Summary
from qd_cli.stack import Event, EventKind
from qd_store.imports import FileResult


def part_text(event: Event) -> str:
    """Say what happened to a process; empty for what needs no word."""
    texts = {
        EventKind.READY: f"ready after {event.seconds:.1f} s (pid {event.pid})",
        EventKind.STOPPED: f"stopped after {event.seconds:.1f} s",
        EventKind.KILLED: "killed, because it did not stop in time",
    }
    return texts.get(event.kind, "")


def imported_text(file: FileResult) -> str:
    """Say what became of a file."""
    if file.error:
        return f"{file.symbol:<9} refused: {file.error}"
    rows, rejected = console.count(file.rows), console.count(file.rejected)
    return f"{file.symbol:<9} {rows} rows, {rejected} rejected, {file.seconds:.1f} s"


def summary_lines(summary: Summary) -> list[tuple[str, str]]:
    """Return the summary as titles and values."""
    count, rate = console.count, console.rate
    where = "generated, none of them real" if summary.generated else "from the given files"
    trades = f"{count(summary.trades_received)} of {count(summary.trades_streamed)}"
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in summary.seconds.items())
    lines = [
        ("trades", where),
        ("rows imported", f"{count(summary.rows_imported)} in {count(summary.markets, 'market')}"),
        ("rows rejected", _rejected(summary)),
        ("import rate", rate(summary.import_rows_per_second, "rows")),
        ("market streamed", summary.market),
        ("trades received", f"{trades} streamed, in order, none missing"),
        ("daily bars received", count(summary.bars_received)),
        ("stream rate", rate(summary.stream_trades_per_second, "trades")),
        ("alerts", f"{count(summary.alerts)} for {summary.market}, complete"),
    ]
    if summary.markets > 1:
        others = count(summary.markets - 1, "market")
        elsewhere = f"{count(summary.alerts_elsewhere)} so far, in {others}"
        lines.append(("alerts elsewhere", elsewhere))
    lines.append(("time", seconds))
    peaks = summary.peak_memory_bytes.items()
    lines += [(f"peak memory {name}", console.mebibytes(value)) for name, value in peaks]
    return lines


def _rejected(summary: Summary) -> str:
    reasons = sorted(summary.rejected_by_reason.items(), key=lambda item: -item[1])
    told = ", ".join(f"{number} {reason}" for reason, number in reasons)
    return console.count(summary.rows_rejected) + (f" ({told})" if told else "")
