"""``qd demo``: the main job, end to end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import console
from qd_cli.demo.plan import (
    MARKETS_DEFAULT,
    SEED_DEFAULT,
    TRADES_DEFAULT,
    TRADES_MAX,
    TRADES_MIN,
    Plan,
)
from qd_cli.errors import RequestRefused
from qd_cli.interrupts import Interrupts, run

if TYPE_CHECKING:
    from qd_cli.demo.events import View

MARKETS_MAX = 40


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Real trades: a CSV in Kraken's layout, a folder of them, or a zip.",
        ),
    ] = None,
    market: Annotated[
        str | None, typer.Option(metavar="SYMBOL", help="Market to stream (default: largest).")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Work in this new folder and keep everything in it."),
    ] = None,
    markets: Annotated[
        int, typer.Option(min=1, max=MARKETS_MAX, metavar="N", help="Markets to generate.")
    ] = MARKETS_DEFAULT,
    trades: Annotated[
        int,
        typer.Option(
            min=TRADES_MIN, max=TRADES_MAX, metavar="N", help="Trades to generate for each."
        ),
    ] = TRADES_DEFAULT,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Same seed, same trades.")
    ] = SEED_DEFAULT,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines for scripts.")] = False,
) -> None:
    """Run the main job, end to end, and leave nothing behind.

    It starts a database, a broker, symdb, the gateway and the analytics service, each a
    process of its own, imports trades of several markets, streams one market's trades and
    daily bars to a client, shows alerts as they come, prints a summary, and stops everything.
    Without --data the trades are generated: they are invented.

    \b
    Examples:
      qd demo
      qd demo --trades 1000000 --seed 7
      qd demo --data ~/Kraken_Trading_History.zip --market XBTEUR
      qd demo --json | jq 'select(.event == "summary")'
      qd demo --keep ~/qd && qd up --state ~/qd
    """
    if data is not None and not data.exists():
        raise RequestRefused(f"{data} does not exist: give a CSV, a folder of CSVs or a zip")
    if data is None:
        from qd_cli.generate import SYMBOLS

        market = market or SYMBOLS[0]
        if market not in SYMBOLS[:markets]:
            known = ", ".join(SYMBOLS[:markets])
            raise RequestRefused(f"no generated market is named {market!r}: there are {known}")
    plan = Plan(data, market, keep, markets, trades, seed)
    run(lambda interrupts: _shown(plan, json, interrupts))


async def _shown(plan: Plan, json: bool, interrupts: Interrupts) -> None:
    from qd_cli.demo.job import run_demo

    view = _view(json)
    try:
        summary = await run_demo(plan, view, interrupts)
        view.summary(summary)
    finally:
        view.close()
    if plan.keep is not None:
        console.say(f"kept in {plan.keep}; `qd up --state {plan.keep}` starts it again")


def _view(json: bool) -> View:
    if json:
        from qd_cli.demo.lines import JsonView

        return JsonView()
    if sys.stdout.isatty():
        from qd_cli.demo.live import LiveView

        return LiveView()
    from qd_cli.demo.lines import PlainView

    return PlainView()


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="The stack")(demo)
