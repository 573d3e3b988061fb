"""Many clients at once: total rate, fairness, and the time to the first trade.

All ask for the same trades at the same moment, from a few processes. A client's rate is its
trades by the time from its request to its last array; fairness is the slowest one's rate over the
fastest one's. Then one client in ten stalls: it takes one array and no more. The others' rate is
held against theirs while those do nothing, measured in turns.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np

from bench.end_to_end import family, used_seconds
from bench.fluvio_sides import Side, side
from bench.gateway_bed import Bed, Cluster
from bench.gateway_side import dealt, joined
from bench.report import Row, compared, show

COUNTS = (1, 10, 100, 500)
SIDES = 4
ROWS, ROWS_EACH_MIN, ROWS_EACH_MAX = 20_000_000, 80_000, 200_000
"""Each has more than one of the pieces that the gateway reads, which are served whole."""
REPEATS = 3
LOOK_SECONDS, IDLE_SECONDS_MAX = 0.5, 0.1
"""A gateway that used no more processor time from one look to the next is idle."""
STALLED_EVERY = 10
MARKET = "LONG"
UNIT = "trades/s"

Answer = dict[str, list[float]]


async def clients(bed: Bed, counts: list[int], trades: int) -> None:
    """Measure and show so many clients at once, on a market of `trades` trades."""
    for cluster in bed.clusters:
        rows: list[Row] = []
        for count in counts:
            each = min(max(ROWS // count, ROWS_EACH_MIN), ROWS_EACH_MAX)
            each = trades - 1 if count == 1 else min(each, trades - 1)
            asked = {"symbol": bed.markets[MARKET], "end": bed.end_after(MARKET, each)}
            async with _sides(bed, cluster, count) as (processes, gateway):
                found = await _replayed(processes, asked, [0] * len(processes))
                rows += _rows(count, each, found, rows[0] if rows else None)
                if count >= STALLED_EVERY:
                    rows.append(await _with_stalled(processes, gateway, asked, count))
        show(f"Gateway: clients at once, {cluster.name}", rows)


@contextlib.asynccontextmanager
async def _sides(bed: Bed, cluster: Cluster, count: int) -> AsyncIterator[tuple[list[Side], int]]:
    """Processes with so many clients that are logged in, and the pid of their gateway."""
    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(bed.gateway(cluster))
        processes = [
            await stack.enter_async_context(
                side(f"clients {place}", "bench.gateway_side", cluster.endpoint, "native")
            )
            for place in range(min(SIDES, count))
        ]
        counts = dealt(count, len(processes))
        await _each(processes, "open", [{"count": own} for own in counts])
        yield processes, gateway
        await _each(processes, "close", [{}] * len(processes))


async def _each(processes: list[Side], do: str, arguments: list[dict[str, int]]) -> list[Answer]:
    """Have all processes do the same at the same time, each with its own arguments."""
    for process, own in zip(processes, arguments, strict=True):
        process.tell(do, **own)
    answers: list[Answer] = await asyncio.gather(*(process.answer() for process in processes))
    return answers


async def _replayed(processes: list[Side], asked: dict[str, int], skip: list[int]) -> Answer:
    """Have all clients but so many of each process replay."""
    return joined(await _each(processes, "replay", [{**asked, "skip": own} for own in skip]))


async def _with_stalled(
    processes: list[Side], gateway: int, asked: dict[str, int], count: int
) -> Row:
    """The others' rate while one in ten stalls, against theirs while those do nothing."""
    stalled = count // STALLED_EVERY
    shares = dealt(stalled, len(processes))
    beside, alone = 0.0, 0.0
    for _ in range(REPEATS):
        alone = max(alone, _rate(await _replayed(processes, asked, shares)))
        await _stall(processes, asked["symbol"], shares)
        await _idle(gateway)
        beside = max(beside, _rate(await _replayed(processes, asked, shares)))
        await _stall(processes, asked["symbol"], [0] * len(shares))
    limit = Row(f"{count - stalled} clients alone", alone, UNIT)
    return compared(f"{count - stalled} clients beside {stalled} stalled", beside, UNIT, limit)


async def _idle(gateway: int) -> None:
    """Wait until the gateway has sent the stalled ones what they take, and does nothing."""
    before = -1.0
    while (now := used_seconds(family(gateway))) - before > IDLE_SECONDS_MAX:
        before = now
        await asyncio.sleep(LOOK_SECONDS)


async def _stall(processes: list[Side], symbol: int, counts: list[int]) -> None:
    await _each(processes, "stall", [{"symbol": symbol, "count": own} for own in counts])


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
