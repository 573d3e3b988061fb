"""Trades through the whole system, each part a process: the rate, and each part's share.

The clock runs from the request to the last array; the client has logged in before. A share is
the processor time that a part (its helpers included) used while one market streamed from the
database to the client's arrays, of all that the parts used. Servers that are not ours have none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from bench.report import Row, compared
from qd_cli.stack.parts import FLUVIO, SYMDB
from qd_client import QDClient
from qd_client.local import StackRecord

RUST_ORIGINAL = Row("Rust original (published: 0.15 to 0.18 M)", 0.18e6, "trades/s")
NAUTILUS = Row("NautilusTrader in one process (published)", 0.14e6, "trades/s")


@dataclass(frozen=True, slots=True)
class Replay:
    """One market streamed once."""

    trades: int
    seconds: float
    shares: dict[str, float]


def used_seconds(processes: Iterable[psutil.Process]) -> float:
    """Return the processor time of processes and of their children that have ended."""
    return sum(sum(one.cpu_times()[:4]) for one in processes)


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def used_by_all(record: StackRecord) -> dict[str, float]:
    """Return the processor time of each part, and of this process as the client."""
    parts = {name: family(part.pid) for name, part in record.parts.items()}
    others = {process.pid for members in parts.values() for process in members}
    client = [process for process in family(os.getpid()) if process.pid not in others]
    return {name: used_seconds(members) for name, members in {**parts, "client": client}.items()}


async def replay(record: StackRecord, symbol: str) -> Replay:
    """Stream a market's trades once, as fast as possible."""
    settings = record.settings
    async with QDClient(endpoint=settings[FLUVIO], symdb=settings[SYMDB]) as qd:
        before, trades, started = used_by_all(record), 0, time.perf_counter()
        async for rows in qd.trades(symbol):
            trades += len(rows)
        seconds = time.perf_counter() - started
        after = used_by_all(record)
    used = {name: after[name] - before[name] for name in after}
    total = sum(used.values()) or 1.0
    return Replay(trades, seconds, {name: part / total for name, part in used.items()})


async def end_to_end(record: StackRecord, symbol: str, repeats: int = 3) -> list[Row]:
    """Return the best rate of several replays, and the shares of that one."""
    best = min([await replay(record, symbol) for _ in range(repeats)], key=lambda one: one.seconds)
    rate = best.trades / best.seconds
    shares = [
        Row(f"share of {name}", None, "", "all processor time", share)
        for name, share in sorted(best.shares.items(), key=lambda entry: -entry[1])
    ]
    return [
        compared("database to client arrays", rate, "trades/s", RUST_ORIGINAL),
        compared("database to client arrays", rate, "trades/s", NAUTILUS),
        *shares,
    ]
