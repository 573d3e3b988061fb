"""The unmodified official client as a side: ``python -m bench.fluvio_raw ENDPOINT``.

With the settings that gave it its best rates: records in groups, batches of 256 kB, fetches of
16 MB. It proves nothing: records lost in batches that the cluster cut are not in its count.
Its calls block, which disturbs nobody here.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator

os.environ["ASYNC_STD_THREAD_COUNT"] = "32"  # fewer can deadlock; read when the library starts

import fluvio

from bench.fluvio_sides import Measured, age_seconds, group_records, serve, stamp

BATCH_BYTES = 256 * 1024
FETCH_BYTES = 16 * 1024 * 1024


class Raw:
    """One connection of the official client; see `bench.fluvio_sides.Client`."""

    def __init__(self, endpoint: str) -> None:
        config = fluvio.FluvioConfig.new(endpoint)
        config.disable_tls()
        self._client = fluvio.Fluvio.connect_with_config(config)
        self._senders: dict[str, fluvio.TopicProducer] = {}

    async def produce(self, topic: str, size: int, count: int) -> Measured:
        """Send records of one size until all are acknowledged."""
        producer, group = self._producer(topic), [(b"", os.urandom(size))] * group_records(size)
        started = time.perf_counter()
        for first in range(0, count, len(group)):
            producer.send_all(group[: count - first])
        producer.flush()
        return Measured(count, time.perf_counter() - started)

    async def consume(self, topic: str, count: int) -> Measured:
        """Read up to the topic's end: waiting for records that were lost would never end."""
        settings = fluvio.ConsumerConfig()
        settings.disable_continuous(True)
        settings._inner.max_bytes(FETCH_BYTES)
        started, read = time.perf_counter(), 0
        stream = self._stream(topic, settings)
        while (record := stream.next()) is not None:
            record.offset()
            record.value()
            read += 1
        assert read <= count
        return Measured(read, time.perf_counter() - started)

    async def send_one(self, topic: str) -> None:
        """Send one record that carries the time."""
        if topic not in self._senders:
            self._senders[topic] = self._producer(topic)
        self._senders[topic].send([], stamp())
        self._senders[topic].flush()

    async def listen(self, topic: str, count: int) -> AsyncIterator[float]:
        """Give the age of each record as it comes."""
        stream = self._stream(topic, fluvio.ConsumerConfig())
        for _ in range(count):
            record = stream.next()
            assert record is not None
            yield age_seconds(record.value())

    def _producer(self, topic: str) -> fluvio.TopicProducer:
        builder = fluvio.TopicProducerConfigBuilder().batch_size(BATCH_BYTES).linger(0)
        settings = builder.set_specific_partitioner(0).build()
        return self._client.topic_producer_with_config(topic, settings)

    def _stream(self, topic: str, settings: fluvio.ConsumerConfig) -> fluvio.NativeStream:
        consumer = self._client.partition_consumer(topic, 0)
        return consumer._inner.stream_with_config(fluvio.Offset.beginning(), settings._inner)


if __name__ == "__main__":
    asyncio.run(serve(Raw(sys.argv[1])))
