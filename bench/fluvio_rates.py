"""Rates of the three clients, side by side on one broker and, where given, on a real cluster.

Every repetition measures all sides one after another, so that what disturbs the machine
disturbs all; of each the best repetition counts. All read what the raw client has written. From
the time of reading, the time of reading a topic with one record is taken off: that is the start
of a process or stream, which does not grow with the records.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from bench.fluvio_sides import Measured, Side, side
from bench.report import Row, compared
from qd_fluvio import connect

RECORDS = {28: 200_000, 1_000: 50_000, 16_000: 4_000, 64_000: 1_200}
"""How many records of each size (in bytes) one measurement takes."""
REPEATS = 3
RUST_PRODUCER = {28: 27e6, 1_000: 51e6, 64_000: 62e6}
"""Bytes a second of `fluvio benchmark producer`, as measured on a machine with two processors."""
CLIENTS = ("raw", "official", "native")
NAMES = {"raw": "raw client", "official": "official in the layer", "native": "native"}
UNIT = "bytes/s"


@dataclass(slots=True)
class Cluster:
    """A cluster with a process for each client."""

    name: str
    endpoint: str
    sides: dict[str, Side]
    topics: list[str] = field(default_factory=list)
    _lone_topic: str = ""

    async def topic(self) -> str:
        """Create a topic; all go at the end, since a deletion disturbs who is connected."""
        self.topics.append(f"bench-{self.sides['raw'].pid}-{len(self.topics)}")
        async with connect(self.endpoint) as fluvio:
            await fluvio.create_topic(self.topics[-1])
        return self.topics[-1]

    async def lone_topic(self) -> str:
        """Return a topic that holds one record."""
        if not self._lone_topic:
            self._lone_topic = await self.topic()
            await self.sides["raw"].measure("produce", topic=self._lone_topic, size=28, count=1)
        return self._lone_topic


@asynccontextmanager
async def cluster_sides(name: str, endpoint: str) -> AsyncIterator[Cluster]:
    """Start the clients of a cluster; end them and delete the topics afterwards."""
    async with AsyncExitStack() as stack:
        raw = side(f"raw on {name}", "bench.fluvio_raw", endpoint)
        sides = {"raw": await stack.enter_async_context(raw)}
        for kind in CLIENTS[1:]:
            layer = side(f"{kind} on {name}", "bench.fluvio_layer", endpoint, kind)
            sides[kind] = await stack.enter_async_context(layer)
        cluster = Cluster(name, endpoint, sides)
        yield cluster
    async with connect(endpoint) as fluvio:
        for topic in cluster.topics:
            await fluvio.delete_topic(topic, missing_ok=True)


Key = tuple[str, str, str, int]  # cluster, client, "produce" or "consume", bytes of a record
Best = dict[Key, float]  # bytes a second


async def measure_rates(clusters: list[Cluster]) -> Best:
    """Measure every client on every cluster with every size."""
    best: Best = {}

    def note(key: Key, measured: Measured) -> None:
        best[key] = max(best.get(key, 0.0), measured.rate * key[3])

    for size, count in RECORDS.items():
        topics = {(one.name, client): await one.topic() for one in clusters for client in CLIENTS}
        for _, cluster, client in itertools.product(range(REPEATS), clusters, CLIENTS):
            found = await cluster.sides[client].measure(
                "produce", topic=topics[cluster.name, client], size=size, count=count
            )
            note((cluster.name, client, "produce", size), found)
        for _, cluster, client in itertools.product(range(REPEATS), clusters, CLIENTS):
            found = await _reading(cluster, client, topics[cluster.name, "raw"], count * REPEATS)
            note((cluster.name, client, "consume", size), found)
    return best


async def _reading(cluster: Cluster, client: str, topic: str, count: int) -> Measured:
    """Have a client read a topic; the time without that of opening it."""
    reader = cluster.sides[client]
    opening = await reader.measure("consume", topic=await cluster.lone_topic(), count=1)
    found = await reader.measure("consume", topic=topic, count=count)
    return Measured(found.records, found.seconds - opening.seconds)


def raw_rows(best: Best, local: str, real: str | None) -> list[Row]:
    """Return the official client by itself: the local broker against the real cluster."""
    rows = []
    for does, size in itertools.product(("produce", "consume"), RECORDS):
        row = Row(f"{does} {size:,} B, {local}", best[local, "raw", does, size], UNIT)
        limit = None if real is None else Row(real, best[real, "raw", does, size], UNIT)
        rows += _with(limit, row)
    return rows


def lossless_rows(best: Best, cluster: str) -> list[Row]:
    """Return how the clients that prove that no record is missing compare with the raw one."""
    official = _rows(best, cluster, "consume", "official", "raw")
    return official + _rows(best, cluster, "consume", "native", "raw")


def native_rows(best: Best, cluster: str) -> list[Row]:
    """Return the native client against the official one, and against the Rust producer."""
    rows = _rows(best, cluster, "produce", "native", "official")
    rows += _rows(best, cluster, "consume", "native", "official")
    for size, rate in RUST_PRODUCER.items():
        rust = Row("fluvio benchmark producer (published)", rate, UNIT)
        native = best[cluster, "native", "produce", size]
        rows += _with(rust, Row(f"produce {size:,} B, {NAMES['native']}", native, UNIT))
    return rows


def _rows(best: Best, cluster: str, does: str, one: str, other: str) -> list[Row]:
    rows = []
    for size in RECORDS:
        limit = Row(NAMES[other], best[cluster, other, does, size], UNIT)
        value = best[cluster, one, does, size]
        rows += _with(limit, Row(f"{does} {size:,} B, {NAMES[one]}", value, UNIT))
    return rows


def _with(limit: Row | None, row: Row) -> list[Row]:
    """Return the row, against the limit if there is one."""
    if limit is None or row.value is None:
        return [row]
    return [limit, compared(row.name, row.value, row.unit, limit)]
