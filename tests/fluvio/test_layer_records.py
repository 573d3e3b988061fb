"""Records through the layer: all of them, once, in order, of any size, within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import random

import psutil
import pytest

from qd_fluvio import (
    RECORD_BYTES_MAX,
    Consumer,
    Fluvio,
    FluvioError,
    Limits,
    Offset,
    OffsetOutOfRange,
    RecordsMissing,
    RecordTooLarge,
    connect,
)
from qd_schemas.errors import SettingError
from support.layer import Broker


async def write(fluvio: Fluvio, topic: str, values: list[bytes]) -> None:
    await fluvio.create_topic(topic, exist_ok=True)
    producer = await fluvio.producer(topic)
    await producer.send_many(values)
    await producer.aclose()


async def read(consumer: Consumer, count: int) -> list[bytes]:
    end = consumer.next_offset + count
    return [record.value async for record in consumer.read_until(end)]


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([0, 1, 2], id="hardly anything"),
        pytest.param([28] * 20_000, id="tiny"),
        pytest.param([64_000] * 100, id="frames"),
        pytest.param([RECORD_BYTES_MAX] * 3, id="the largest"),
        pytest.param([random.Random(n).randrange(40_000) for n in range(500)], id="mixed"),
    ],
)
async def test_round_trip(fluvio: Fluvio, topic: str, sizes: list[int]) -> None:
    source = random.Random(1)
    values = [source.randbytes(size) for size in sizes]
    await write(fluvio, topic, values)
    assert await fluvio.end_offset(topic) == len(values)
    assert await read(await fluvio.consumer(topic), len(values)) == values


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
    with pytest.raises(SettingError, match="-1"):
        Offset.absolute(-1)


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
    await producer.send(b"good")
    await producer.flush()
    assert await fluvio.end_offset(topic) == 1


async def test_cancelled_reads_lose_nothing(fluvio: Fluvio, topic: str) -> None:
    values = [b"%d" % n for n in range(2000)]
    await fluvio.create_topic(topic)
    consumer = await fluvio.consumer(topic)
    producer = await fluvio.producer(topic)
    found: list[bytes] = []

    async def send() -> None:
        for value in values:
            await producer.send(value)
            await asyncio.sleep(0)
        await producer.flush()

    sending = asyncio.ensure_future(send())
    while len(found) < len(values):
        reading = asyncio.ensure_future(anext(consumer))
        for _ in range(len(found) % 4):
            await asyncio.sleep(0)
        reading.cancel()
        done, _ = await asyncio.wait([reading])
        with contextlib.suppress(asyncio.CancelledError):
            found += [task.result().value for task in done]
        if sending.done() and reading.cancelled():
            found.append((await anext(consumer)).value)
    assert found == values
    await sending


async def test_other_tasks_run_while_a_consumer_waits_and_reads(fluvio: Fluvio, topic: str) -> None:
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


async def test_a_slow_reader_keeps_memory_bounded(fluvio_endpoint: str, topic: str) -> None:
    """64 MB wait in the cluster while a consumer that may hold 1 MB reads nothing."""
    limits = Limits(queue_bytes_max=1_000_000)
    values = [bytes([n % 256]) * 64_000 for n in range(1000)]
    async with connect(fluvio_endpoint, limits=limits) as fluvio:
        await fluvio.create_topic(topic)
        consumer = await fluvio.consumer(topic)
        producer = await fluvio.producer(topic)
        await producer.send(b"first")
        await producer.flush()
        await anext(consumer)
        before = psutil.Process().memory_info().rss
        await producer.send_many(values)
        await producer.flush()
        assert psutil.Process().memory_info().rss - before < 32_000_000
        assert await read(consumer, len(values)) == values


@pytest.mark.parametrize("fetch_bytes_max", [300_000, 700_000])
@pytest.mark.parametrize("size", [28, 1000, 20_000])
async def test_cut_batches_are_refilled(
    cutting_broker: Broker, topic: str, size: int, fetch_bytes_max: int
) -> None:
    values = [n.to_bytes(4) * (size // 4) for n in range(2_000_000 // size)]
    limits = Limits(fetch_bytes_max=fetch_bytes_max)
    async with connect(cutting_broker.endpoint, limits=limits) as fluvio:
        await write(fluvio, topic, values)
        assert await read(await fluvio.consumer(topic), len(values)) == values


async def test_records_that_no_fetch_can_hold_are_named(cutting_broker: Broker, topic: str) -> None:
    """A batch over the fetch size never arrives; the client would go on after it in silence."""
    limits = Limits(fetch_bytes_max=100_000)
    async with connect(cutting_broker.endpoint, limits=limits) as fluvio:
        await write(fluvio, topic, [b"small"])
        await write(fluvio, topic, [bytes(200_000)])
        await write(fluvio, topic, [b"small"])
        consumer = await fluvio.consumer(topic)
        assert (await anext(consumer)).value == b"small"
        with pytest.raises((RecordsMissing, FluvioError), match="offset"):
            await anext(consumer)
