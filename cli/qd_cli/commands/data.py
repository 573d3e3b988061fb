"""``qd symbols`` and ``stream``: market data out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import console
from qd_cli.errors import CliError, RequestRefused
from qd_cli.interrupts import Interrupts
from qd_cli.options import (
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
from qd_cli.tasks import beside

if TYPE_CHECKING:
    from qd_cli.streaming import Format
    from qd_client.client import Stamp
    from qd_schemas.enums import ExchangeId, Resolution

_PANEL = "Market data"


def symbols(
    prefix: Annotated[
        str,
        typer.Argument(
            metavar="PREFIX", help="Only markets with a name that begins so, such as XBT or btc/."
        ),
    ] = "",
    exchange: Annotated[str, typer.Option(metavar="NAME", help="The exchange, or all.")] = "kraken",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for changes as well; one line each.")
    ] = False,
    state: State = None,
    symdb: SymdbOption = None,
    json: Json = False,
) -> None:
    """List the markets that have trades.

    \b
    Examples:
      qd symbols
      qd symbols XBT
      qd symbols btc/ --exchange all
      qd symbols --follow
      qd symbols --json | jq -r .symbol
    """
    from qd_cli.symbols_view import follow_symbols, list_symbols

    where = targets(state, symdb=symdb)
    endpoint = where.symdb
    chosen = None if exchange == "all" else exchange_of(exchange)

    async def show(_: Interrupts) -> None:
        if not follow:
            await list_symbols(endpoint, prefix, chosen, json=json)
            return
        # Who follows would wait for ever for a part that died.
        async with beside(where.until_one_dies()):
            await follow_symbols(endpoint, prefix, chosen, json=json)

    where.run(show)


def stream(
    symbol: Symbol,
    bars: Annotated[
        str | None,
        typer.Option(metavar="RESOLUTION", help="Bars of 1m 5m 15m 30m 1h 1d 1M or 1y."),
    ] = None,
    start: Start = None,
    end: End = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many rows.")
    ] = None,
    from_sequence: Annotated[
        int, typer.Option(min=1, metavar="N", help="From the N-th trade, or bar, on.")
    ] = 1,
    pace: Annotated[
        float,
        typer.Option(
            min=0, metavar="N", help="0: as fast as possible, 1: real time, N: N times it."
        ),
    ] = 0.0,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="The last bar too, as it is so far.")
    ] = False,
    stamp: Annotated[
        str, typer.Option(metavar="WHEN", help="A bar's time: its start, or its close.")
    ] = "start",
    exchange: Exchange = "kraken",
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    state: State = None,
    fluvio: FluvioOption = None,
    symdb: SymdbOption = None,
) -> None:
    """Stream a market's trades, or its bars, from the gateway.

    A bar is sent when it is over, which a later trade shows. Where gateways ask who you are, set
    QD_CLIENT_ID and QD_CLIENT_TOKEN (`qd clients add`).

    \b
    Examples:
      qd stream XBTCAD --limit 10
      qd stream XBTCAD --bars 1d
      qd stream XBTCAD --bars 1h --start 2013-01-01 --end 2013-02-01 --csv
      qd stream XBTCAD --bars 1d --unfinished --stamp close
      qd stream XBTCAD --pace 3600
    """
    from qd_cli.streaming import Wanted, run_stream
    from qd_schemas.specs import ClientSettings

    if bars is None and (unfinished or stamp != "start"):
        raise RequestRefused("--unfinished and --stamp are about bars: give --bars as well")
    layout = _layout(json=json, csv=csv)
    begin, finish = _range(start, end)
    found = targets(state, fluvio=fluvio, symdb=symdb)
    wanted = Wanted(
        symbol=symbol,
        exchange=exchange_of(exchange),
        resolution=_resolution(bars),
        start=begin,
        end=finish,
        limit=limit,
        from_sequence=from_sequence,
        pace=pace,
        unfinished=unfinished,
        stamp=_stamp(stamp),
    )
    client = ClientSettings.from_env(os.environ)
    cluster, symdb_at = found.cluster(), found.symdb
    found.run(lambda _: run_stream(cluster, symdb_at, client, wanted, layout))


def exchange_of(name: str) -> ExchangeId:
    """Return the exchange of this name."""
    from qd_schemas.enums import ExchangeId

    known = {exchange.name.lower(): exchange for exchange in ExchangeId if exchange}
    if name.lower() not in known:
        raise RequestRefused(f"no exchange is named {name!r}: expected {', '.join(known)}")
    return known[name.lower()]


def _resolution(label: str | None) -> Resolution | None:
    from qd_schemas.enums import Resolution

    try:
        return None if label is None else Resolution.parse(label)
    except ValueError as error:
        raise RequestRefused(f"--bars: {error}") from None


def _layout(*, json: bool, csv: bool) -> Format:
    from qd_cli.streaming import Format

    if json and csv:
        raise RequestRefused("give --json or --csv, not both")
    return Format.JSON if json else Format.CSV if csv else Format.TEXT


def _range(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    begin, finish = moment("--start", start), moment("--end", end)
    if begin is not None and finish is not None and begin >= finish:
        raise RequestRefused(f"--start {start} is not before --end {end}: give a later end")
    return begin, finish


def _stamp(text: str) -> Stamp:
    known: dict[str, Stamp] = {"start": "start", "close": "close"}
    if text not in known:
        raise RequestRefused(f"--stamp is {text!r}; expected {' or '.join(known)}")
    return known[text]


def moment(option: str, text: str | None) -> int | None:
    """Return the time that an option names, in microseconds since the epoch."""
    if text is None:
        return None
    try:
        return console.parse_time(text)
    except ValueError:
        raise CliError(
            f"{option} is {text!r}; expected an ISO time such as 2013-01-31T12:00:00"
        ) from None


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (symbols, stream):
        app.command(rich_help_panel=_PANEL)(command)
