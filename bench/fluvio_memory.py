"""Peak memory of the broker and of native clients: 100 topics, 100 consumers, 24 million records.

All consumers read while all producers write. The peaks at a part of the records and at all of
them show whether memory grows with what went through.
"""

from __future__ import annotations

import asyncio

from bench.fluvio_sides import Side, side
from bench.memory import peak_bytes
from bench.report import Row, compared
from qd_fluvio import connect

TOPICS = 100
STEPS = (1_000_000, 6_000_000, 24_000_000)  # records in all
CROWD = "bench.fluvio_crowd"
_WHO = ("broker", "100 producers in one process", "100 consumers in one process")


async def memory_rows(endpoint: str, broker: int) -> list[Row]:
    """Return the peaks after each step, and how fast the records went through.

    Parameters
    ----------
    endpoint : str
        A fresh local broker, so that nothing before counts.
    broker : int
        Its process id.
    """
    topics = [f"bench-crowd-{number}" for number in range(TOPICS)]
    async with connect(endpoint) as fluvio:
        for topic in topics:
            await fluvio.create_topic(topic)
    async with (
        side("producers", CROWD, endpoint) as writers,
        side("consumers", CROWD, endpoint) as readers,
    ):
        await _told(writers, "make_producers", topics)
        await _told(readers, "make_consumers", topics)
        peaks, rate = [], 0.0
        for before, until in zip((0, *STEPS), STEPS, strict=False):
            writing, reading = await asyncio.gather(
                writers.measure("write", each=(until - before) // TOPICS),
                readers.measure("read", until=until),
            )
            rate = writing.records / max(writing.seconds, reading.seconds)
            peaks.append([peak_bytes(pid) for pid in (broker, writers.pid, readers.pid)])
    rows = [Row(f"through {TOPICS} topics at once, to their consumers", rate, "records/s")]
    for who, *sizes in zip(_WHO, *peaks, strict=True):
        rows += _steps(who, sizes)
    return rows


async def _told(one: Side, do: str, topics: list[str]) -> None:
    one.tell(do, topics=topics)
    await one.answer()


def _steps(who: str, peaks: list[int]) -> list[Row]:
    first, *others = (
        Row(f"{who}, {records:,} records", peak, "bytes")
        for records, peak in zip(STEPS, peaks, strict=True)
    )
    return [first, *(compared(row.name, row.value or 0.0, row.unit, first) for row in others)]
