"""``qd alerts``: what models have found, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from qd_cli.commands.data import exchange_of
from qd_cli.errors import RequestRefused
from qd_cli.interrupts import Interrupts
from qd_cli.options import (
    DatabaseOption,
    Exchange,
    FluvioOption,
    Json,
    State,
    SymdbOption,
    targets,
)
from qd_cli.tasks import beside


def alerts(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new ones.")] = False,
    from_end: Annotated[
        bool,
        typer.Option("--from-end/--from-beginning", help="Only new ones, or all (default)."),
    ] = False,
    symbol: Annotated[
        str | None, typer.Option(metavar="SYMBOL", help="Only this market's.")
    ] = None,
    json: Json = False,
    state: State = None,
    fluvio: FluvioOption = None,
    symdb: SymdbOption = None,
) -> None:
    """Show alerts; with `explain`, why one was raised.

    \b
    Examples:
      qd alerts
      qd alerts --follow --from-end
      qd alerts --symbol XBTCAD --json
      qd alerts explain XBTCAD 4711
    """
    if context.invoked_subcommand is not None:
        return
    from qd_cli.alerts_view import show_alerts

    if from_end and not follow:
        raise RequestRefused("--from-end shows only what is new: give --follow as well")
    found = targets(state, fluvio=fluvio, symdb=symdb)
    cluster, symdb_at = found.cluster(), found.symdb

    async def show(_: Interrupts) -> None:
        # Who follows would wait for ever for a part that died.
        async with beside(*([found.until_one_dies()] if follow else [])):
            await show_alerts(
                cluster, symdb_at, follow=follow, from_end=from_end, symbol=symbol, json=json
            )

    found.run(show)


def explain(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="The alert's market.")],
    sequence: Annotated[int, typer.Argument(metavar="TRADE", min=1, help="The alert's trade.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="MODEL", help="Only this model's; needed for a model of your own."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of it; may be repeated."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="From the alert alone; read no history.")
    ] = False,
    exchange: Exchange = "kraken",
    json: Json = False,
    state: State = None,
    fluvio: FluvioOption = None,
    symdb: SymdbOption = None,
    database: DatabaseOption = None,
) -> None:
    """Say why an alert was raised: its rules in words, with the numbers that they read.

    First from the alert itself, which carries the levels. Where a database is at hand, the
    context is made again from the trades before, and the trade is evaluated once more.

    \b
    Examples:
      qd alerts explain XBTCAD 4711
      qd alerts explain XBTCAD 4711 --model weekly-breakout
      qd alerts explain XBTCAD 4711 --quick --json
    """
    from qd_cli.explaining import Question, show_why

    found = targets(state, fluvio=fluvio, symdb=symdb, database=database)
    question = Question(symbol, exchange_of(exchange), sequence, model, tuple(settings or ()))
    cluster, symdb_at = found.cluster(), found.symdb
    dsn = None if quick else found.database_at_hand()
    found.run(lambda _: show_why(cluster, symdb_at, dsn, question, json=json))


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(invoke_without_command=True, no_args_is_help=False)
    group.callback()(alerts)
    group.command()(explain)
    app.add_typer(group, name="alerts", rich_help_panel="Market data")
