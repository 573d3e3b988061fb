"""Both clients: records, all of them, once, in order, of any size, within bounds."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict

import psutil
import pytest

from qd_fluvio import (
    RECORD_BYTES_MAX,
    Compression,
    Fluvio,
    Limits,
    Offset,
    OffsetOutOfRange,
    RecordTooLarge,
    TopicSettings,
    connect,
)
from qd_schemas.errors import SettingError
from qd_schemas.specs import FluvioSettings
from support.layer import BOTH_CLIENTS, read, values_of, write

pytestmark = pytest.mark.parametrize("client_kind", BOTH_CLIENTS, ids=lambda kind: kind.value)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([0, 1, 2], id="hardly anything"),
        pytest.param([28] * 20_000, id="tiny"),
        pytest.param([64_000] * 100, id="frames"),
        pytest.param([RECORD_BYTES_MAX] * 3, id="the largest"),
        pytest.param([900_000, 300_000, 20, 700_000] * 12, id="large beside large"),
        pytest.param([random.Random(n).randrange(40_000) for n in range(500)], id="mixed"),
    ],
)
async def test_round_trip(fluvio: Fluvio, topic: str, sizes: list[int]) -> None:
    source = random.Random(1)
    values = [source.randbytes(size) for size in sizes]
    await write(fluvio, topic, values)
    assert await fluvio.end_offset(topic) == len(values)
    assert await read(await fluvio.consumer(topic), len(values)) == values


@pytest.mark.parametrize(
    "compression", [kind for kind in Compression if kind is not Compression.ANY]
)
async def test_compressed_batches(fluvio: Fluvio, topic: str, compression: Compression) -> None:
    values = [b"%d " % n * 300 for n in range(3000)]
    await write(fluvio, topic, values, compression=compression)
    consumer = await fluvio.consumer(topic, offset=Offset.absolute(1234))
    assert await read(consumer, len(values) - 1234) == values[1234:]


async def test_a_topic_that_demands_a_compression(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic, TopicSettings(compression=Compression.GZIP))
    for compression in (Compression.NONE, Compression.ANY, Compression.GZIP):
        await write(fluvio, topic, [b"x"] * 10, compression=compression)
    with pytest.raises(SettingError, match="allows gzip only"):
        await fluvio.producer(topic, compression=Compression.ZSTD)
    assert await read(await fluvio.consumer(topic), 30) == [b"x"] * 30


KEYS = [None, b"a", b"key", b"\x00\xff" * 100, b"No keys"]


async def test_keys_come_back(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    producer = await fluvio.producer(topic)
    await producer.send(b"one", b"alone")
    await producer.send_many([b"%d" % n for n in range(len(KEYS))], KEYS)
    await producer.send(b"none")
    await producer.send(b"empty", b"")
    await producer.flush()
    consumer = await fluvio.consumer(topic)
    found = [record.key async for record in consumer.read_until(len(KEYS) + 3)]
    assert found == [b"alone", *KEYS, None, None]
    with pytest.raises(SettingError, match="1 keys for 2 records"):
        await producer.send_many([b"a", b"b"], [b"k"])


async def test_records_are_spread_over_partitions(fluvio: Fluvio, topic: str) -> None:
    """Those with a key by Fluvio's hash, the others in turn; each partition keeps the order."""
    await fluvio.create_topic(topic, TopicSettings(partitions=3))
    producer = await fluvio.producer(topic, partition=None)
    keys = [None, b"aapl", None, b"msft", None, b"aapl", b"ibm", b"msft"] * 200
    values = [b"%d" % n for n in range(len(keys))]
    await producer.send_many(values[:700], keys[:700])
    for value, key in zip(values[700:], keys[700:], strict=True):
        await producer.send(value, key)
    await producer.flush()
    assert (producer.sent, producer.acknowledged) == (len(values), len(values))
    found: dict[bytes | None, set[int]] = defaultdict(set)
    everything: list[int] = []
    for partition in range(3):
        end = await fluvio.end_offset(topic, partition)
        consumer = await fluvio.consumer(topic, partition=partition)
        records = [record async for record in consumer.read_until(end)]
        numbers = [int(record.value) for record in records]
        assert numbers == sorted(numbers)
        everything += numbers
        for record in records:
            found[record.key].add(partition)
    assert sorted(everything) == list(range(len(values)))
    # The hash is Fluvio's own: these partitions were given by its Rust client.
    assert found == {None: {0, 1, 2}, b"aapl": {0}, b"msft": {2}, b"ibm": {1}}


async def test_sends_of_many_tasks_keep_each_task_s_order(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    producer = await fluvio.producer(topic)

    async def sender(name: int) -> None:
        for number in range(300):
            await producer.send(b"%d %d" % (name, number))

    await asyncio.gather(*(sender(name) for name in range(4)))
    await producer.flush()
    assert (producer.sent, producer.acknowledged) == (1200, 1200)
    found = await read(await fluvio.consumer(topic), 1200)
    for name in range(4):
        mine = [int(value.split()[1]) for value in found if value.startswith(b"%d " % name)]
        assert mine == list(range(300))


async def test_flushing_means_that_all_is_written(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    producer = await fluvio.producer(topic)
    await producer.flush()
    for count in (1, 10, 1000, 3):
        before = await fluvio.end_offset(topic)
        await producer.send_many([b"x"] * count)
        await producer.flush()
        assert producer.acknowledged == producer.sent
        assert await fluvio.end_offset(topic) == before + count


async def test_a_live_consumer_gets_what_is_sent_later(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    consumer = await fluvio.consumer(topic, offset=Offset.end())
    producer = await fluvio.producer(topic)
    for number in range(20):
        await producer.send(b"%d" % number)
        await producer.flush()
        record = await anext(consumer)
        assert (record.offset, record.value, record.key) == (number, b"%d" % number, None)
        assert record.timestamp_ms > 1_600_000_000_000


@pytest.mark.parametrize(
    ("offset", "first"),
    [
        (None, 0),
        (Offset.beginning(), 0),
        (Offset.absolute(0), 0),
        (Offset.absolute(7), 7),
        (Offset.absolute(10), 10),
        (Offset.end(), 10),
    ],
    ids=str,
)
async def test_where_a_consumer_starts(
    fluvio: Fluvio, topic: str, offset: Offset | None, first: int
) -> None:
    await write(fluvio, topic, [b"%d" % n for n in range(10)])
    consumer = await fluvio.consumer(topic, offset=offset)
    assert consumer.next_offset == first
    await write(fluvio, topic, [b"10"])
    assert await read(consumer, 11 - first) == [b"%d" % n for n in range(first, 11)]


async def test_an_offset_after_the_end(fluvio: Fluvio, topic: str) -> None:
    await write(fluvio, topic, [b"0"])
    with pytest.raises(OffsetOutOfRange, match="0 to 1"):
        await fluvio.consumer(topic, offset=Offset.absolute(2))


async def test_ways_of_reading_can_be_mixed(fluvio: Fluvio, topic: str) -> None:
    values = [b"%d" % n for n in range(1000)]
    await write(fluvio, topic, values)
    consumer = await fluvio.consumer(topic)
    found = [await anext(consumer)]
    found += [record async for record in consumer.read_until(10)]
    assert consumer.next_offset == 10
    assert [record async for record in consumer.read_until(10)] == []
    async for batch in consumer.batches():
        assert batch
        found += batch
        if len(found) == len(values):
            break
    assert [record.value for record in found] == values
    assert [record.offset for record in found] == list(range(1000))


async def test_a_record_over_the_limit_is_refused_before_it_is_sent(
    fluvio: Fluvio, topic: str
) -> None:
    await fluvio.create_topic(topic)
    producer = await fluvio.producer(topic)
    with pytest.raises(RecordTooLarge, match=str(RECORD_BYTES_MAX)):
        await producer.send(bytes(RECORD_BYTES_MAX + 1))
    with pytest.raises(RecordTooLarge):
        await producer.send_many([b"fine", bytes(RECORD_BYTES_MAX + 1)])
    with pytest.raises(RecordTooLarge, match=str(RECORD_BYTES_MAX + 3)):
        await producer.send(bytes(RECORD_BYTES_MAX), b"key")
    await producer.send(b"good")
    await producer.flush()
    assert await fluvio.end_offset(topic) == 1


async def test_other_tasks_run_while_a_consumer_waits_and_reads(fluvio: Fluvio, topic: str) -> None:
    """The official client holds the interpreter's lock while it waits; nobody may notice."""
    await fluvio.create_topic(topic)
    consumer = await fluvio.consumer(topic)
    producer = await fluvio.producer(topic)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    heart = asyncio.ensure_future(beat())
    waiting = asyncio.ensure_future(anext(consumer))
    await fluvio.end_offset(topic)
    assert not waiting.done()
    assert beats > 1
    await producer.send_many([bytes(28)] * 50_000)
    await producer.flush()
    await waiting
    before = beats
    async for _ in consumer.read_until(50_000):
        pass
    assert beats > before
    heart.cancel()


async def test_a_slow_reader_keeps_memory_bounded(cluster: FluvioSettings, topic: str) -> None:
    """64 MB wait in the cluster while a consumer that may hold 1 MB reads nothing."""
    limits = Limits(queue_bytes_max=1_000_000)
    values = [bytes([n % 256]) * 64_000 for n in range(1000)]
    async with connect(cluster, limits=limits) as fluvio:
        await fluvio.create_topic(topic)
        consumer = await fluvio.consumer(topic)
        await write(fluvio, topic, [b"first"])
        await anext(consumer)
        before = psutil.Process().memory_info().rss
        await write(fluvio, topic, values)
        assert psutil.Process().memory_info().rss - before < 32_000_000
        assert await read(consumer, len(values)) == values


async def test_a_sender_waits_while_too_much_is_unacknowledged(
    cluster: FluvioSettings, topic: str
) -> None:
    limits = Limits(in_flight_bytes_max=100_000)
    async with connect(cluster, limits=limits) as fluvio:
        await fluvio.create_topic(topic)
        producer = await fluvio.producer(topic)
        for number in range(100):
            await producer.send(b"%d" % number * 5000)
            assert producer.sent - producer.acknowledged <= 20
        await producer.flush()
        assert await fluvio.end_offset(topic) == 100


async def test_leaving_sends_what_was_not_flushed(cluster: FluvioSettings, topic: str) -> None:
    async with connect(cluster) as fluvio:
        await fluvio.create_topic(topic)
        await (await fluvio.producer(topic)).send(b"x")
    async with connect(cluster) as fluvio:
        assert await fluvio.end_offset(topic) == 1


@pytest.mark.parametrize("fetch_bytes_max", [1_000_000, Limits().fetch_bytes_max])
@pytest.mark.parametrize(("count", "size"), [(20_000, 1000), (400, 64_000)])
async def test_many_records_as_the_cluster_gives_them(
    cluster: FluvioSettings, topic: str, count: int, size: int, fetch_bytes_max: int
) -> None:
    """Where a real cluster cuts batches, the official client alone loses hundreds of these."""
    values = [n.to_bytes(4) * (size // 4) for n in range(count)]
    async with connect(cluster, limits=Limits(fetch_bytes_max=fetch_bytes_max)) as fluvio:
        await write(fluvio, topic, values)
        consumer = await fluvio.consumer(topic)
        assert await values_of(consumer.read_until(count)) == values
        assert consumer.next_offset == count
