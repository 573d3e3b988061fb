"""Clients of the gateway as a side: ``python -m bench.gateway_side ENDPOINT official|native``.

Each answer is one line of JSON; see `bench.fluvio_sides.serve`. Times are seconds of the machine's
monotonic clock, so that those of several processes can be compared.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import numpy as np

from bench.fluvio_sides import serve
from qd_client import QDClient
from qd_client.stream import RowStream
from qd_schemas.specs import ClientKind, FluvioSettings

LOGINS_AT_ONCE = 8
LEASE_MS = 60_000  # a loaded machine is not a dead client
PERCENTILES = (50, 99)


class Clients:
    """Some clients of one process, each with a session and a connection of its own."""

    def __init__(self, settings: FluvioSettings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._clients: list[QDClient] = []
        self._stalled: list[RowStream] = []

    async def open(self, count: int, version: int = 2) -> AsyncIterator[int]:
        """Log so many clients in; answer how many there are."""
        gate = asyncio.Semaphore(LOGINS_AT_ONCE)

        async def login() -> None:
            client = QDClient(endpoint=self._settings, lease_ms=LEASE_MS, version=version)
            async with gate:
                self._clients.append(await self._stack.enter_async_context(client))

        await asyncio.gather(*(login() for _ in range(count)))
        yield len(self._clients)

    async def close(self) -> AsyncIterator[int]:
        """Log all out."""
        await self._end_stalled()
        self._clients.clear()
        await self._stack.aclose()
        self._stack = AsyncExitStack()
        yield 0

    async def stall(self, symbol: int, count: int) -> AsyncIterator[int]:
        """Have the first so many clients take one array of a stream and nothing more; 0: none."""
        await self._end_stalled()
        for client in self._clients[:count]:
            stream = client.trades(symbol)
            await anext(stream)
            self._stalled.append(stream)
        yield count

    async def _end_stalled(self) -> None:
        for stream in self._stalled:
            await stream.aclose()
        self._stalled.clear()

    async def replay(
        self, symbol: int, end: int | None = None, streams: int = 1, skip: int = 0
    ) -> AsyncIterator[dict[str, list[float]]]:
        """Have all clients but the first `skip` stream a market, each so many times at once.

        Answers each stream's rows, and the times of its request, first array and end.
        """
        found = await asyncio.gather(
            *(
                _replayed(client, symbol, end)
                for client in self._clients[skip:]
                for _ in range(streams)
            )
        )
        names = ("rows", "asked", "first", "ended")
        columns = zip(*found, strict=True) if found else [()] * len(names)
        yield dict(zip(names, map(list, columns), strict=True))

    async def pace(self, symbol: int, end: int, pace: float) -> AsyncIterator[dict[str, float]]:
        """Stream a market at a pace; how late each row is, against the first one, in seconds."""
        late: list[Any] = []
        began, first_us = 0.0, 0
        async with aclosing(self._clients[0].trades(symbol, end=end, pace=pace)) as stream:
            async for rows in stream:
                now, times = time.monotonic(), rows["time"].copy()
                if not late:
                    began, first_us = now, int(times[0])
                late.append(now - began - (times - first_us) / 1e6 / pace)
        values = np.abs(np.concatenate(late))
        found = {f"p{each}": float(np.percentile(values, each)) for each in PERCENTILES}
        yield {**found, "rows": float(len(values)), "seconds": time.monotonic() - began}


async def _replayed(
    client: QDClient, symbol: int, end: int | None
) -> tuple[float, float, float, float]:
    rows, first, asked = 0, 0.0, time.monotonic()
    async for part in client.trades(symbol, end=end):
        first = first or time.monotonic()
        rows += len(part)
    return rows, asked, first, time.monotonic()


def dealt(count: int, sides: int) -> list[int]:
    """Return how many of `count` clients each of so many sides gets."""
    return [len(range(count)[place::sides]) for place in range(sides)]


def joined(answers: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Return what several sides answered as one."""
    names = answers[0].keys()
    return {name: list(itertools.chain.from_iterable(a[name] for a in answers)) for name in names}


async def main(endpoint: str, kind: str) -> None:
    await serve(Clients(FluvioSettings(endpoint, ClientKind(kind))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
