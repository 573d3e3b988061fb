"""Everything about Fluvio: rates, latency and memory of the broker and of both clients.

The broker is a local one of its own; where QD_FLUVIO names a cluster, that one is measured in
the same run.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.fluvio_latency import latency_rows, measure_latency
from bench.fluvio_memory import memory_rows
from bench.fluvio_rates import cluster_sides, lossless_rows, measure_rates, native_rows, raw_rows
from bench.report import show
from qd_cli.stack.parts import FLUVIO, Choices, qd_parts
from qd_cli.stack.record import StateFolder
from qd_cli.stack.supervisor import Supervisor
from qd_client.local import StackRecord

LOCAL, REAL = "local broker", "real cluster"


async def fluvio(folder: Path) -> None:
    """Measure and show everything."""
    async with _broker(folder / "rates") as record:
        await _compare(record.settings[FLUVIO], os.environ.get(FLUVIO))
    async with _broker(folder / "memory") as record:
        rows = await memory_rows(record.settings[FLUVIO], record.parts["broker"].pid)
    show("Fluvio: peak memory", rows)


@asynccontextmanager
async def _broker(folder: Path) -> AsyncIterator[StackRecord]:
    """Run a local broker and nothing else."""
    parts = [part for part in qd_parts() if part.name == "broker"]
    stack = Supervisor(StateFolder(folder), parts)
    try:
        yield await stack.up(Choices(die_with_starter=True))
    finally:
        await stack.down()


async def _compare(local: str, real: str | None) -> None:
    async with AsyncExitStack() as stack:
        clusters = [await stack.enter_async_context(cluster_sides(LOCAL, local))]
        if real:
            clusters.append(await stack.enter_async_context(cluster_sides(REAL, real)))
        best = await measure_rates(clusters)
        ages = await measure_latency(clusters)
    title = "Fluvio: the official client by itself"
    show(title, raw_rows(best, LOCAL, REAL if real else None))
    for cluster in clusters:
        show(f"Fluvio: lossless consumers, {cluster.name}", lossless_rows(best, cluster.name))
        show(f"Fluvio: native client, {cluster.name}", native_rows(best, cluster.name))
        show(f"Fluvio: latency, {cluster.name}", latency_rows(ages, cluster.name))
