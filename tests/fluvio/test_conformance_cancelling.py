"""Both clients: what is cancelled at any point loses, repeats and leaves nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from qd_fluvio import Fluvio, Limits, Producer, Record, connect
from qd_schemas.specs import FluvioSettings
from support.layer import BOTH_CLIENTS, cancelled_after, read, values_of, write

pytestmark = pytest.mark.parametrize("client_kind", BOTH_CLIENTS, ids=lambda kind: kind.value)
SEEDS = range(4)


async def busy(fluvio: Fluvio, topic: str) -> None:
    """Write and read, then wait for ever."""
    await fluvio.create_topic(topic, exist_ok=True)
    consumer = await fluvio.consumer(topic, consumer_id=topic)
    producer = await fluvio.producer(topic)
    await producer.send(bytes(1000))
    await producer.flush()
    await anext(consumer)
    await consumer.commit()
    async for _ in consumer:
        pass


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 10, 20, 40, 80, 160, 320, 640, 1280])
async def test_a_whole_connection(cluster: FluvioSettings, topic: str, turns: int) -> None:
    """That nothing is left of it is checked after every test here."""

    async def work() -> None:
        async with connect(cluster) as fluvio:
            await busy(fluvio, topic)

    await cancelled_after(turns, work())


async def test_twice(cluster: FluvioSettings, topic: str) -> None:
    started = asyncio.Event()

    async def work() -> None:
        async with connect(cluster) as fluvio:
            await fluvio.create_topic(topic)
            started.set()
            await busy(fluvio, topic)

    task = asyncio.ensure_future(work())
    await started.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("seed", SEEDS)
async def test_reads(cluster: FluvioSettings, topic: str, seed: int) -> None:
    """Every way of reading, cancelled at random, gives each record once and in order."""
    chance = random.Random(seed)
    values = [b"%d" % n for n in range(3000)]
    # Little fits the queue, so that the consumer stops and goes.
    async with connect(cluster, limits=Limits(queue_bytes_max=20_000)) as fluvio:
        await fluvio.create_topic(topic)
        consumer = await fluvio.consumer(topic, consumer_id=topic)
        writing = asyncio.ensure_future(_write_by_and_by(fluvio, topic, values))
        found: list[Record] = []
        while len(found) < len(values):
            way = chance.randrange(4)
            turns = chance.choice((0, 1, 2, 3, 5, 10, 50))
            before = consumer.next_offset
            if way == 0:
                record = await cancelled_after(turns, anext(consumer))
                found += [record] if record else []
            elif way == 1:
                batch = await cancelled_after(turns, anext(consumer.batches()))
                found += batch or []
            elif way == 2:
                until = consumer.read_until(before + 1)
                record = await cancelled_after(turns, anext(until))
                found += [record] if record else []
            else:
                await cancelled_after(turns, consumer.commit())
            if writing.done() and chance.random() < 0.2 and len(found) < len(values):
                found.append(await anext(consumer))
            assert consumer.next_offset == len(found)
        await writing
        assert [record.value for record in found] == values
        assert [record.offset for record in found] == list(range(len(values)))
        await consumer.commit()
        assert [o.offset for o in await fluvio.committed_offsets(topic=topic)] == [2999]


async def _write_by_and_by(fluvio: Fluvio, topic: str, values: list[bytes]) -> None:
    producer = await fluvio.producer(topic)
    for value in values:
        await producer.send(value)
        await asyncio.sleep(0)
    await producer.flush()


@pytest.mark.parametrize("seed", SEEDS)
async def test_sends(cluster: FluvioSettings, topic: str, seed: int) -> None:
    """A cancelled send has taken its records or not: `sent` says how many, and they are written."""
    chance = random.Random(seed)
    async with connect(cluster, limits=Limits(in_flight_bytes_max=30_000)) as fluvio:
        await fluvio.create_topic(topic)
        producer = await fluvio.producer(topic)
        taken: list[bytes] = []
        for number in range(400):
            values = [b"%d.%d" % (number, n) * 100 for n in range(chance.choice((1, 1, 2, 30)))]
            before = producer.sent
            turns = chance.choice((0, 1, 2, 3, 10, 100))
            await cancelled_after(turns, _send(producer, values, chance))
            taken += values[: producer.sent - before]
        await producer.flush()
        assert producer.acknowledged == producer.sent == len(taken)
        assert await fluvio.end_offset(topic) == len(taken)
        assert await read(await fluvio.consumer(topic), len(taken)) == taken


async def _send(producer: Producer, values: list[bytes], chance: random.Random) -> None:
    if len(values) == 1:
        await producer.send(values[0])
    else:
        await producer.send_many(values)
    if chance.random() < 0.2:
        await producer.flush()


@pytest.mark.parametrize("seed", SEEDS)
async def test_calls(cluster: FluvioSettings, topic: str, seed: int) -> None:
    """Cancelled calls, openings among them, leave a connection that works."""
    chance = random.Random(seed)
    async with connect(cluster) as fluvio:
        await write(fluvio, topic, [b"x"] * 100)
        for _ in range(30):
            calls: list[Callable[[], Awaitable[object]]] = [
                lambda: fluvio.topics(),
                lambda: fluvio.partitions(topic),
                lambda: fluvio.end_offset(topic),
                lambda: fluvio.committed_offsets(),
                lambda: fluvio.create_topic(topic, exist_ok=True),
                lambda: fluvio.consumer(topic),
                lambda: fluvio.producer(topic),
                lambda: fluvio.producer(topic, partition=None),
            ]
            await cancelled_after(chance.choice((1, 5, 20, 100)), chance.choice(calls)())
        await write(fluvio, topic, [b"y"] * 100)
        consumer = await fluvio.consumer(topic)
        assert await values_of(consumer.read_until(200)) == [b"x"] * 100 + [b"y"] * 100


async def test_closing_a_consumer_ends_who_waits_for_it(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    consumer = await fluvio.consumer(topic)
    waiting = asyncio.ensure_future(anext(consumer))
    await asyncio.sleep(0)
    await consumer.aclose()
    await consumer.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert [record async for record in consumer] == []
    assert [record async for record in consumer.read_until(1)] == []
