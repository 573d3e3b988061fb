"""Pacing: how far from its due time each trade is received, at real time and a hundred times.

A trade is due when as much time has passed since the first one came as the data say, divided by
the pace.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.fluvio_sides import side
from bench.gateway_bed import Bed
from bench.report import Row, compared, show

MARKET = "PACED"
TRADES_PER_SECOND = 100
PACES = (1, 100)
START_SECONDS = 1_380_000_000


def paced_market(folder: Path, seconds: float) -> dict[str, Path]:
    """Write a market for so many seconds at the greatest pace, with times between the seconds."""
    chance = np.random.default_rng(1)
    count = int(seconds * TRADES_PER_SECOND * max(PACES) * 1.1)
    times = START_SECONDS + np.cumsum(chance.exponential(1 / TRADES_PER_SECOND, count))
    path = folder / f"{MARKET}.csv"
    path.write_text("".join(f"{time:.6f},{600 + time % 7:.1f},0.5\n" for time in times.tolist()))
    return {MARKET: path}


async def pacing(bed: Bed, seconds: float) -> None:
    """Measure and show each pace for so many seconds, on every cluster."""
    for cluster in bed.clusters:
        rows: list[Row] = []
        limits: dict[str, Row] = {}
        async with (
            bed.gateway(cluster),
            side("client", "bench.gateway_side", cluster.endpoint, "native") as client,
        ):
            client.tell("open", count=1)
            await client.answer()
            for pace in PACES:
                count = int(seconds * pace * TRADES_PER_SECOND)
                end = bed.end_after(MARKET, count)
                client.tell("pace", symbol=bed.markets[MARKET], end=end, pace=float(pace))
                found = await client.answer()
                rows.append(Row(f"pace {pace}", found["rows"] / found["seconds"], "trades/s"))
                for name in ("p50", "p99"):
                    label, value = f"  {name} of due and received", found[name] * 1e3
                    limit = limits.setdefault(name, Row(f"{name} at pace {pace}", value, "ms"))
                    rows.append(compared(label, value, "ms", limit))
        show(f"Gateway: pacing, {cluster.name}", rows)
