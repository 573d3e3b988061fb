"""What breaks under the layer: each failure typed, nothing lost, nothing repeated, no hang."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest

from qd_fluvio import (
    ClusterUnreachable,
    ConnectionLost,
    DeadlineExceeded,
    Fluvio,
    FluvioError,
    Limits,
    Offset,
    OffsetOutOfRange,
    Producer,
    Record,
    TopicNotFound,
    connect,
)
from support.layer import Broker, workers

VALUES = [b"%d" % n * 100 for n in range(5000)]


@pytest.fixture
async def breakable(broker: Broker, impatient: Limits) -> AsyncIterator[Fluvio]:
    """A connection to a broker that the test breaks; it gives up soon."""
    async with connect(broker.endpoint, limits=impatient) as connection:
        yield connection


@pytest.fixture
async def patient(broker: Broker, impatient: Limits) -> AsyncIterator[Fluvio]:
    """A connection to a broker that comes back; its consumers wait for it."""
    async with connect(
        broker.endpoint, limits=replace(impatient, reconnect_seconds=60.0)
    ) as connection:
        yield connection


async def send_all(producer: Producer, values: Iterable[bytes]) -> None:
    for value in values:
        await producer.send(value)
    await producer.flush()


async def written(fluvio: Fluvio, topic: str, values: list[bytes]) -> Producer:
    await fluvio.create_topic(topic, exist_ok=True)
    producer = await fluvio.producer(topic)
    await producer.send_many(values)
    await producer.flush()
    return producer


async def test_nobody_listens(dead_endpoint: str, impatient: Limits) -> None:
    with pytest.raises(ClusterUnreachable, match=dead_endpoint):
        async with connect(dead_endpoint, limits=impatient):
            pass


@pytest.mark.parametrize("endpoint", ["nonsense", "host:port", "no-such-host.invalid:9003", ""])
async def test_an_endpoint_that_makes_no_sense(endpoint: str, impatient: Limits) -> None:
    with pytest.raises(ClusterUnreachable, match="is the cluster up"):
        async with connect(endpoint, limits=impatient):
            pass


async def test_somebody_listens_and_never_answers(silent_endpoint: str, impatient: Limits) -> None:
    with pytest.raises(ClusterUnreachable, match="no answer within 1 s"):
        async with connect(silent_endpoint, limits=impatient):
            pass


async def test_somebody_else_answers(impatient: Limits) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ClusterUnreachable, match="does not answer as Fluvio"):
            async with connect(f"127.0.0.1:{port}", limits=impatient):
                pass


async def test_calls_on_a_cluster_that_died(broker: Broker, breakable: Fluvio, topic: str) -> None:
    await breakable.create_topic(topic)
    broker.kill()
    for call in (
        breakable.topics(),
        breakable.describe_topic(topic),
        breakable.create_topic("another"),
        breakable.delete_topic(topic),
        breakable.end_offset(topic),
        breakable.producer(topic),
        breakable.consumer(topic),
    ):
        with pytest.raises(FluvioError) as caught:
            await call
        assert caught.value.retriable


async def test_calls_on_a_cluster_that_hangs(broker: Broker, breakable: Fluvio, topic: str) -> None:
    await breakable.create_topic(topic)
    broker.freeze()
    for call in (
        breakable.topics(),
        breakable.create_topic("another"),
        breakable.delete_topic(topic),
        breakable.producer(topic),
        breakable.consumer(topic),
    ):
        with pytest.raises(DeadlineExceeded, match="within 2 s"):
            await call
    broker.thaw()
    await breakable.create_topic("after-all", exist_ok=True)


async def test_a_consumer_resumes_after_a_restart(
    broker: Broker, patient: Fluvio, topic: str
) -> None:
    await written(patient, topic, VALUES)
    consumer = await patient.consumer(topic)
    found = [record.value async for record in consumer.read_until(10)]
    broker.kill()
    reading = asyncio.ensure_future(_values(consumer.read_until(2 * len(VALUES))))
    broker.start()
    await written(patient, topic, VALUES)
    assert found + await reading == VALUES * 2


async def _values(records: AsyncIterator[Record]) -> list[bytes]:
    return [record.value async for record in records]


async def test_a_consumer_at_the_end_resumes_after_a_restart(
    broker: Broker, patient: Fluvio, topic: str
) -> None:
    """Nothing may be skipped that is written before the consumer is back."""
    await written(patient, topic, [b"old"])
    consumer = await patient.consumer(topic, offset=Offset.end())
    reading = asyncio.ensure_future(anext(consumer))
    broker.kill()
    broker.start()
    await written(patient, topic, [b"new"])
    record = await reading
    assert (record.offset, record.value) == (1, b"new")


async def test_a_consumer_gives_up_in_the_end(
    broker: Broker, breakable: Fluvio, topic: str
) -> None:
    await written(breakable, topic, VALUES)
    consumer = await breakable.consumer(topic)
    assert (await anext(consumer)).offset == 0
    broker.kill()
    with pytest.raises(ConnectionLost, match=topic):
        async for _ in consumer:
            pass


async def test_a_consumer_notices_a_cluster_that_hangs(
    broker: Broker, breakable: Fluvio, topic: str
) -> None:
    await breakable.create_topic(topic)
    consumer = await breakable.consumer(topic)
    broker.freeze()
    with pytest.raises(ConnectionLost, match=topic):
        await anext(consumer)


async def test_a_consumer_notices_that_its_topic_is_deleted(breakable: Fluvio, topic: str) -> None:
    await written(breakable, topic, [b"last"])
    consumer = await breakable.consumer(topic)
    assert (await anext(consumer)).value == b"last"
    await breakable.delete_topic(topic)
    with pytest.raises(TopicNotFound, match=topic):
        await anext(consumer)


async def test_a_consumer_notices_that_its_topic_was_made_anew(
    breakable: Fluvio, topic: str
) -> None:
    await written(breakable, topic, [b"old"] * 5)
    consumer = await breakable.consumer(topic, offset=Offset.end())
    await breakable.delete_topic(topic)
    await breakable.create_topic(topic)
    with pytest.raises(OffsetOutOfRange, match="0 to 0"):
        await anext(consumer)


async def test_a_dropping_connection_loses_and_repeats_nothing(
    dropping_broker: Broker, topic: str
) -> None:
    values = [n.to_bytes(4) * 2500 for n in range(300)]
    # One fetch must fit what a connection carries before it is dropped.
    limits = Limits(fetch_bytes_max=300_000)
    async with connect(dropping_broker.endpoint, limits=limits) as fluvio:
        await fluvio.create_topic(topic)
        producer = await fluvio.producer(topic)
        await producer.send_many(values)
        await producer.flush()
        consumer = await fluvio.consumer(topic)
        assert await _values(consumer.read_until(len(values))) == values


async def test_what_was_acknowledged_survives_a_killed_cluster(
    broker: Broker, breakable: Fluvio, topic: str
) -> None:
    await breakable.create_topic(topic)
    producer = await breakable.producer(topic)
    values = [b"%d" % n * 4000 for n in range(4000)]

    async def kill_in_the_middle() -> None:
        while True:
            await asyncio.sleep(0)
            if producer.acknowledged:
                broker.kill()
                return

    killing = asyncio.ensure_future(kill_in_the_middle())
    with pytest.raises((ConnectionLost, DeadlineExceeded)):
        await send_all(producer, values)
    await killing
    acknowledged = producer.acknowledged
    assert 0 < acknowledged < len(values)
    with pytest.raises(FluvioError):  # the error stays
        await producer.flush()
    with pytest.raises(FluvioError):
        await producer.send(b"more")
    with pytest.raises(FluvioError):
        await producer.aclose()
    broker.start()
    end = await breakable.end_offset(topic)
    assert end >= acknowledged
    again = await breakable.producer(topic)
    await again.send_many(values[end:])
    await again.flush()
    found = await _values((await breakable.consumer(topic)).read_until(len(values)))
    assert found == values


async def test_sends_wait_for_a_cluster_that_hangs_and_then_fail(
    broker: Broker, breakable: Fluvio, topic: str, impatient: Limits
) -> None:
    producer = await written(breakable, topic, [b"first"])
    broker.freeze()
    with pytest.raises(DeadlineExceeded, match="not acknowledged within"):
        await send_all(producer, itertools.repeat(bytes(10_000)))
    assert producer.sent * 10_000 <= impatient.in_flight_bytes_max + 10_000
    broker.thaw()
    # The worker may hang, so the next producer gets a new one.
    again = await written(breakable, topic, [b"second"])
    assert again.acknowledged == 1


async def test_a_stalled_topic_does_not_stall_another(
    broker: Broker, breakable: Fluvio, topic: str
) -> None:
    """The client waits for ever for the leader of a topic that was deleted."""
    stalled = await written(breakable, topic, [b"first"])
    other = await written(breakable, f"{topic}-other", [b"first"])
    await breakable.delete_topic(topic)
    with contextlib.suppress(FluvioError):
        await stalled.send_many([bytes(1000)] * 100)
    await other.send_many([bytes(1000)] * 100)
    await other.flush()
    assert other.acknowledged == 101
    with pytest.raises(FluvioError):
        await stalled.flush()


async def test_a_killed_worker_of_a_consumer_is_replaced(breakable: Fluvio, topic: str) -> None:
    await written(breakable, topic, VALUES)
    before = {worker.pid for worker in workers()}
    consumer = await breakable.consumer(topic)
    found = [await anext(consumer)]
    for worker in workers():
        if worker.pid not in before:
            worker.kill()
    found += [record async for record in consumer.read_until(len(VALUES))]
    assert [record.value for record in found] == VALUES


async def test_all_workers_killed(breakable: Fluvio, topic: str) -> None:
    producer = await written(breakable, topic, VALUES)
    consumer = await breakable.consumer(topic)
    await anext(consumer)
    for worker in workers():
        worker.kill()
    assert len(await _values(consumer.read_until(len(VALUES)))) == len(VALUES) - 1
    with pytest.raises(ConnectionLost, match="worker process"):
        await send_all(producer, [b"x"])
    await breakable.create_topic(f"{topic}-2")
    await written(breakable, f"{topic}-2", [b"x"])
