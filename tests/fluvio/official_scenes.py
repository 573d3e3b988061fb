"""Scenes played by the official client library, as a script: SCENE ENDPOINT [ARGUMENT ...].

The library holds Python's lock while it waits and may wait for ever, so tests run it in
processes of their own. The scene's result goes to standard output as JSON.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import itertools
import json
import os
import sys
from collections.abc import Callable
from typing import Any

# The project's own types for the library cover what the project uses; scenes use more.
library: Any = importlib.import_module("fluvio")


def configuration(endpoint: str) -> Any:
    config = library.FluvioConfig.new(endpoint)
    config.disable_tls()
    return config


def admin_of(endpoint: str) -> Any:
    return library.FluvioAdmin.connect_with_config(configuration(endpoint))


def client_of(endpoint: str) -> Any:
    return library.Fluvio.connect_with_config(configuration(endpoint))


def rows(records: Any) -> list[tuple[int, str, str]]:
    return [(item.offset(), bytes(item.key()).decode(), value_of(item)) for item in records]


def value_of(record: Any) -> str:
    return bytes(record.value()).decode()


def stopping() -> Any:
    """Read up to what is there when the stream is opened."""
    config = library.ConsumerConfig()
    config.disable_continuous(True)
    return config


def read_all(
    client: Any, topic: str, offset: Any, *, partition: int = 0, max_bytes: int = 0
) -> list[Any]:
    builder = library.ConsumerConfigExtBuilder(topic)
    builder.offset_start(offset)
    builder.partition(partition)
    builder.disable_continuous()
    if max_bytes:
        builder.max_bytes(max_bytes)
    return list(client.consumer_with_config(builder.build()))


def error_of(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:  # the library has one class for all
        return str(error)
    return "no error"


def round_trip(endpoint: str) -> object:
    """Create, produce in all ways, and read: usable the moment create returns."""
    admin, client = admin_of(endpoint), client_of(endpoint)
    admin.create_topic("round-trip")
    producer = client.topic_producer("round-trip")
    first = producer.send(b"k0", b"v0")
    producer.send_string("v1")
    producer.send_all([(b"k2", b"v2"), (b"k3", b"v3")])
    producer.flush()

    async def asynchronously() -> int:
        output = await producer.async_send(b"k4", b"v4")
        await producer.async_flush()
        metadata = await output.async_wait()
        return int(metadata.offset())

    return {
        "first": first.wait().offset(),
        "async": asyncio.run(asynchronously()),
        "rows": rows(read_all(client, "round-trip", library.Offset.beginning())),
    }


def offsets(endpoint: str) -> object:
    admin, client = admin_of(endpoint), client_of(endpoint)
    admin.create_topic("offsets")
    producer = client.topic_producer("offsets")
    for number in range(10):
        producer.send_string(str(number))
        producer.flush()
    wanted = {
        "beginning": library.Offset.beginning(),
        "from_beginning(3)": library.Offset.from_beginning(3),
        "absolute(7)": library.Offset.absolute(7),
        "from_end(2)": library.Offset.from_end(2),
        "max_bytes": library.Offset.beginning(),
    }
    consumer = client.partition_consumer("offsets", 0)
    return {
        name: [
            [item.offset() for item in consumer.stream_with_config(offset, stopping())],
            [
                item.offset()
                for item in read_all(
                    client, "offsets", offset, max_bytes=100 if name == "max_bytes" else 0
                )
            ],
        ]
        for name, offset in wanted.items()
    }


def at_the_end(endpoint: str) -> object:
    """A stream from the end sees only what comes after it was opened."""
    admin, client = admin_of(endpoint), client_of(endpoint)
    admin.create_topic("at-the-end")
    producer = client.topic_producer("at-the-end")
    producer.send_string("before")
    producer.flush()
    consumer = client.partition_consumer("at-the-end", 0)

    async def play() -> list[str]:
        stream = await consumer.async_stream(library.Offset.end())
        seen = []
        for number in range(3):
            await producer.async_send_string(f"after {number}")
            await producer.async_flush()
            seen.append(value_of(await anext(stream)))
        return seen

    return asyncio.run(play())


def small_records(endpoint: str) -> object:
    admin, client = admin_of(endpoint), client_of(endpoint)
    admin.create_topic("small")
    producer = client.topic_producer("small")
    for number in range(10_000):
        producer.send(b"", b"%028d" % number)
    producer.flush()
    found = read_all(client, "small", library.Offset.beginning())
    return [
        [item.offset() for item in found] == list(range(10_000)),
        [int(bytes(item.value())) for item in found] == list(range(10_000)),
    ]


def large_records(endpoint: str) -> object:
    """500 of 64,000 bytes, read as the library reads by default: nothing is missing."""
    admin, client = admin_of(endpoint), client_of(endpoint)
    admin.create_topic("large")
    producer = client.topic_producer("large")
    sent = hashlib.sha256()
    for number in range(500):
        value = hashlib.shake_128(b"%d" % number).digest(64_000)
        sent.update(value)
        producer.send(b"", value)
    producer.flush()
    found = hashlib.sha256()
    offsets = []
    for item in client.partition_consumer("large", 0).stream_with_config(
        library.Offset.beginning(), stopping()
    ):
        offsets.append(item.offset())
        found.update(bytes(item.value()))
    return [offsets == list(range(500)), found.hexdigest() == sent.hexdigest()]


def partitions(endpoint: str) -> object:
    admin, client = admin_of(endpoint), client_of(endpoint)
    spec = library.TopicSpec.create().with_partitions(3).with_retention_time(3_600).build()
    admin.create_topic("spread", spec)
    producer = client.topic_producer("spread")
    for number in range(30):
        producer.send(b"key-%d" % (number % 5), b"%d" % number)
    producer.flush()
    start = library.Offset.beginning()
    parts = [rows(read_all(client, "spread", start, partition=i)) for i in range(3)]
    together = client.multi_topic_partition_consumer([("spread", 0), ("spread", 1), ("spread", 2)])
    everything = itertools.islice(together.stream(start), 30)
    return {
        "parts": parts,
        "together": sorted(int(value_of(item)) for item in everything),
        "listed": len(admin.list_partitions(["spread"])),
    }


def topics(endpoint: str) -> object:
    admin, client = admin_of(endpoint), client_of(endpoint)
    admin.create_topic("listed-a")
    admin.create_topic("listed-b")
    found: dict[str, object] = {
        "listed": len(admin.list_topics(["listed-"])),
        "exists": error_of(lambda: admin.create_topic("listed-a")),
        "bad name": error_of(lambda: admin.create_topic("Bad_Name!")),
        "producer on nothing": error_of(lambda: client.topic_producer("nope")),
    }
    admin.delete_topic("listed-a")
    found["left"] = len(admin.list_topics(["listed-"]))
    found["delete nothing"] = error_of(lambda: admin.delete_topic("listed-a"))
    found["producer on deleted"] = error_of(lambda: client.topic_producer("listed-a"))
    admin.create_topic("listed-a")
    producer = client.topic_producer("listed-a")
    producer.send_string("new life")
    producer.flush()
    found["new life"] = rows(read_all(client, "listed-a", library.Offset.beginning()))
    return found


def consumer_offsets(endpoint: str) -> object:
    admin, client = admin_of(endpoint), client_of(endpoint)
    admin.create_topic("committed")
    producer = client.topic_producer("committed")
    producer.send_all([(b"", b"%d" % number) for number in range(7)])
    producer.flush()

    def reader() -> Any:
        builder = library.ConsumerConfigExtBuilder("committed")
        builder.disable_continuous()
        builder.offset_start(library.Offset.beginning())
        builder.offset_consumer("c1")
        builder.offset_strategy(library.OffsetManagementStrategy.MANUAL)
        return client.consumer_with_config(builder.build())

    first = reader()
    seen = [value_of(next(first)) for _ in range(4)]
    first.offset_commit()
    first.offset_flush()
    kept = [(item.consumer_id, item.offset) for item in client.consumer_offsets()]
    rest = [value_of(item) for item in reader()]
    client.delete_consumer_offset("c1", "committed", 0)
    return {"seen": seen, "kept": kept, "rest": rest, "left": len(client.consumer_offsets())}


def late(endpoint: str) -> object:
    """A topic that is there, but that this client is told of later."""
    admin, client = admin_of(endpoint), client_of(endpoint)
    admin.create_topic("late")
    first = error_of(lambda: client.topic_producer("late"))
    while (error := error_of(lambda: client.topic_producer("late"))) != "no error":
        assert error == first
    producer = client.topic_producer("late")
    output = producer.send_string("now")
    producer.flush()
    return {"at once": first, "later": output.wait().offset()}


def write(endpoint: str, topic: str, count: str) -> object:
    """Write numbers on from the topic's end; say each once it is acknowledged."""
    admin, client = admin_of(endpoint), client_of(endpoint)
    if not admin.list_topics([topic]):
        admin.create_topic(topic)
    producer = client.topic_producer(topic)
    for number in range(int(count)):
        outputs = producer.send_all([(b"", b"%d" % number), (b"", b"." * 2_000)])
        producer.flush()
        print(outputs[0].wait().offset(), flush=True)
    return "done"


def read(endpoint: str, topic: str) -> object:
    return rows(read_all(client_of(endpoint), topic, library.Offset.beginning()))


def missing(endpoint: str, topic: str) -> object:
    """Offsets that the library never hands out."""
    found = [
        item.offset() for item in read_all(client_of(endpoint), topic, library.Offset.beginning())
    ]
    return sorted(set(range(found[-1] + 1)) - set(found))


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])), flush=True)
    os._exit(0)  # the library's threads sometimes crash an interpreter that ends in order
