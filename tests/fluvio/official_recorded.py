"""The 44 recorded scenes, played again by the official client library, as a script: ENDPOINT WASM.

They were once played against a real cluster while a proxy wrote down every byte and what
the library answered. Here each scene's name has the player of the same calls. What the
library answers now goes to standard output as JSON, in the words of the recording.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

# The project's own types for the library cover what the project uses; scenes use more.
library: Any = importlib.import_module("fluvio")
SHOWN_BYTES = 20  # of a record's value


class Scenes:
    """One client's life: later scenes go on with what earlier ones made."""

    def __init__(self, endpoint: str, wasm: str) -> None:
        self._wasm = wasm
        self._config = library.FluvioConfig.new(endpoint)
        self._config.disable_tls()

    def connect_admin(self) -> Iterator[object]:
        self.admin = library.FluvioAdmin.connect_with_config(self._config)
        yield from ()

    def connect_client(self) -> Iterator[object]:
        self.client = library.Fluvio.connect_with_config(self._config)
        yield from ()

    def create(self, name: str) -> Iterator[object]:
        yield self.admin.create_topic(name)

    def create_with_settings(self) -> Iterator[object]:
        spec = library.TopicSpec.create().with_partitions(2).with_retention_time(3_600)
        yield self.admin.create_topic("beta", spec.with_segment_size(16_000_000).build())

    def listed(self, call: str, *arguments: object) -> Iterator[object]:
        yield getattr(self.admin, call)(*arguments)

    def open_producer(self) -> Iterator[object]:
        self.producer = self.client.topic_producer("alpha")
        yield from ()

    def produce(self, key: bytes, value: bytes) -> Iterator[object]:
        yield self.producer.send(key, value)
        self.producer.flush()

    def produce_and_wait(self) -> Iterator[object]:
        output = self.producer.send_string("waited")
        self.producer.flush()
        metadata = output.wait()
        yield (metadata.offset(), metadata.partition_id())

    def produce_batch(self) -> Iterator[object]:
        yield self.producer.send_all([(b"", b"b%d" % number) for number in range(5)])
        self.producer.flush()

    def produce_with(self, value: bytes, **settings: object) -> Iterator[object]:
        builder = library.TopicProducerConfigBuilder()
        for name, setting in settings.items():
            builder = getattr(builder, name)(setting)
        producer = self.client.topic_producer_with_config("alpha", builder.build())
        yield producer
        yield producer.send(b"", value)
        producer.flush()

    def producer_on(self, topic: str) -> Iterator[object]:
        yield self.client.topic_producer(topic)

    def consume(self, offset: Any, max_bytes: int = 0) -> Iterator[object]:
        builder = library.ConsumerConfigExtBuilder("alpha")
        builder.offset_start(offset)
        builder.disable_continuous()
        if max_bytes:
            builder.max_bytes(max_bytes)
        stream = self.client.consumer_with_config(builder.build())
        yield [(item.offset(), bytes(item.value())[:SHOWN_BYTES]) for item in stream]

    def consume_from(self, topic: str) -> Iterator[object]:
        builder = library.ConsumerConfigExtBuilder(topic)
        builder.disable_continuous()
        builder.offset_start(library.Offset.beginning())
        yield list(self.client.consumer_with_config(builder.build()))

    def produce_to_both(self) -> Iterator[object]:
        producer = self.client.topic_producer("beta")
        for number in range(6):
            producer.send(b"key%d" % number, b"p%d" % number)
        yield producer.flush()

    def consume_both(self) -> Iterator[object]:
        consumer = self.client.multi_topic_partition_consumer([("beta", 0), ("beta", 1)])
        stream = consumer.stream(library.Offset.beginning())
        yield sorted(bytes(item.value()) for item in itertools.islice(stream, 6))

    def _named_reader(self, strategy: Any) -> Any:
        builder = library.ConsumerConfigExtBuilder("alpha")
        builder.offset_start(library.Offset.beginning())
        builder.offset_consumer("c1")
        builder.offset_strategy(strategy)
        builder.disable_continuous()
        return self.client.consumer_with_config(builder.build())

    def commit(self) -> Iterator[object]:
        reader = self._named_reader(library.OffsetManagementStrategy.MANUAL)
        for _ in range(4):
            next(reader)
        reader.offset_commit()
        reader.offset_flush()
        yield "committed"

    def committed(self) -> Iterator[object]:
        yield [(item.consumer_id, item.offset) for item in self.client.consumer_offsets()]

    def resume(self) -> Iterator[object]:
        reader = self._named_reader(library.OffsetManagementStrategy.AUTO)
        yield [next(reader).offset() for _ in range(3)]

    def delete_offset(self) -> Iterator[object]:
        yield self.client.delete_consumer_offset("c1", "alpha", 0)

    def read_live(self) -> Iterator[object]:
        async def play() -> list[int]:
            consumer = self.client.partition_consumer("alpha", 0)
            stream = await consumer.async_stream(library.Offset.absolute(11))
            offsets = [(await anext(stream)).offset() for _ in range(3)]
            await self.producer.async_send_string("live")
            await self.producer.async_flush()
            return [*offsets, (await anext(stream)).offset()]

        yield asyncio.run(play())

    def create_module(self) -> Iterator[object]:
        yield self.admin.create_smartmodule("sm-map", self._wasm, False)

    def delete_module(self) -> Iterator[object]:
        yield self.admin.delete_smartmodule("sm-map")

    def watch(self) -> Iterator[object]:
        updates = self.admin.watch_topic()
        first = next(updates)
        self.admin.create_topic("gamma")
        yield [first, next(updates)]

    def delete(self, name: str) -> Iterator[object]:
        yield self.admin.delete_topic(name)


def players(scenes: Scenes) -> dict[str, Callable[[], Iterator[object]]]:
    """Each recorded scene's name, and its player."""
    offset = library.Offset
    long = b"z" * 200
    kinds = library.Compression
    return {
        "admin connect": scenes.connect_admin,
        "create topic alpha, defaults": lambda: scenes.create("alpha"),
        "create topic that exists": lambda: scenes.create("alpha"),
        "create topic with a bad name": lambda: scenes.create("Bad_Name!"),
        "create topic beta: 2 partitions, retention 1h, segment size": scenes.create_with_settings,
        "list topics": lambda: scenes.listed("list_topics", []),
        "all topics": lambda: scenes.listed("all_topics"),
        "list partitions": lambda: scenes.listed("list_partitions", []),
        "client connect": scenes.connect_client,
        "producer on alpha": scenes.open_producer,
        "produce one record without key": lambda: scenes.produce(b"", b"hello"),
        "produce with key": lambda: scenes.produce(b"k1", b"value-1"),
        "produce, wait for its offset": scenes.produce_and_wait,
        "produce a batch of 5": scenes.produce_batch,
        "produce with Gzip": lambda: scenes.produce_with(long, compression=kinds.Gzip),
        "produce with Snappy": lambda: scenes.produce_with(long, compression=kinds.Snappy),
        "produce with Lz4": lambda: scenes.produce_with(long, compression=kinds.Lz4),
        "produce with Zstd": lambda: scenes.produce_with(long, compression=kinds.Zstd),
        "produce at most once": lambda: scenes.produce_with(
            b"amo", delivery_semantic=library.DeliverySemantic.AtMostOnce
        ),
        "producer read committed": lambda: scenes.produce_with(
            b"rc", isolation=library.Isolation.ReadCommitted
        ),
        "producer on a topic that is not there": lambda: scenes.producer_on("nope"),
        "consume from the beginning, then stop": lambda: scenes.consume(offset.beginning()),
        "consume from absolute 3, then stop": lambda: scenes.consume(offset.absolute(3)),
        "consume last 2 (from end), then stop": lambda: scenes.consume(offset.from_end(2)),
        "consume from the end, nothing there, then stop": lambda: scenes.consume(offset.end()),
        "consume with max_bytes 100, then stop": lambda: scenes.consume(offset.beginning(), 100),
        "consume out of range 999": lambda: scenes.consume(offset.absolute(999)),
        "consume a topic that is not there": lambda: scenes.consume_from("nope"),
        "produce 6 records with keys to both partitions of beta": scenes.produce_to_both,
        "consume both partitions of beta, then stop": scenes.consume_both,
        "consumer offset: consume 4 with id c1 and commit": scenes.commit,
        "list consumer offsets": scenes.committed,
        "resume with id c1": scenes.resume,
        "delete consumer offset": scenes.delete_offset,
        "async stream: read 3, then produce one and read it": scenes.read_live,
        "create smartmodule": scenes.create_module,
        "list smartmodules": lambda: scenes.listed("list_smartmodules", []),
        "delete smartmodule": scenes.delete_module,
        "watch topics: create gamma, see it": scenes.watch,
        "delete topic gamma": lambda: scenes.delete("gamma"),
        "delete topic alpha": lambda: scenes.delete("alpha"),
        "delete topic that is not there": lambda: scenes.delete("nope"),
        "delete topic beta": lambda: scenes.delete("beta"),
        "end": lambda: iter(()),
    }


def shown(value: object) -> str:
    """A value as the recording shows it: plain values whole, objects by their kind."""
    if isinstance(value, list):
        return f"list {[item if is_plain(item) else 'object' for item in value]}"
    return f"{type(value).__name__} {value if is_plain(value) else 'object'}"


def is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | bytes | tuple)


def outcomes(play: Callable[[], Iterator[object]]) -> list[str]:
    """What one scene ended with."""
    found = []
    try:
        found += [f"ok {shown(value)}" for value in play()]
    except Exception as error:  # the library has one class for all
        found.append(f"err {type(error).__name__} {error}")
    return found


if __name__ == "__main__":
    table = players(Scenes(*sys.argv[1:]))
    print(json.dumps({name: outcomes(play) for name, play in table.items()}), flush=True)
    os._exit(0)  # the library's threads sometimes crash an interpreter that ends in order
