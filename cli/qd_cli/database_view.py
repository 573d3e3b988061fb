"""The state and soundness of the market database as people and scripts read them. Only text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qd_cli import console
from qd_cli.units import short_bytes

if TYPE_CHECKING:
    from qd_store.administration.check import MarketReport
    from qd_store.administration.status import DatabaseStatus, MarketStatus


_WIDE_COLUMNS: Final = 110
"""From here on there is room for times to the second."""
_DAY_CHARACTERS: Final = len("2013-01-31")


def print_status(found: DatabaseStatus) -> None:
    """Print what a database holds."""
    rows = _lines(found)
    width = max(len(title) for title, _ in rows) + 2
    for title, value in rows:
        console.out(f"{title:<{width}}{value}")
    if not found.is_current:
        text = "use a newer qd" if found.version > found.newest_version else "run `qd db migrate`"
        console.say(f"this qd needs tables of version {found.newest_version}: {text}")
        return
    console.out("")
    columns = ("RELATION", "TABLE", "INDEXES", "TOTAL")
    console.print_table(
        columns,
        [
            (each.name, *map(short_bytes, (each.table_bytes, each.index_bytes, each.total_bytes)))
            for each in found.relations
        ],
        right=columns[1:],
    )
    console.out("")
    headings = ("EXCHANGE", "SYMBOL", "ID", "TRADES", "FIRST", "LAST", "LAG", "SIZE")
    right = ("ID", "TRADES", "LAG", "SIZE")
    days = console.is_narrower(_WIDE_COLUMNS)
    console.print_table(headings, [_market(each, days) for each in found.markets], right=right)


def print_status_json(found: DatabaseStatus) -> None:
    """Print the same as JSON lines: markets, then the whole."""
    for market in found.markets:
        console.print_json({"event": "market", **_times(market)})
    whole = dataclasses.asdict(found)
    del whole["markets"]
    relations = {
        each.name: {"table_bytes": each.table_bytes, "index_bytes": each.index_bytes}
        for each in found.relations
    }
    totals = {
        "markets": len(found.markets),
        "trades": found.trades,
        "trades_without_bars": found.trades_without_bars,
    }
    console.print_json({"event": "database", **whole, "relations": relations, **totals})


def print_reports(
    reports: Sequence[MarketReport], repaired: Sequence[MarketReport], *, json: bool
) -> None:
    """Print what a check found, and what a repair left."""
    after = {report.market: report for report in repaired}
    if json:
        for report in reports:
            console.print_json({"event": "market", **_report(report, after.get(report.market))})
        wrong = sum(not report.is_sound for report in reports)
        console.print_json({"event": "check", "markets": len(reports), "unsound": wrong})
        return
    rows = [
        (
            report.symbol,
            console.count(report.rows),
            _verdict(report, after.get(report.market)),
            ", ".join(f"{count:,} {problem}" for problem, count in report.counts.items()),
            f"{report.seconds:.1f}",
        )
        for report in reports
    ]
    columns = ("SYMBOL", "TRADES", "STATE", "PROBLEMS", "SECONDS")
    console.print_table(columns, rows, right=("TRADES", "SECONDS"))
    for report in reports:
        for texts in report.texts.values():
            for text in texts:
                console.say(f"{report.symbol}: {text}")
    _advise([after.get(report.market, report) for report in reports])


def _advise(reports: Sequence[MarketReport]) -> None:
    """Say what can be done about what is still wrong."""
    wrong = [report for report in reports if not report.is_sound]
    if any(report.is_repairable for report in wrong):
        console.say("counts, marks and bars follow from the trades: `qd db check --repair`")
    if strange := [report.symbol for report in wrong if not report.exchange]:
        console.say(
            f"{', '.join(strange)}: no import leaves such rows; delete them, or restore a backup"
        )
    lost = [report.symbol for report in wrong if report.exchange and not report.is_repairable]
    if lost:
        console.say(
            f"trades of {', '.join(lost)} are wrong or missing, which no repair brings back: "
            "restore a backup, or import their files into a new database"
        )


def _verdict(report: MarketReport, after: MarketReport | None) -> str:
    if report.is_sound:
        return "sound"
    return "repaired" if after is not None and after.is_sound else "unsound"


def _report(report: MarketReport, after: MarketReport | None) -> dict[str, object]:
    return {
        "exchange": report.exchange,
        "symbol": report.symbol,
        "trades": report.rows,
        "sound": report.is_sound,
        "repaired": after is not None and after.is_sound,
        "problems": {problem.value: count for problem, count in report.counts.items()},
        "texts": [text for texts in report.texts.values() for text in texts],
        "seconds": round(report.seconds, 3),
    }


def _lines(found: DatabaseStatus) -> list[tuple[str, str]]:
    version = str(found.version) if found.version else "none, there are no tables"
    rows = [
        ("database", f"{found.database}, as {found.user}"),
        ("server", f"PostgreSQL {found.server_version}"),
        ("tables' version", version),
        ("size", short_bytes(found.database_bytes)),
    ]
    if found.timescaledb:
        rows[1] = ("server", f"{rows[1][1]}, TimescaleDB {found.timescaledb}")
    if found.kind is not None:
        lag = found.trades_without_bars
        rows += [
            ("kind", found.kind.value),
            ("markets", console.count(len(found.markets))),
            ("trades", console.count(found.trades)),
            ("bars", f"{lag:,} trades behind: `qd db refresh`" if lag else "up to the last trade"),
        ]
    if (packed := found.compression) is not None:
        ratio = "" if packed.ratio is None else f"; plain rows would take {packed.ratio:.1f} times"
        rows.append(("compression", f"{packed.compressed_chunks} of {packed.chunks} chunks{ratio}"))
    return rows


def _market(found: MarketStatus, days: bool) -> tuple[str, ...]:
    first, last = (
        "-" if time is None else console.iso_time(time)[: _DAY_CHARACTERS if days else None]
        for time in (found.first_time, found.last_time)
    )
    size = "-" if found.total_bytes is None else short_bytes(found.total_bytes)
    behind = console.count(found.trades_without_bars)
    trades = console.count(found.trades)
    return (found.exchange, found.symbol, str(found.symbol_id), trades, first, last, behind, size)


def _times(found: MarketStatus) -> dict[str, object]:
    fields = dataclasses.asdict(found)
    for name, key in (("first", "first_time"), ("last", "last_time")):
        time = fields.pop(key)
        fields[name] = None if time is None else console.iso_time(time)
    return fields
