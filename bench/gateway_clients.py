"""Many clients at once: total rate, fairness, and the time to the first trade.

All ask for the same trades at the same moment, from a few processes. A client's rate is its
trades by the time from its request to its last array; fairness is the slowest one's rate over the
fastest one's. Then one client in ten stalls: it takes one array and no more. The others' rate is
held against theirs without those clients.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np

from bench.fluvio_sides import Side, side
from bench.gateway_bed import Bed, Cluster
from bench.gateway_side import dealt, joined
from bench.report import Row, compared, show

COUNTS = (1, 10, 100, 500)
SIDES = 4
ROWS_EACH_MIN = 20_000
STALLED_EVERY = 10
MARKET = "LONG"
UNIT = "trades/s"

Answer = dict[str, list[float]]


async def clients(bed: Bed, counts: list[int], trades: int) -> None:
    """Measure and show so many clients at once; `trades` is how many in all, if enough."""
    for cluster in bed.clusters:
        rows: list[Row] = []
        one: Row | None = None
        for count in counts:
            each = min(max(ROWS_EACH_MIN, trades // count), trades - 1)
            found = await _of(bed, cluster, count, each)
            rows += _rows(count, each, found, one)
            one = one or rows[0]
            if count >= STALLED_EVERY:
                rows.append(await _with_stalled(bed, cluster, count, each))
        show(f"Gateway: clients at once, {cluster.name}", rows)


@contextlib.asynccontextmanager
async def _sides(bed: Bed, cluster: Cluster, count: int) -> AsyncIterator[list[Side]]:
    """A gateway, and processes with so many clients that are logged in."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(bed.gateway(cluster))
        processes = [
            await stack.enter_async_context(
                side(f"clients {place}", "bench.gateway_side", cluster.endpoint, "native")
            )
            for place in range(min(SIDES, count))
        ]
        counts = dealt(count, len(processes))
        await _each(processes, "open", [{"count": own} for own in counts])
        yield processes
        await _each(processes, "close", [{}] * len(processes))


async def _each(processes: list[Side], do: str, arguments: list[dict[str, int]]) -> list[Answer]:
    """Have all processes do the same at the same time, each with its own arguments."""
    for process, own in zip(processes, arguments, strict=True):
        process.tell(do, **own)
    answers: list[Answer] = await asyncio.gather(*(process.answer() for process in processes))
    return answers


async def _of(bed: Bed, cluster: Cluster, count: int, each: int) -> Answer:
    asked = {"symbol": bed.markets[MARKET], "end": bed.end_after(MARKET, each)}
    async with _sides(bed, cluster, count) as processes:
        return joined(await _each(processes, "replay", [asked] * len(processes)))


async def _with_stalled(bed: Bed, cluster: Cluster, count: int, each: int) -> Row:
    """The others' rate while one in ten stalls, against the rate of as many without those."""
    asked = {"symbol": bed.markets[MARKET], "end": bed.end_after(MARKET, each)}
    stalled = count // STALLED_EVERY
    async with _sides(bed, cluster, count) as processes:
        own = [{"symbol": asked["symbol"], "count": n} for n in dealt(stalled, len(processes))]
        await _each(processes, "stall", own)
        disturbed = joined(await _each(processes, "replay", [asked] * len(processes)))
    undisturbed = await _of(bed, cluster, count - stalled, each)
    limit = Row("the same without the stalled", _rate(undisturbed), UNIT)
    return compared(
        f"{count - stalled} clients beside {stalled} stalled", _rate(disturbed), UNIT, limit
    )


def _rate(found: Answer) -> float:
    """Trades of all clients by the time from the first request to the last array."""
    return sum(found["rows"]) / (max(found["ended"]) - min(found["asked"]))


def _rows(count: int, each: int, found: Answer, one: Row | None) -> list[Row]:
    name = f"{count} client{'s' * (count > 1)} x {each:,}"
    rows, asked, first, ended = (np.array(found[k]) for k in ("rows", "asked", "first", "ended"))
    rates = rows / (ended - asked)
    waits = first - asked
    total = _rate(found)
    return [
        Row(name, total, UNIT) if one is None else compared(name, total, UNIT, one),
        Row("  slowest client", float(rates.min()), UNIT, "the fastest", rates.min() / rates.max()),
        Row("  first trade, p50", float(np.percentile(waits, 50)) * 1e3, "ms"),
        Row("  first trade, p99", float(np.percentile(waits, 99)) * 1e3, "ms"),
    ]
