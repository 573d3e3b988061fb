"""``qd analytics``: models over a market's history, their pictures, and the alert service."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import console
from qd_cli.commands.data import exchange_of, moment
from qd_cli.errors import RequestRefused
from qd_cli.interrupts import Interrupts
from qd_cli.options import (
    DatabaseOption,
    End,
    Exchange,
    FluvioOption,
    Json,
    Start,
    State,
    Symbol,
    SymdbOption,
    targets,
)
from qd_cli.targets import Targets

if TYPE_CHECKING:
    from qd_cli.history import History

_DEFAULT = "monthly-breakout"


def _shipped(incomplete: str) -> list[str]:
    """Names of shipped models, for the shell."""
    from qd_analytics.models.loading import SHIPPED

    return [name for name in SHIPPED if name.startswith(incomplete)]


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="A shipped model, package.module:function, or file.py:function.",
        autocompletion=_shipped,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of it; may be repeated."),
]


def models(json: Json = False) -> None:
    """List the models that come with qd, with their settings.

    Every model also has the settings signals (rises, falls, both) and policy (rise, first, every).

    \b
    Examples:
      qd analytics models
    """
    from qd_analytics.models.loading import SHIPPED, find

    rows = []
    for name in SHIPPED:
        found = find(name)
        settings = " ".join(f"{each.name}={each.default}" for each in found.parameters)
        rows.append((name, found.about.partition("\n")[0], settings))
    if json:
        for name, about, settings in rows:
            console.print_json({"model": name, "about": about, "settings": settings})
        return
    console.print_table(("MODEL", "SAYS TRUE WHEN", "SETTINGS"), rows)


def backtest(
    symbol: Symbol,
    model: ModelOption = _DEFAULT,
    settings: Set = None,
    start: Start = None,
    end: End = None,
    exchange: Exchange = "kraken",
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    state: State = None,
    database: DatabaseOption = None,
) -> None:
    """Show the alerts that a model raises over a market's history, straight from the database.

    They are those that the alert service publishes. With --start only later ones are shown; what
    was traded before still counts.

    \b
    Examples:
      qd analytics backtest XBTCAD
      qd analytics backtest XBTCAD --model volatility --set days=10 --set signals=both
      qd analytics backtest XBT/CAD --start 2014-01-01 --json
      qd analytics backtest XBTCAD --model mine.py:model --csv
    """
    from qd_cli.backtest_view import AlertTable, show_backtest
    from qd_cli.streaming import Format

    if json and csv:
        raise RequestRefused("give --json or --csv, not both")
    layout = Format.JSON if json else Format.CSV if csv else Format.TEXT
    begin, finish = _range(start, end)
    where = targets(state, database=database)

    async def show(_: Interrupts) -> None:
        history = await _history(where, symbol, exchange, model, settings, finish)
        table = AlertTable(history.market.symbol, exchange.lower(), history.chosen.model)
        await show_backtest(history, table, layout, begin)

    where.run(show)


def plot(
    symbol: Symbol,
    model: ModelOption = _DEFAULT,
    settings: Set = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A .svg or .png; else the terminal."),
    ] = None,
    start: Start = None,
    end: End = None,
    exchange: Exchange = "kraken",
    state: State = None,
    database: DatabaseOption = None,
) -> None:
    """Draw a market's price, a model's levels and its alerts: as SVG, as PNG, or right here.

    \b
    Examples:
      qd analytics plot XBTCAD
      qd analytics plot XBTCAD --out breakouts.svg
      qd analytics plot XBTCAD --model volatility --start 2013-10-01 --end 2013-11-01 -o calm.png
    """
    from qd_cli.plotting import plot_history

    begin, finish = _range(start, end)
    where = targets(state, database=database)
    if out is not None and out.suffix.lower() not in (".svg", ".png"):
        raise RequestRefused(f"--out is {str(out)!r}; expected a file that ends in .svg or .png")

    async def show(_: Interrupts) -> None:
        history = await _history(where, symbol, exchange, model, settings, finish)
        await plot_history(history, begin, out)

    where.run(show)


def run(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="'MODEL [NAME=VALUE]...'",
            help="A model with its settings; may be repeated (default: QD_MODELS).",
            autocompletion=_shipped,
        ),
    ] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option("--watch", metavar="SYMBOL", help="Only this market; may be repeated."),
    ] = None,
    client_id: Annotated[
        int | None,
        typer.Option("--client-id", metavar="N", help="Its id as the gateway's client."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", metavar="HOST:PORT", help="Where to serve metrics and health."),
    ] = None,
    state: State = None,
    fluvio: FluvioOption = None,
    symdb: SymdbOption = None,
) -> None:
    """Run the alert service in the foreground, until Ctrl-C.

    Its settings come from the environment, as in a container, and from these options; a running
    stack is found by itself. A stack has an alert service of its own: another one beside it needs
    another --client-id, and models of other ids.

    \b
    Examples:
      qd analytics run --client-id 65001 --model 'volatility days=10 signals=both'
      qd analytics run --client-id 65001 --model mine.py:model --watch XBTCAD
    """
    from qd_analytics.models.loading import choose_all

    given = {
        "QD_MODELS": "; ".join(model or ()),
        "QD_WATCH": ",".join(watch or ()),
        "QD_ANALYTICS_CLIENT_ID": "" if client_id is None else str(client_id),
        "QD_ANALYTICS_METRICS": metrics or "",
    }
    if given["QD_MODELS"]:
        choose_all(given["QD_MODELS"])  # a mistake is told before anything is started
    where = targets(state, fluvio=fluvio, symdb=symdb)
    env = _environment(where) | {name: text for name, text in given.items() if text}
    # The service takes this process's place, so that signals reach it directly.
    os.execve(sys.executable, [sys.executable, "-m", "qd_analytics"], env)


def _environment(where: Targets) -> dict[str, str]:
    """The service's environment: this one, with the places that were found."""
    from qd_schemas.specs import FLUVIO_TLS_NAMES

    cluster, tls = where.cluster(), where.cluster().tls
    env = {name: text for name, text in os.environ.items() if name not in FLUVIO_TLS_NAMES}
    if tls is not None:
        texts = (tls.ca, tls.domain, tls.cert, tls.key)
        env |= {name: text for name, text in zip(FLUVIO_TLS_NAMES, texts, strict=True) if text}
    return env | {
        "QD_FLUVIO": cluster.endpoint,
        "QD_FLUVIO_CLIENT": cluster.client.value,
        "QD_FLUVIO_SPU_ADDRESS": cluster.spu_address.value,
        "QD_FLUVIO_ADDRESSES": ",".join("=".join(pair) for pair in cluster.addresses),
        "QD_SYMDB": where.symdb,
    }


async def _history(
    where: Targets,
    symbol: str,
    exchange: str,
    model: str,
    settings: list[str] | None,
    end: int | None,
) -> History:
    from qd_analytics.models.loading import choose
    from qd_cli.history import History, stored_market

    chosen = choose(model, settings or ())
    dsn = where.database
    market = await stored_market(dsn, exchange_of(exchange), symbol)
    return History(dsn, market, chosen, end_time=end)


def _range(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    begin, finish = moment("--start", start), moment("--end", end)
    if begin is not None and finish is not None and begin >= finish:
        raise RequestRefused(f"--start {start} is not before --end {end}: give a later end")
    return begin, finish


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Models that watch markets.", no_args_is_help=True)
    for command in (models, backtest, plot, run):
        group.command()(command)
    app.add_typer(group, name="analytics", rich_help_panel="Market data")
