"""``qd db status`` and ``check``: what there is, and whether it is sound."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli.errors import ExitCode
from qd_cli.options import DatabaseOption, Json, State, targets

if TYPE_CHECKING:
    from qd_cli.blocking import Meter
    from qd_store.administration.check import MarketReport
    from qd_store.tables import RefreshProgress


def status(state: State = None, database: DatabaseOption = None, json: Json = False) -> None:
    """Show version and kind of the tables, markets, rows, sizes, compression, bars' lag.

    The exit code is 0, or 7 where the tables are missing or of another version.

    \b
    Examples:
      qd db status
      qd db status --json | jq 'select(.event == "market") | .trades'
    """
    from qd_cli.database_view import print_status, print_status_json
    from qd_store.administration.status import read_status

    where = targets(state, database=database)
    dsn = where.database
    found = where.run(lambda _: asyncio.to_thread(read_status, dsn))
    (print_status_json if json else print_status)(found)
    if not found.is_current:
        raise typer.Exit(ExitCode.OUTDATED)


def check(
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="SYMBOL", help="Only these markets.")
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Make counts, marks and bars anew where they are wrong."),
    ] = False,
    state: State = None,
    database: DatabaseOption = None,
    json: Json = False,
) -> None:
    """Read all trades, and compare with them counts, order, sequences, marks and bars.

    Bars are made anew of the trades and must agree to the last bit. The exit code is 0 where
    all is sound (or was repaired), 6 where something is wrong. Trades that are wrong or missing
    cannot be repaired.

    \b
    Examples:
      qd db check
      qd db check XBTEUR XBTUSD
      qd db check --repair
      qd db check --json | jq 'select(.sound | not)'
    """
    from qd_cli.blocking import run_blocking
    from qd_cli.database_view import print_reports
    from qd_store.administration.check import check_markets, repair_markets

    where = targets(state, database=database)
    dsn = where.database

    def work(meter: Meter) -> list[MarketReport]:
        found = check_markets(
            dsn,
            symbols=symbols or (),
            progress=lambda now: meter.take(
                now.rows, now.rows_total, f"{now.market}/{now.markets} {now.symbol}"
            ),
            stop=meter.stop,
        )
        return list(found)

    def mend(meter: Meter) -> list[MarketReport]:
        def show(now: RefreshProgress) -> None:
            meter.take(now.done, now.total, now.what)

        return repair_markets(dsn, reports, meter.stop, progress=show)

    reports = where.run(lambda _: run_blocking("checking", work, hidden=json))
    repaired: list[MarketReport] = []
    if repair:
        repaired = where.run(lambda _: run_blocking("repairing", mend, hidden=json))
    print_reports(reports, repaired, json=json)
    mended = {report.market for report in repaired if report.is_sound}
    if any(not report.is_sound and report.market not in mended for report in reports):
        raise typer.Exit(ExitCode.UNSOUND)
