"""The store alone, at several lengths of one market: how each figure grows.

Each length has a database of its own. Peaks of memory are those of processes that do nothing
else: one that fetches all trades as frames, one that queries them all at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.databases import fresh_database, server
from bench.generated import write_market
from bench.memory import answer_of
from bench.report import Row, compared, show
from bench.storing import storing
from qd_store import Store

KIB = 1024
LENGTHS = (1_000_000, 10_000_000)
LONG = 50_000_000
"""From here on, things are measured once."""
SYMBOL = "XBTUSD"
READ = """
import asyncio, os, sys
from pathlib import Path
from qd_store import Store
from qd_store.reading import TradeQuery

async def read(dsn, symbol, how):
    async with Store.open(dsn) as store:
        query = TradeQuery(await store.market_by_symbol(1, symbol))
        if how == "query":
            return len(await store.query(query))
        return sum([len(frames) async for frames in store.fetch_frames(query, stream_id=1)])

if sys.argv[2] != "nothing":
    assert asyncio.run(read(os.environ["QD_DATABASE"], *sys.argv[1:]))
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def peak_bytes(dsn: str, how: str) -> int:
    """Return the peak memory of a process that reads the market: query, fetch or nothing."""
    return KIB * int(answer_of([sys.executable, "-c", READ, SYMBOL, how], dsn))


def memory(dsn: str) -> list[Row]:
    """Compare the peaks of both ways; what an idle process has is taken off."""
    idle = peak_bytes(dsn, "nothing")
    query = Row("peak of query", peak_bytes(dsn, "query") - idle, "bytes")
    return [query, compared("peak of fetch", peak_bytes(dsn, "fetch") - idle, "bytes", query)]


async def one_length(server_dsn: str, length: int, folder: Path) -> None:
    """Measure a market of so many generated trades."""
    csv = write_market(folder / f"{SYMBOL}.csv", length)
    scratch = folder / str(length)
    scratch.mkdir()
    with fresh_database(server_dsn) as dsn:
        async with Store.open(dsn) as store:
            await store.migrate()
        rows = await storing(dsn, csv, scratch, 1 if length >= LONG else 3)
        show(f"Store: {length:,} generated trades", [*rows[0], *memory(dsn)])
    csv.unlink()


async def store(folder: Path, lengths: Sequence[int] = LENGTHS) -> None:
    """Measure all lengths, one after the other."""
    async with server(folder) as dsn:
        for length in lengths:
            await one_length(dsn, length, folder)
