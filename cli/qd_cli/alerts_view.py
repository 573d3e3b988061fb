"""``qd alerts``: reads the topic and prints a line for each alert."""

from __future__ import annotations

import sys
from contextlib import aclosing

from qd_cli import console
from qd_cli.alerts import AlertRow, row_of
from qd_cli.names import Names
from qd_cli.symdb import known_market, symdb_client
from qd_client import alerts
from qd_fluvio import Offset, connect
from qd_schemas.enums import ExchangeId
from qd_schemas.specs import FluvioSettings


async def show_alerts(
    cluster: FluvioSettings,
    symdb_endpoint: str,
    *,
    follow: bool,
    from_end: bool,
    symbol: str | None,
    json: bool,
) -> None:
    """Print alerts: those that are there, and with `follow` those to come."""
    offset = Offset.end() if from_end else Offset.beginning()
    async with connect(cluster) as fluvio, symdb_client(symdb_endpoint) as symdb:
        if symbol is not None:
            symbol = (await known_market(symdb, ExchangeId.KRAKEN, symbol)).symbol
        if follow and from_end and sys.stderr.isatty():
            console.say(
                "waiting for new alerts; without --from-end also those there are, Ctrl-C ends"
            )
        names = Names(symdb)
        async with aclosing(alerts(fluvio, offset=offset, follow=follow)) as found:
            async for alert in found:
                row = await row_of(alert, names)
                if symbol is None or row.symbol == symbol:
                    _print(row, json)


def _print(row: AlertRow, json: bool) -> None:
    if json:
        console.print_json(row.as_json())
    else:
        console.out(row.as_text())
