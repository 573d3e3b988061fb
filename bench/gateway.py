"""The gateway by itself: ``python -m bench gateway [rates|clients|pacing|memory] [COUNT…]``.

Without a name, all four. Counts are of clients, or of streams; ``--trades`` and ``--seconds`` make
a measurement small enough to try it. Where QD_FLUVIO names a cluster, it is measured in the same
run as a local broker.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import gateway_clients, gateway_memory
from bench.gateway_bed import bed, market
from bench.gateway_clients import clients
from bench.gateway_memory import memory
from bench.gateway_pacing import paced_market, pacing
from bench.gateway_rates import rates

TRADES = 4_000_000
SECONDS = 20.0
SHORT_SHARE = 20
"""The market for single messages is that much shorter."""


def arguments(given: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench gateway", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["rates", "clients", "pacing", "memory"])
    parser.add_argument("counts", nargs="*", type=int, help="of clients, or of streams")
    parser.add_argument("--trades", type=int, default=TRADES, help="of the long market")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each paced replay")
    return parser.parse_args(given)


async def gateway(folder: Path, command_line: list[str]) -> None:
    """Measure and show what is asked for."""
    given = arguments(command_line)
    wanted = [given.what] if given.what else ["rates", "clients", "pacing", "memory"]
    csvs: dict[str, Path] = {}
    if wanted != ["pacing"]:
        csvs |= market(folder, "LONG", given.trades) | market(
            folder, "SHORT", given.trades // SHORT_SHARE, seed=2
        )
    if "pacing" in wanted:
        csvs |= paced_market(folder, given.seconds)
    async with bed(folder, csvs) as made:
        if "rates" in wanted:
            await rates(made)
        if "clients" in wanted:
            await clients(made, given.counts or list(gateway_clients.COUNTS), given.trades)
        if "pacing" in wanted:
            await pacing(made, given.seconds)
        if "memory" in wanted:
            await memory(made, given.counts or list(gateway_memory.STREAMS), given.trades)
