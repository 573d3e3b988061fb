"""One client in a process of its own: trades/s from the database to its arrays, and the stages.

A stage is a process with its helpers. Its share is of the processor time of all; its limit is
what it could do with one processor for itself, by the time that it took for each trade. The
bottleneck is the stage with the lowest limit; the machine's limit is all its processors with
nothing idle. Servers that are not ours have neither, and beside them the machine has none.
"""

from __future__ import annotations

import os

import psutil

from bench.copying import copy_out_seconds
from bench.end_to_end import NAUTILUS, RUST_ORIGINAL, family, used_seconds
from bench.fluvio_sides import Side, side
from bench.gateway_bed import Bed
from bench.report import Row, compared, show
from qd_schemas.enums import ExchangeId
from qd_store import Store

REPEATS = 3
KINDS = ("native", "official")
VERSIONS = {2: "LONG", 1: "SHORT"}
"""The market that each version streams: single messages take their time."""
STAGES = {"database", "gateway", "broker", "client"}
UNIT = "trades/s"


async def rates(bed: Bed) -> None:
    """Measure and show both versions with both clients, on every cluster."""
    limit = await _database_limit(bed)
    for cluster in bed.clusters:
        rows = [limit]
        for kind in KINDS:
            async with (
                bed.gateway(cluster, kind) as gateway,
                side("client", "bench.gateway_side", cluster.endpoint, kind) as client,
            ):
                for version, market in VERSIONS.items():
                    pids = {"gateway": gateway, "client": client.pid}
                    others = {"database": bed.database_pid, "broker": cluster.pid}
                    pids |= {name: pid for name, pid in others.items() if pid is not None}
                    best = await _best(client, pids, bed.markets[market], version)
                    rows += _rows(f"version {version}, {kind}", *best, limit)
        show(f"Gateway: one client, {cluster.name}", rows)


async def _database_limit(bed: Bed) -> Row:
    """The database's own limit: psql copies the same trades to nowhere."""
    async with Store.open(bed.dsn) as store:
        found = await store.market_by_symbol(ExchangeId.KRAKEN, VERSIONS[2])
    assert found is not None
    seconds = min(copy_out_seconds(bed.dsn, found.key) for _ in range(REPEATS))
    return Row("COPY by psql to nowhere", found.trades / seconds, UNIT)


Best = tuple[int, float, dict[str, float]]
"""Trades, seconds, and the processor time of each stage."""


async def _best(client: Side, pids: dict[str, int], symbol: int, version: int) -> Best:
    """Return the fastest of several replays."""
    await _told(client, "open", count=1, version=version)
    found: list[Best] = []
    for _ in range(REPEATS):
        before = {name: used_seconds(family(pid)) for name, pid in pids.items()}
        answer = await _told(client, "replay", symbol=symbol)
        after = {name: used_seconds(family(pid)) for name, pid in pids.items()}
        seconds = answer["ended"][0] - answer["asked"][0]
        used = {name: after[name] - before[name] for name in pids}
        found.append((int(answer["rows"][0]), seconds, used))
    await _told(client, "close")
    return min(found, key=lambda one: one[1])


async def _told(client: Side, do: str, **arguments: object) -> dict[str, list[float]]:
    client.tell(do, **arguments)
    answer: dict[str, list[float]] = await client.answer()
    return answer


def _rows(name: str, trades: int, seconds: float, used: dict[str, float], raw: Row) -> list[Row]:
    rate = trades / seconds
    rows = [compared(name, rate, UNIT, against) for against in (RUST_ORIGINAL, NAUTILUS, raw)]
    total = sum(used.values())
    limits = {stage: trades / max(time, 1e-3) for stage, time in used.items()}
    for stage, time in sorted(used.items(), key=lambda entry: -entry[1]):
        label = f"  share of {stage}; its limit"
        rows.append(Row(label, limits[stage], UNIT, "all processor time", time / total))
    lowest = min(limits, key=lambda stage: limits[stage])
    rows.append(
        compared(f"  {name}", rate, UNIT, Row(f"bottleneck: {lowest}", limits[lowest], UNIT))
    )
    if not used.keys() >= STAGES:
        return rows
    cpus = len(psutil.Process(os.getpid()).cpu_affinity() or [0])
    machine = Row(f"limit of {cpus} processors", trades * cpus / total, UNIT)
    return [*rows, compared(f"  {name}", rate, UNIT, machine)]
