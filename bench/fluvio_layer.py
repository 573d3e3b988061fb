"""The project's layer as a side: ``python -m bench.fluvio_layer ENDPOINT official|native``."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator

from bench.fluvio_sides import Measured, age_seconds, group_records, serve, stamp
from qd_fluvio import Fluvio, Producer, connect
from qd_schemas.specs import ClientKind, FluvioSettings


class Layer:
    """One connection of the layer; see `bench.fluvio_sides.Client`."""

    def __init__(self, fluvio: Fluvio) -> None:
        self._fluvio = fluvio
        self._senders: dict[str, Producer] = {}

    async def produce(self, topic: str, size: int, count: int) -> Measured:
        """Send records of one size until all are acknowledged."""
        producer = await self._fluvio.producer(topic)
        group = [os.urandom(size)] * group_records(size)
        started = time.perf_counter()
        for first in range(0, count, len(group)):
            await producer.send_many(group[: count - first])
        await producer.flush()
        seconds = time.perf_counter() - started
        await producer.aclose()
        return Measured(count, seconds)

    async def consume(self, topic: str, count: int) -> Measured:
        """Read that many records, which are all; the layer proves that none is missing."""
        started, read = time.perf_counter(), 0
        consumer = await self._fluvio.consumer(topic)
        async for batch in consumer.batches():
            read += len(batch)
            if read >= count:
                break
        seconds = time.perf_counter() - started
        await consumer.aclose()
        return Measured(read, seconds)

    async def send_one(self, topic: str) -> None:
        """Send one record that carries the time."""
        if topic not in self._senders:
            self._senders[topic] = await self._fluvio.producer(topic)
        await self._senders[topic].send(stamp())
        await self._senders[topic].flush()

    async def listen(self, topic: str, count: int) -> AsyncIterator[float]:
        """Give the age of each record as it comes."""
        consumer = await self._fluvio.consumer(topic)
        for _ in range(count):
            yield age_seconds((await anext(consumer)).value)
        await consumer.aclose()


async def main(endpoint: str, kind: str) -> None:
    async with connect(FluvioSettings(endpoint, ClientKind(kind))) as fluvio:
        await serve(Layer(fluvio))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
