"""What a native producer sends, when, and what it makes of each answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from qd_fluvio import (
    Compression,
    ConnectionLost,
    DeadlineExceeded,
    FluvioError,
    Limits,
    Producer,
    RecordTooLarge,
    TopicDeleted,
    connect,
)
from qd_fluvio.native.connection import batch_compression
from qd_fluvio.native.lane import BATCH_BYTES_MAX
from qd_fluvio.wire import data
from qd_fluvio.wire.compression import Compression as BatchCompression
from qd_fluvio.wire.failures import OK, ErrorCode, Failure
from qd_fluvio.wire.frames import Request
from qd_fluvio.wire.packing import BATCH_RECORDS_MAX
from qd_fluvio.wire.records import checked_batches, decode_records
from qd_schemas.errors import SettingError
from qd_schemas.specs import ClientKind, FluvioSettings
from support.spoiled import TOPIC, Peer, Spoiled, spoiled

NOT_LEADER = Failure(ErrorCode.NOT_LEADER_FOR_PARTITION)


def native(cluster: Spoiled) -> FluvioSettings:
    return FluvioSettings(cluster.endpoint, ClientKind.NATIVE)


def batches(cluster: Spoiled) -> list[list[bytes]]:
    """The values of each produce request."""
    found = []
    for request in cluster.asked(data.PRODUCE):
        ((item,),) = (topic.partitions for topic in request.topics)
        (batch,) = checked_batches(item.records)
        found.append([record.value for record in decode_records(item.records, batch)])
    return found


async def take(peer: Peer, request: Request) -> None:
    peer.produced(request)


class Held:
    """An SPU that answers produce requests when it is told to."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[tuple[Peer, Request]] = asyncio.Queue()

    async def __call__(self, peer: Peer, request: Request) -> None:
        await self.arrived.put((peer, request))

    async def answer(self, *failures: Failure) -> None:
        """Answer the next requests."""
        for failure in failures:
            peer, request = await self.arrived.get()
            peer.produced(request, failure)


async def test_a_lone_record_goes_at_once_and_others_gather_until_it_is_answered() -> None:
    held = Held()
    async with spoiled(on_produce=held) as cluster, connect(native(cluster)) as fluvio:
        producer = await fluvio.producer(TOPIC)
        for number in range(5):
            await producer.send(b"%d" % number)
        await held.answer(OK, OK)
        await producer.flush()
    assert batches(cluster) == [[b"0"], [b"1", b"2", b"3", b"4"]]


async def test_full_batches_wait_for_no_answer() -> None:
    held = Held()
    record = bytes(BATCH_BYTES_MAX // 2)
    async with spoiled(on_produce=held) as cluster, connect(native(cluster)) as fluvio:
        producer = await fluvio.producer(TOPIC)
        for _ in range(5):
            await producer.send(record)
        requests = [await held.arrived.get() for _ in range(3)]
        assert producer.acknowledged == 0
        for peer, request in requests:
            peer.produced(request)
        await producer.flush()
    assert [len(values) for values in batches(cluster)] == [1, 2, 2]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1] * (BATCH_RECORDS_MAX + 1), [BATCH_RECORDS_MAX, 1]),
        ([100_000] * 5, [2, 2, 1]),
        ([10, 900_000, 10], [1, 1, 1]),
        ([], []),
    ],
)
async def test_many_records_are_cut_into_batches(sizes: Sequence[int], expected: list[int]) -> None:
    async with spoiled(on_produce=take) as cluster, connect(native(cluster)) as fluvio:
        producer = await fluvio.producer(TOPIC)
        await producer.send_many([bytes(size) for size in sizes])
        await producer.flush()
        assert producer.sent == producer.acknowledged == len(sizes)
    assert [len(values) for values in batches(cluster)] == expected


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure(ErrorCode.MESSAGE_TOO_LARGE), RecordTooLarge),
        (Failure(ErrorCode.OTHER, ("disk on fire",)), FluvioError),
        (Failure(ErrorCode.PARTITION_FULL, (TOPIC, 0)), FluvioError),
        (Failure(ErrorCode.COMPRESSION_ERROR), FluvioError),
    ],
)
async def test_a_refused_batch_ends_the_producer(
    failure: Failure, error: type[FluvioError]
) -> None:
    async def behave(peer: Peer, request: Request) -> None:
        peer.produced(request, OK if len(cluster.asked(data.PRODUCE)) == 1 else failure)

    async with spoiled(on_produce=behave) as cluster, connect(native(cluster)) as fluvio:
        producer = await fluvio.producer(TOPIC)
        await producer.send(b"good")
        await producer.flush()
        await producer.send(b"bad")
        with pytest.raises(error, match="the last 1 of 2 records") as raised:
            await producer.flush()
        assert raised.type is error
        assert (producer.acknowledged, producer.is_usable) == (1, False)
        with pytest.raises(error):
            await producer.send(b"more")


async def settled(producer: Producer) -> None:
    """Send, and wait for the end of the producer or for the acknowledgement."""
    await producer.send_many([b"%d" % n * 50_000 for n in range(10)])
    await producer.flush()


async def test_a_connection_that_breaks_under_a_batch_ends_the_producer_and_nothing_is_repeated(
    impatient: Limits,
) -> None:
    async def behave(peer: Peer, request: Request) -> None:
        if len(cluster.asked(data.PRODUCE)) == 1:
            peer.produced(request)
        else:
            peer.close()

    async with spoiled(on_produce=behave) as cluster:
        async with connect(native(cluster), limits=impatient) as fluvio:
            producer = await fluvio.producer(TOPIC)
            with pytest.raises(ConnectionLost, match="the cluster may have some of them"):
                await settled(producer)
            assert 0 < producer.acknowledged < producer.sent
        values = [value for batch in batches(cluster) for value in batch]
        assert len(values) == len(set(values))


async def test_a_connection_that_breaks_under_nothing_is_opened_anew() -> None:
    async def behave(peer: Peer, request: Request) -> None:
        peer.produced(request)
        await peer.writer.drain()
        peer.writer.close()

    async with spoiled(on_produce=behave) as cluster, connect(native(cluster)) as fluvio:
        producer = await fluvio.producer(TOPIC)
        for number in range(3):
            await producer.send(b"%d" % number)
            await producer.flush()
            await closed(producer)
        assert producer.acknowledged == 3
    assert batches(cluster) == [[b"0"], [b"1"], [b"2"]]


async def closed(producer: Producer) -> None:
    """Wait until the producer's connection is known to be gone."""
    (lane,) = producer._lanes  # type: ignore[attr-defined]
    link = lane._link
    while True:
        await asyncio.sleep(0)
        if link.error is not None:
            return


async def test_what_was_certainly_not_written_goes_to_the_new_leader_in_order() -> None:
    held = Held()
    async with spoiled(on_produce=held) as cluster, connect(native(cluster)) as fluvio:
        producer = await fluvio.producer(TOPIC)
        values = [b"%d" % n * 60_000 for n in range(10)]
        await producer.send_many(values)
        flushing = asyncio.ensure_future(producer.flush())
        await held.answer(NOT_LEADER, NOT_LEADER, NOT_LEADER, OK, OK, OK)
        await flushing
        assert producer.acknowledged == 10
    found = batches(cluster)
    assert found[:3] == found[3:]
    assert [value for batch in found[3:] for value in batch] == values


async def test_a_leader_that_takes_a_batch_after_one_it_refused() -> None:
    held = Held()
    async with spoiled(on_produce=held) as cluster, connect(native(cluster)) as fluvio:
        producer = await fluvio.producer(TOPIC)
        await producer.send_many([bytes(BATCH_BYTES_MAX)] * 3)
        await held.answer(OK, NOT_LEADER, OK)
        with pytest.raises(ConnectionLost, match="records may be missing in between"):
            await producer.flush()
        assert producer.acknowledged == 1


async def test_a_leader_that_is_none_for_too_long(impatient: Limits) -> None:
    async def behave(peer: Peer, request: Request) -> None:
        peer.produced(request, NOT_LEADER)

    async with spoiled(on_produce=behave) as cluster:
        async with connect(native(cluster), limits=impatient) as fluvio:
            producer = await fluvio.producer(TOPIC)
            await producer.send(b"x")
            with pytest.raises(ConnectionLost, match="does not serve it"):
                await producer.flush()
        assert len(batches(cluster)) > 1


async def test_a_topic_deleted_under_a_producer() -> None:
    async def behave(peer: Peer, request: Request) -> None:
        peer.cluster.is_there = False
        peer.produced(request, NOT_LEADER)

    async with spoiled(on_produce=behave) as cluster, connect(native(cluster)) as fluvio:
        producer = await fluvio.producer(TOPIC)
        await producer.send(b"x")
        with pytest.raises(TopicDeleted, match="it was there when the producer was opened"):
            await producer.flush()


async def test_an_answer_out_of_turn() -> None:
    held = Held()
    async with spoiled(on_produce=held) as cluster, connect(native(cluster)) as fluvio:
        producer = await fluvio.producer(TOPIC)
        await producer.send_many([bytes(BATCH_BYTES_MAX)] * 2)
        await held.arrived.get()
        await held.answer(OK)
        with pytest.raises(ConnectionLost, match="answer to a later batch"):
            await producer.flush()
        assert producer.acknowledged == 0


async def test_a_leader_that_never_answers(impatient: Limits) -> None:
    async with spoiled() as cluster, connect(native(cluster), limits=impatient) as fluvio:
        producer = await fluvio.producer(TOPIC)
        await producer.send(b"x")
        with pytest.raises(DeadlineExceeded, match=r"not acknowledged within 1.5 s"):
            await producer.flush()


async def test_closing_waits_no_longer_than_it_may(impatient: Limits) -> None:
    async with spoiled() as cluster:
        with pytest.raises(DeadlineExceeded, match="still unacknowledged"):
            async with connect(native(cluster), limits=impatient) as fluvio:
                await (await fluvio.producer(TOPIC)).send(b"x")


@pytest.mark.parametrize(
    ("asked", "allowed", "used"),
    [
        (Compression.NONE, Compression.ANY, BatchCompression.NONE),
        (Compression.ANY, Compression.ANY, BatchCompression.NONE),
        (Compression.ZSTD, Compression.ANY, BatchCompression.ZSTD),
        (Compression.NONE, Compression.GZIP, BatchCompression.GZIP),
        (Compression.ANY, Compression.LZ4, BatchCompression.LZ4),
        (Compression.SNAPPY, Compression.SNAPPY, BatchCompression.SNAPPY),
        (Compression.NONE, Compression.NONE, BatchCompression.NONE),
    ],
)
def test_which_compression_is_used(
    asked: Compression, allowed: Compression, used: BatchCompression
) -> None:
    assert batch_compression(asked, allowed, TOPIC) is used


def test_a_compression_the_topic_forbids() -> None:
    with pytest.raises(SettingError, match="allows gzip only"):
        batch_compression(Compression.ZSTD, Compression.GZIP, TOPIC)


async def test_flush_waits_for_its_own_records_whatever_other_partitions_acknowledge() -> None:
    held = Held()

    async def behave(peer: Peer, request: Request) -> None:
        if request.body.topics[0].partitions[0].partition == 0:
            await held(peer, request)
        else:
            peer.produced(request)

    async with (
        spoiled(on_produce=behave, partitions=2) as cluster,
        connect(native(cluster)) as fluvio,
    ):
        producer = await fluvio.producer(TOPIC, partition=None)
        await producer.send(b"the first partition's")
        flushing = asyncio.ensure_future(producer.flush())
        await asyncio.sleep(0)
        while producer.acknowledged < 2:  # of the second partition, by way of its answers
            await producer.send(b"x", key=b"second")
            await asyncio.sleep(0)
        assert not flushing.done()
        await held.answer(OK)
        await flushing


@pytest.mark.parametrize("first", [[], [b"under way"]], ids=["at once", "gathered"])
async def test_what_is_not_bytes_ends_its_producer_only(first: list[bytes]) -> None:
    held = Held()
    async with spoiled(on_produce=held) as cluster, connect(native(cluster)) as fluvio:
        producer, other = await fluvio.producer(TOPIC), await fluvio.producer(TOPIC)
        for value in first:
            await producer.send(value)
        await other.send(b"another's")
        await producer.send("text")  # type: ignore[arg-type]
        await held.answer(*[OK] * (len(first) + 1))
        await other.flush()
        with pytest.raises(FluvioError, match="not bytes"):
            await producer.flush()
        assert (producer.acknowledged, other.acknowledged) == (len(first), 1)


async def test_a_partition_that_fails_leaves_no_other_waiting(impatient: Limits) -> None:
    """Every try would leave a connection behind."""

    async def behave(peer: Peer, request: Request) -> None:
        (topic,) = request.body.topics
        if topic.partitions == (0,):
            peer.close()
        elif len(topic.partitions) == 2:
            ends = tuple(data.PartitionOffsets(NOT_LEADER, number) for number in topic.partitions)
            peer.answer(request, data.FetchOffsetsResponse((data.TopicOffsets(TOPIC, ends),)))

    async with (
        spoiled(on_offsets=behave, partitions=2) as cluster,
        connect(native(cluster), limits=impatient) as fluvio,
    ):
        before = asyncio.all_tasks()
        with pytest.raises(DeadlineExceeded, match="open a producer"):
            await fluvio.producer(TOPIC, partition=None)
        left = [task for task in asyncio.all_tasks() - before if "Lane" in repr(task)]
        assert not left
