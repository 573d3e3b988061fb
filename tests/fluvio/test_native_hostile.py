"""SPUs that do not keep to the protocol, to their batches, or to their word."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest

from qd_fluvio import (
    ConnectionLost,
    Consumer,
    FluvioError,
    Limits,
    Offset,
    OffsetOutOfRange,
    RecordsMissing,
    TopicDeleted,
    connect,
)
from qd_fluvio.native.link import Link
from qd_fluvio.wire import data
from qd_fluvio.wire.compression import Compression
from qd_fluvio.wire.failures import ErrorCode, Failure
from qd_fluvio.wire.frames import Request
from qd_fluvio.wire.records import encode_batch
from qd_schemas.specs import ClientKind, FluvioSettings
from support.spoiled import TOPIC, Peer, Spoiled, spoiled

HUGE = 0x7FFF_FFFF


def batch(first: int, values: list[bytes], compression: Compression = Compression.NONE) -> bytes:
    return encode_batch(
        [(None, value) for value in values], base_offset=first, compression=compression
    )


def native(cluster: Spoiled) -> FluvioSettings:
    return FluvioSettings(cluster.endpoint, ClientKind.NATIVE)


async def first_of(cluster: Spoiled, limits: Limits, offset: int = 0) -> object:
    async with connect(native(cluster), limits=limits) as fluvio:
        consumer: Consumer = await fluvio.consumer(TOPIC, offset=Offset.absolute(offset))
        return await anext(consumer)


def garbage(frame: Callable[[Request], bytes]) -> Callable[..., object]:
    async def behave(peer: Peer, request: Request) -> None:
        peer.raw(frame(request))

    return behave


def framed(*parts: bytes) -> bytes:
    return struct.pack(">i", sum(map(len, parts))) + b"".join(parts)


def number(request: Request) -> bytes:
    return struct.pack(">i", request.header.correlation_id)


GARBAGE = {
    "a negative length": lambda request: struct.pack(">i", -1),
    "a huge length": lambda request: struct.pack(">i", HUGE) + bytes(100),
    "no correlation id": lambda request: framed(),
    "half a correlation id": lambda request: framed(b"\1"),
    "an answer nobody asked for": lambda request: framed(struct.pack(">i", 12345), bytes(50)),
    "a negative correlation id": lambda request: framed(struct.pack(">i", -1), bytes(50)),
    "an empty answer": lambda request: framed(number(request)),
    "an answer of noise": lambda request: framed(number(request), bytes(range(256))),
    "noise": lambda request: bytes(range(255, 0, -1)) * 10,
}


@pytest.mark.parametrize("frame", GARBAGE.values(), ids=GARBAGE.keys())
async def test_what_is_no_answer_ends_the_connection(
    frame: Callable[[Request], bytes], impatient: Limits
) -> None:
    behave = garbage(frame)
    async with spoiled(on_stream=behave, on_produce=behave) as cluster:  # type: ignore[arg-type]
        with pytest.raises(ConnectionLost, match="does not answer as Fluvio does"):
            await first_of(cluster, impatient)
        async with connect(native(cluster), limits=impatient) as fluvio:
            producer = await fluvio.producer(TOPIC)
            await producer.send(b"x")
            with pytest.raises(ConnectionLost, match="the last 1 of 1 records"):
                await producer.flush()
            with pytest.raises(ConnectionLost):
                await producer.aclose()


async def test_a_half_answer_and_then_the_end(impatient: Limits) -> None:
    async def behave(peer: Peer, request: Request) -> None:
        peer.raw(struct.pack(">i", 1000) + number(request) + bytes(10))
        await peer.writer.drain()
        peer.close()

    async with spoiled(on_stream=behave) as cluster:
        with pytest.raises(ConnectionLost, match="could not come back within 1 s"):
            await first_of(cluster, impatient)
        assert len(cluster.asked(data.STREAM_FETCH)) > 1


async def test_a_claimed_length_takes_no_memory(impatient: Limits) -> None:
    """The answer claims all that is allowed, and nothing of it comes."""
    waiting = asyncio.Event()

    async def behave(peer: Peer, request: Request) -> None:
        peer.raw(struct.pack(">i", 1_000_000_000) + number(request) + bytes(10))
        waiting.set()

    async with spoiled(on_stream=behave) as cluster:
        limits = replace(impatient, fetch_bytes_max=1_000_000_000)
        before = psutil.Process().memory_info().rss
        async with connect(native(cluster), limits=limits) as fluvio:
            await fluvio.consumer(TOPIC)
            await waiting.wait()
            assert psutil.Process().memory_info().rss - before < 32_000_000


def damaged(raw: bytes) -> bytes:
    found = bytearray(raw)
    found[-3] ^= 1
    return bytes(found)


SPOILED = {
    "a damaged batch": damaged(batch(0, [b"one", b"two"])),
    "a gap": batch(3, [b"three"]),
    "too many offsets": batch(0, [b"x"])[:23] + struct.pack(">i", 5) + batch(0, [b"x"])[27:],
    "a schema": batch(0, [b"x"])[:21] + b"\0\x10" + batch(0, [b"x"])[23:],
    "a bomb": batch(0, [bytes(990_000)] * 70, Compression.ZSTD),
}


@pytest.mark.parametrize("records", SPOILED.values(), ids=SPOILED.keys())
async def test_records_that_do_not_come_whole_are_asked_for_again_and_then_named(
    records: bytes, impatient: Limits
) -> None:
    async def behave(peer: Peer, request: Request) -> None:
        peer.portion(request, records)

    async with spoiled(on_stream=behave) as cluster:
        with pytest.raises(RecordsMissing, match="offset 0 does not come whole, asked for 4 times"):
            await first_of(cluster, impatient)
        assert len(cluster.asked(data.STREAM_FETCH)) == 4


async def test_records_before_a_damaged_batch_arrive(impatient: Limits) -> None:
    async def behave(peer: Peer, request: Request) -> None:
        whole = batch(0, [b"0", b"1"]) + damaged(batch(2, [b"2", b"3"]))
        peer.portion(request, whole if request.body.fetch_offset == 0 else batch(2, [b"2", b"3"]))

    async with spoiled(on_stream=behave) as cluster:
        async with connect(native(cluster), limits=impatient) as fluvio:
            consumer = await fluvio.consumer(TOPIC)
            found = [record.value async for record in consumer.read_until(4)]
        assert found == [b"0", b"1", b"2", b"3"]
        assert [asked.fetch_offset for asked in cluster.asked(data.STREAM_FETCH)] == [0, 2]


async def test_a_batch_that_begins_before_the_wanted_offset(impatient: Limits) -> None:
    async def behave(peer: Peer, request: Request) -> None:
        peer.portion(request, batch(5, [b"%d" % n for n in range(5, 12)]))

    async with spoiled(on_stream=behave) as cluster:
        async with connect(native(cluster), limits=impatient) as fluvio:
            consumer = await fluvio.consumer(TOPIC, offset=Offset.absolute(9))
            found = [(record.offset, record.value) async for record in consumer.read_until(12)]
        assert found == [(9, b"9"), (10, b"10"), (11, b"11")]


async def test_a_batch_that_is_cut_is_fetched_with_more_room(impatient: Limits) -> None:
    whole = batch(0, [bytes(1000)] * 50)

    async def behave(peer: Peer, request: Request) -> None:
        peer.portion(request, whole[: request.body.max_bytes])

    limits = replace(impatient, queue_bytes_max=20_000, fetch_bytes_max=100_000)
    async with spoiled(on_stream=behave) as cluster:
        async with connect(native(cluster), limits=limits) as fluvio:
            consumer = await fluvio.consumer(TOPIC)
            assert len([record async for record in consumer.read_until(50)]) == 50
        sizes = [asked.max_bytes for asked in cluster.asked(data.STREAM_FETCH)]
        assert sizes == [10_000, len(whole)]
        with pytest.raises(RecordsMissing, match="raise fetch_bytes_max, which is 30000"):
            await first_of(cluster, replace(limits, fetch_bytes_max=30_000))


async def test_portions_that_were_not_asked_for(impatient: Limits) -> None:
    """More than is asked for would fill the memory of a reader that is slow."""

    async def behave(peer: Peer, request: Request) -> None:
        for _ in range(2):
            peer.portion(request, batch(0, [b"again"]))

    async with (
        spoiled(on_stream=behave) as cluster,
        connect(native(cluster), limits=impatient) as fluvio,
    ):
        consumer = await fluvio.consumer(TOPIC)
        assert (await anext(consumer)).value == b"again"
        with pytest.raises(ConnectionLost, match="not asked for"):
            await anext(consumer)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure(ErrorCode.NOT_LEADER_FOR_PARTITION), ConnectionLost),
        (Failure(ErrorCode.OFFSET_OUT_OF_RANGE), OffsetOutOfRange),
        (Failure(ErrorCode.OFFSET_EVICTED, (0, 5)), OffsetOutOfRange),
        (Failure(ErrorCode.OTHER, ("disk on fire",)), FluvioError),
        (Failure(ErrorCode.TOPIC_DELETED), TopicDeleted),
    ],
)
async def test_a_refused_stream_is_tried_again_and_then_typed(
    failure: Failure, error: type[FluvioError], impatient: Limits
) -> None:
    async def behave(peer: Peer, request: Request) -> None:
        peer.portion(request, failure=failure)

    async with spoiled(on_stream=behave) as cluster:
        with pytest.raises(error) as raised:
            await first_of(cluster, impatient)
        assert raised.type is error
        assert error is TopicDeleted or len(cluster.asked(data.STREAM_FETCH)) > 1


async def test_a_topic_deleted_under_a_reader(impatient: Limits) -> None:
    async def behave(peer: Peer, request: Request) -> None:
        peer.cluster.is_there = False
        peer.portion(request, failure=Failure(ErrorCode.TOPIC_DELETED))

    async with spoiled(on_stream=behave) as cluster:
        with pytest.raises(TopicDeleted, match="it was deleted while it was read"):
            await first_of(cluster, impatient)


async def test_a_topic_deleted_and_made_anew_under_a_reader(impatient: Limits) -> None:
    """Its records are others, though they may have the offsets that come next."""

    async def behave(peer: Peer, request: Request) -> None:
        if len(peer.cluster.asked(data.STREAM_FETCH)) == 1:
            peer.portion(request, failure=Failure(ErrorCode.TOPIC_DELETED))
        else:
            peer.portion(request, batch(0, [b"another topic's"]))

    async with spoiled(on_stream=behave) as cluster:
        with pytest.raises(TopicDeleted, match="made anew"):
            await first_of(cluster, impatient)


async def test_a_stream_the_server_has_forgotten_is_opened_anew(impatient: Limits) -> None:
    async def behave(peer: Peer, request: Request) -> None:
        first = request.body.fetch_offset
        peer.portion(request, batch(first, [b"%d" % first]))

    async def forget(peer: Peer, request: Request) -> None:
        (update,) = request.body.offsets
        failure = Failure(ErrorCode.FETCH_SESSION_NOT_FOUND)
        updated = data.OffsetUpdated(update.stream_id, failure)
        peer.answer(request, data.UpdateOffsetsResponse((updated,)))

    async with (
        spoiled(on_stream=behave, on_update=forget) as cluster,
        connect(native(cluster), limits=replace(impatient, reconnect_seconds=30)) as fluvio,
    ):
        consumer = await fluvio.consumer(TOPIC)
        found = [record.value async for record in consumer.read_until(3)]
    assert found == [b"0", b"1", b"2"]


async def test_a_stream_that_brings_nothing_though_there_is_something(impatient: Limits) -> None:
    """It is opened anew; who waits is not left waiting for ever."""

    async def behave(peer: Peer, request: Request) -> None:
        if len(peer.cluster.asked(data.STREAM_FETCH)) > 1:
            peer.portion(request, batch(0, [b"at last"]))

    async with spoiled(on_stream=behave) as cluster:
        limits = replace(impatient, idle_check_seconds=0.05)
        found = await first_of(cluster, limits)
        assert found[3] == b"at last"  # type: ignore[index]


class Heard:
    """Waits for an answer, and keeps why there is none."""

    def __init__(self) -> None:
        self.errors: list[FluvioError] = []

    def answered(self, payload: bytearray) -> None:
        raise AssertionError(f"answered {payload!r}")

    def lost(self, error: FluvioError) -> None:
        self.errors.append(error)


async def test_a_connection_that_just_broke_is_written_to_no_more(
    impatient: Limits, caplog: pytest.LogCaptureFixture
) -> None:
    """Until that is told, asyncio would write a line for each further request."""
    heard = Heard()
    async with spoiled() as cluster, connect(native(cluster), limits=impatient) as fluvio:
        consumer = await fluvio.consumer(TOPIC)
        link: Link = consumer._stream.link  # type: ignore[attr-defined]
        link._transport.abort()
        offsets = data.FetchOffsetsRequest((data.OffsetsTopic(TOPIC, (0,)),))
        for _ in range(10):
            link.request(data.FETCH_OFFSETS, offsets, heard)
        assert not heard.errors
    assert [type(error) for error in heard.errors] == [ConnectionLost] * 10
    assert not caplog.records


async def test_two_tasks_that_read_with_one_consumer(impatient: Limits) -> None:
    """The second would take records out of the first one's order."""
    async with spoiled() as cluster, connect(native(cluster), limits=impatient) as fluvio:
        consumer = await fluvio.consumer(TOPIC)
        first = asyncio.ensure_future(anext(consumer))
        await asyncio.sleep(0)
        with pytest.raises(FluvioError, match="two tasks"):
            await anext(consumer)
        await consumer.aclose()
        with pytest.raises(StopAsyncIteration):
            await first
