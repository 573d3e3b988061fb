"""Print rates and ratios of the main job: ``python -m bench [CSV]``.

The CSV is one market of Kraken's layout; by default the million real trades of
``../shared/data/trades_large`` where they are, else as many generated ones.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from bench.causal import causal
from bench.decoding import decoding
from bench.end_to_end import end_to_end
from bench.report import show
from bench.storing import storing
from qd_cli.generate import generate_market
from qd_cli.stack.parts import DATABASE, FLUVIO, Choices, qd_parts
from qd_cli.stack.record import StateFolder
from qd_cli.stack.supervisor import Supervisor

REAL = Path(__file__).resolve().parents[2] / "shared/data/trades_large/XBTUSDM.csv.gz"
GENERATED_TRADES = 1_000_000


def market_file(given: list[str], folder: Path) -> Path:
    """Return the CSV to measure with."""
    if given:
        return Path(given[0])
    if REAL.is_file():
        return REAL
    return generate_market(folder, 0, trades=GENERATED_TRADES, seed=1).path


async def measure(csv: Path, folder: Path) -> None:
    """Run a stack of its own and measure each part, then the whole."""
    external = {name: os.environ[name] for name in (DATABASE, FLUVIO) if name in os.environ}
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
    finally:
        await stack.down()


def main() -> None:
    """Measure in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="qd-bench-") as name:
        asyncio.run(measure(market_file(sys.argv[1:], Path(name)), Path(name)))


main()
