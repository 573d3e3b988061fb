"""Many producers or many consumers as a side: ``python -m bench.fluvio_crowd ENDPOINT``."""

from __future__ import annotations

import asyncio
import sys
import time

from bench.fluvio_sides import Measured, serve
from qd_fluvio import Consumer, Fluvio, Producer, connect
from qd_schemas.specs import ClientKind, FluvioSettings

RECORD_BYTES = 28
GROUP_RECORDS = 1_000


class Crowd:
    """One connection of the native client, with a producer or a consumer for each topic."""

    def __init__(self, fluvio: Fluvio) -> None:
        self._fluvio = fluvio
        self._producers: list[Producer] = []
        self._counting: list[asyncio.Task[None]] = []
        self._read = 0
        self._progress = asyncio.Event()

    async def make_producers(self, topics: list[str]) -> None:
        """Open a producer for each topic."""
        self._producers = [await self._fluvio.producer(topic) for topic in topics]

    async def write(self, each: int) -> Measured:
        """Send so many records to each topic, all topics at once."""
        started = time.perf_counter()
        await asyncio.gather(*(self._write(producer, each) for producer in self._producers))
        return Measured(each * len(self._producers), time.perf_counter() - started)

    async def _write(self, producer: Producer, count: int) -> None:
        group = [bytes(RECORD_BYTES)] * GROUP_RECORDS
        for first in range(0, count, GROUP_RECORDS):
            await producer.send_many(group[: count - first])
        await producer.flush()

    async def make_consumers(self, topics: list[str]) -> None:
        """Open a consumer for each topic and have all read."""
        consumers = [await self._fluvio.consumer(topic) for topic in topics]
        self._counting = [asyncio.create_task(self._count(consumer)) for consumer in consumers]

    async def _count(self, consumer: Consumer) -> None:
        async for batch in consumer.batches():
            self._read += len(batch)
            self._progress.set()

    async def read(self, until: int) -> Measured:
        """Return once that many records were read in all."""
        started, before = time.perf_counter(), self._read
        while self._read < until:
            self._progress.clear()
            await self._progress.wait()
        return Measured(self._read - before, time.perf_counter() - started)


async def main(endpoint: str) -> None:
    async with connect(FluvioSettings(endpoint, ClientKind.NATIVE)) as fluvio:
        await serve(Crowd(fluvio))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
