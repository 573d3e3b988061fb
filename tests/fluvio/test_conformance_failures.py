"""Both clients: what breaks under them; each failure typed, nothing lost, nothing repeated."""

from __future__ import annotations

import asyncio
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
    TopicDeleted,
    connect,
)
from qd_schemas.specs import ClientKind, FluvioSettings
from support.layer import BOTH_CLIENTS, Broker, read, values_of, write

pytestmark = pytest.mark.parametrize("client_kind", BOTH_CLIENTS, ids=lambda kind: kind.value)
VALUES = [b"%d" % n * 100 for n in range(5000)]


@pytest.fixture
async def hurried(cluster: FluvioSettings, impatient: Limits) -> AsyncIterator[Fluvio]:
    """A connection to the cluster of this session that looks soon whether something is wrong."""
    limits = replace(impatient, connect_seconds=30.0, call_seconds=10.0, send_seconds=3.0)
    async with connect(cluster, limits=limits) as connection:
        yield connection


@pytest.fixture
async def breakable(
    broker: Broker, client_kind: ClientKind, impatient: Limits
) -> AsyncIterator[Fluvio]:
    """A connection to a broker that the test breaks; it gives up soon."""
    cluster = FluvioSettings(broker.endpoint, client_kind)
    async with connect(cluster, limits=replace(impatient, connect_seconds=30.0)) as connection:
        yield connection


@pytest.fixture
async def patient(broker: Broker, client_kind: ClientKind) -> AsyncIterator[Fluvio]:
    """A connection to a broker that comes back, however long that takes."""
    cluster = FluvioSettings(broker.endpoint, client_kind)
    limits = Limits(30.0, 30.0, 30.0, reconnect_seconds=60.0, idle_check_seconds=1.0)
    async with connect(cluster, limits=limits) as connection:
        yield connection


async def send_all(producer: Producer, values: Iterable[bytes]) -> None:
    for value in values:
        await producer.send(value)
    await producer.flush()


async def test_nobody_listens(
    dead_endpoint: str, client_kind: ClientKind, impatient: Limits
) -> None:
    with pytest.raises(ClusterUnreachable, match=dead_endpoint):
        async with connect(FluvioSettings(dead_endpoint, client_kind), limits=impatient):
            pass


@pytest.mark.parametrize("endpoint", ["nonsense", "host:port", "no-such-host.invalid:9003", ""])
async def test_an_endpoint_that_makes_no_sense(
    endpoint: str, client_kind: ClientKind, impatient: Limits
) -> None:
    with pytest.raises(ClusterUnreachable, match="is the cluster up"):
        async with connect(FluvioSettings(endpoint, client_kind), limits=impatient):
            pass


async def test_somebody_listens_and_never_answers(
    silent_endpoint: str, client_kind: ClientKind, impatient: Limits
) -> None:
    with pytest.raises(ClusterUnreachable, match="no answer within 1 s"):
        async with connect(FluvioSettings(silent_endpoint, client_kind), limits=impatient):
            pass


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="http"),
        pytest.param(b"\x00\x00\x00\x06\x00\x00\x00\x01\xff\xff", id="not a message"),
        pytest.param(b"\x00\x00\x00\x02\x00\x00", id="too short"),
        pytest.param(b"\x7f\xff\xff\xff" + bytes(1000), id="a huge length"),
        pytest.param(b"\xff\xff\xff\xff" + bytes(1000), id="a negative length"),
    ],
)
async def test_somebody_else_answers(
    client_kind: ClientKind, impatient: Limits, garbage: bytes
) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(ClusterUnreachable, match="does not answer as Fluvio"):
            async with connect(FluvioSettings(endpoint, client_kind), limits=impatient):
                pass


async def test_calls_on_a_cluster_that_died(broker: Broker, breakable: Fluvio, topic: str) -> None:
    await breakable.create_topic(topic)
    broker.kill()
    for call in (
        breakable.topics(),
        breakable.describe_topic(topic),
        breakable.partitions(),
        breakable.create_topic("another"),
        breakable.delete_topic(topic),
        breakable.end_offset(topic),
        breakable.committed_offsets(),
        breakable.delete_committed_offset("someone", topic),
        breakable.producer(topic),
        breakable.producer(topic, partition=None),
        breakable.consumer(topic),
        breakable.consumer(topic, consumer_id="someone"),
    ):
        with pytest.raises(FluvioError) as caught:
            await call
        assert caught.value.retriable


async def test_calls_on_a_cluster_that_hangs(
    broker: Broker, client_kind: ClientKind, topic: str, impatient: Limits
) -> None:
    limits = replace(impatient, connect_seconds=30.0)
    async with connect(FluvioSettings(broker.endpoint, client_kind), limits=limits) as fluvio:
        await fluvio.create_topic(topic)
        broker.freeze()
        ended = await asyncio.gather(
            fluvio.topics(),
            fluvio.partitions(),
            fluvio.create_topic("another"),
            fluvio.delete_topic(topic),
            fluvio.end_offset(topic),
            fluvio.committed_offsets(),
            fluvio.delete_committed_offset("someone", topic),
            fluvio.producer(topic),
            fluvio.consumer(topic),
            return_exceptions=True,
        )
        assert [type(error) for error in ended] == [DeadlineExceeded] * len(ended)
        assert all("within 2 s" in str(error) for error in ended)
        broker.thaw()
        await fluvio.topics()


async def test_a_commit_on_a_cluster_that_hangs(
    broker: Broker, breakable: Fluvio, topic: str
) -> None:
    await write(breakable, topic, VALUES)
    consumer = await breakable.consumer(topic, consumer_id="someone")
    await anext(consumer)
    await consumer.commit()
    await anext(consumer)
    broker.freeze()
    with pytest.raises(DeadlineExceeded, match="commit"):
        await consumer.commit()
    broker.thaw()
    await anext(consumer)
    await consumer.commit()
    assert [o.offset for o in await breakable.committed_offsets()] == [2]


async def test_a_consumer_resumes_after_a_restart(
    broker: Broker, patient: Fluvio, topic: str
) -> None:
    await write(patient, topic, VALUES)
    consumer = await patient.consumer(topic)
    found = await read(consumer, 10)
    broker.kill()
    reading = asyncio.ensure_future(values_of(consumer.read_until(2 * len(VALUES))))
    broker.start()
    await write(patient, topic, VALUES)
    assert found + await reading == VALUES * 2


async def test_a_consumer_at_the_end_resumes_after_a_restart(
    broker: Broker, patient: Fluvio, topic: str
) -> None:
    """Nothing may be skipped that is written before the consumer is back."""
    await write(patient, topic, [b"old"])
    consumer = await patient.consumer(topic, offset=Offset.end())
    reading = asyncio.ensure_future(anext(consumer))
    broker.kill()
    broker.start()
    await write(patient, topic, [b"new"])
    record = await reading
    assert (record.offset, record.value) == (1, b"new")


async def test_a_consumer_gives_up_in_the_end(
    broker: Broker, breakable: Fluvio, topic: str
) -> None:
    await write(breakable, topic, VALUES)
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


async def test_a_consumer_notices_that_its_topic_is_deleted(hurried: Fluvio, topic: str) -> None:
    """Told apart from an end and from a lost connection, whether it waits or comes later."""
    await write(hurried, topic, [b"last"])
    waiting = await hurried.consumer(topic)
    later = await hurried.consumer(topic, offset=Offset.end())
    assert (await anext(waiting)).value == b"last"
    more = asyncio.ensure_future(anext(waiting))
    await asyncio.sleep(0)
    await hurried.delete_topic(topic)
    for reading in (more, anext(later)):
        with pytest.raises(TopicDeleted, match=topic):
            await reading


async def test_a_producer_notices_that_its_topic_is_deleted(hurried: Fluvio, topic: str) -> None:
    """The official client would wait for the topic's leader for ever."""
    producer = await write(hurried, topic, [b"last"])
    await hurried.delete_topic(topic)
    with pytest.raises(TopicDeleted, match=topic):
        # A real SPU takes records for a moment after the SC has deleted their topic.
        await send_all(producer, itertools.repeat(b"more"))
    assert producer.acknowledged >= 1
    assert not producer.is_usable
    with pytest.raises(TopicDeleted, match=topic):
        await producer.send(b"x")


async def test_a_consumer_notices_that_its_topic_was_made_anew(hurried: Fluvio, topic: str) -> None:
    await write(hurried, topic, [b"old"] * 5)
    consumer = await hurried.consumer(topic, offset=Offset.end())
    await hurried.delete_topic(topic)
    await hurried.create_topic(topic)
    with pytest.raises((OffsetOutOfRange, TopicDeleted), match=topic):
        await anext(consumer)


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
    await write(breakable, topic, values[end:])
    found = await values_of((await breakable.consumer(topic)).read_until(len(values)))
    assert found == values


async def test_sends_wait_for_a_cluster_that_hangs_and_then_fail(
    broker: Broker, breakable: Fluvio, topic: str, impatient: Limits
) -> None:
    producer = await write(breakable, topic, [b"first"])
    broker.freeze()
    with pytest.raises(DeadlineExceeded, match="not acknowledged within"):
        await send_all(producer, itertools.repeat(bytes(10_000)))
    assert producer.sent * 10_000 <= impatient.in_flight_bytes_max + 10_000
    broker.thaw()
    # What hung may hang for ever, so the next producer uses none of it.
    again = await write(breakable, topic, [b"second"])
    assert again.acknowledged == 1


async def test_a_stalled_topic_does_not_stall_another(hurried: Fluvio, topic: str) -> None:
    """The official client waits for ever for the leader of a topic that was deleted."""
    stalled = await write(hurried, topic, [b"first"])
    other = await write(hurried, f"{topic}-other", [b"first"])
    await hurried.delete_topic(topic)
    # A real SPU takes records for a moment after the SC has deleted their topic.
    writing = asyncio.ensure_future(send_all(stalled, itertools.repeat(bytes(1000))))
    await send_all(other, [bytes(1000)] * 100)
    assert other.acknowledged == 101
    with pytest.raises(TopicDeleted):
        await writing


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_leaving_whatever_the_cluster_does(
    broker: Broker, client_kind: ClientKind, topic: str, impatient: Limits, how: str
) -> None:
    async def work() -> None:
        cluster = FluvioSettings(broker.endpoint, client_kind)
        async with connect(cluster, limits=impatient) as fluvio:
            producer = await write(fluvio, topic, [b"acknowledged"])
            await anext(await fluvio.consumer(topic))
            if how == "killed":
                broker.kill()
            else:
                broker.freeze()
            await producer.send(b"not acknowledged")

    with pytest.raises(FluvioError):
        await work()


async def test_an_error_in_the_block_is_passed_on(cluster: FluvioSettings, topic: str) -> None:
    async def work() -> None:
        async with connect(cluster) as fluvio:
            await write(fluvio, topic, [b"x"])
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await work()


@pytest.mark.parametrize("faults", [["late-topics=0.5"]], ids=["late"])
async def test_a_topic_that_its_leader_serves_late(
    misbehaving: Broker, client_kind: ClientKind, topic: str
) -> None:
    """Real clusters answer for a new topic a while after they made it."""
    async with connect(FluvioSettings(misbehaving.endpoint, client_kind)) as fluvio:
        for number in range(3):
            await write(fluvio, f"{topic}-{number}", [b"x"])
            consumer = await fluvio.consumer(f"{topic}-{number}")
            assert (await anext(consumer)).value == b"x"
