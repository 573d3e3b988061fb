"""Print rates, ratios and memory: ``python -m bench [CSV]``, or of Fluvio only ``… fluvio``.

``… symdb`` measures look-ups at the symbol master only.

``python -m bench gateway [rates|clients|pacing|memory] [COUNT…]`` measures the gateway only: one
client, many of them, paced replays, memory.

``python -m bench store [TRADES…]`` measures the store alone, with markets of so many generated
trades; by default a million and ten millions.

``python -m bench soak [--minutes 10] [--seed N]`` measures nothing: it kills broker, producers and
consumers at random, and fails where what was acknowledged is not what was consumed.

The CSV is one market of Kraken's layout; by default the million real trades of
``../shared/data/trades_large`` where they are, else as many generated ones.
With QD_DATABASE the server is that one, with a database for the time of the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.causal import causal
from bench.databases import fresh_database
from bench.decoding import decoding
from bench.end_to_end import end_to_end
from bench.fluvio import fluvio
from bench.gateway import gateway
from bench.memory import memory
from bench.report import show
from bench.store import LENGTHS, store
from bench.storing import storing
from bench.symdb import symdb
from qd_cli.generate import generate_market
from qd_cli.stack.parts import DATABASE, FLUVIO, Choices, qd_parts
from qd_cli.stack.record import StateFolder
from qd_cli.stack.supervisor import Supervisor

REAL = Path(__file__).resolve().parents[2] / "shared/data/trades_large/XBTUSDM.csv.gz"
SOAK = Path(__file__).resolve().parents[1] / "tests"
"""The package `soak` is there: a short one is part of the suite."""
GENERATED_TRADES = 1_000_000


def market_file(given: list[str], folder: Path) -> Path:
    """Return the CSV to measure with."""
    if given:
        return Path(given[0])
    if REAL.is_file():
        return REAL
    return generate_market(folder, 0, trades=GENERATED_TRADES, seed=1).path


@contextlib.contextmanager
def external_parts() -> Iterator[dict[str, str]]:
    """Give the settings of servers that are not ours; in the database's, nothing is left."""
    given = {name: os.environ[name] for name in (DATABASE, FLUVIO) if name in os.environ}
    if DATABASE not in given:
        yield given
        return
    with fresh_database(given[DATABASE]) as dsn:
        yield {**given, DATABASE: dsn}


async def measure(csv: Path, folder: Path, external: dict[str, str]) -> None:
    """Run a stack of its own and measure each part, then the whole."""
    # Without the analytics service, which would stream the same market at the same time.
    parts = [part for part in qd_parts() if part.name != "analytics"]
    stack = Supervisor(StateFolder(folder / "stack"), parts)
    try:
        record = await stack.up(Choices(external=external, die_with_starter=True))
        rows, trades = await storing(record.settings[DATABASE], csv, folder)
        show(f"Store: {len(trades):,} trades of {csv.name}", rows)
        show("Messages", decoding(trades))
        show("Causal model", causal(trades))
        show("End to end", await end_to_end(record, csv.name.split(".")[0]))
        show("Peak memory", await memory(record, csv, len(trades), folder))
    finally:
        await stack.down()


async def everything(csv: Path, folder: Path, external: dict[str, str]) -> None:
    """Measure the main job, then Fluvio by itself."""
    await measure(csv, folder, external)
    await fluvio(folder)


def main() -> None:
    """Measure in a temporary folder, or soak."""
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__)
        return
    if sys.argv[1:2] == ["soak"]:
        paths = os.pathsep.join([str(SOAK), *filter(None, sys.path)])
        command = [sys.executable, "-m", "soak", *sys.argv[2:]]
        sys.exit(subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}).returncode)
    with tempfile.TemporaryDirectory(prefix="qd-bench-") as name:
        folder = Path(name)
        if sys.argv[1:] == ["fluvio"]:
            asyncio.run(fluvio(folder))
            return
        if sys.argv[1:] == ["symdb"]:
            asyncio.run(symdb(folder))
            return
        if sys.argv[1:2] == ["gateway"]:
            asyncio.run(gateway(folder, sys.argv[2:]))
            return
        if sys.argv[1:2] == ["store"]:
            asyncio.run(store(folder, [int(text) for text in sys.argv[2:]] or LENGTHS))
            return
        with external_parts() as external:
            asyncio.run(everything(market_file(sys.argv[1:], folder), folder, external))


main()
