"""One record at a time: from just before it is sent until another process's consumer has it."""

from __future__ import annotations

import asyncio
import itertools

from bench.fluvio_rates import CLIENTS, NAMES, Cluster
from bench.fluvio_sides import side
from bench.report import Row, compared

RECORDS = 100  # of each client in each repetition
REPEATS = 3
PERCENTILES = (50, 99)

Ages = dict[tuple[str, str], list[float]]  # seconds, by cluster and client


async def measure_latency(clusters: list[Cluster]) -> Ages:
    """Measure every client on every cluster, the clients in turn."""
    ages: Ages = {}
    for _, cluster, client in itertools.product(range(REPEATS), clusters, CLIENTS):
        ages.setdefault((cluster.name, client), []).extend(await _measure(cluster, client))
    return ages


async def _measure(cluster: Cluster, client: str) -> list[float]:
    """Send records one after another, each when the one before has arrived."""
    topic, sender = await cluster.topic(), cluster.sides[client]
    module = "bench.fluvio_raw" if client == "raw" else "bench.fluvio_layer"
    arguments = (cluster.endpoint,) if client == "raw" else (cluster.endpoint, client)
    async with side(f"{client} listening on {cluster.name}", module, *arguments) as listener:
        listener.tell("listen", topic=topic, count=RECORDS + 1)
        ages = []
        for _ in range(RECORDS + 1):
            sender.tell("send_one", topic=topic)
            age, _ = await asyncio.gather(listener.answer(), sender.answer())
            ages.append(float(age))
    return ages[1:]  # the first one may have waited for the listener to connect


def latency_rows(ages: Ages, cluster: str) -> list[Row]:
    """Return the percentiles of each client, against the official one's in the layer."""
    rows = []
    for percentile in PERCENTILES:
        limit = Row(f"p{percentile}, {NAMES['official']}", _ms(ages, cluster, percentile), "ms")
        rows.append(limit)
        for client in ("raw", "native"):
            value = _ms(ages, cluster, percentile, client)
            rows.append(compared(f"p{percentile}, {NAMES[client]}", value, "ms", limit))
    return rows


def _ms(ages: Ages, cluster: str, percentile: int, client: str = "official") -> float:
    found = sorted(ages[cluster, client])
    return found[min(len(found) - 1, len(found) * percentile // 100)] * 1_000
