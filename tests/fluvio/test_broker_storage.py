"""What clients see of retention, policies, damage and durability, by Fluvio's own codes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qd_fluvio.broker.catalog import Catalog
from qd_fluvio.broker.consumers import ConsumerOffsets
from qd_fluvio.broker.server import Endpoints, broker
from qd_fluvio.broker.settings import BrokerSettings, Durability
from qd_fluvio.wire import admin, data
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.failures import ErrorCode, Failure
from qd_fluvio.wire.metadata import (
    TOPIC,
    Compression,
    ComputedReplicas,
    Deduplication,
    DeduplicationBounds,
    DeduplicationTransform,
    Storage,
    TopicSpec,
)
from qd_fluvio.wire.records import BATCHES_MAX, encode_batch
from support.broker import WireClient, batch_of, connected, values_in

WAIT_S_MAX = 60.0
BATCH = len(batch_of(b"0" * 900))


@asynccontextmanager
async def clients(
    folder: Path, durability: Durability = Durability.PROCESS
) -> AsyncIterator[tuple[WireClient, WireClient]]:
    """A broker in this process, and a connection to each of its ports."""
    settings = BrokerSettings(folder, durability=durability)
    async with broker(settings) as found, both(found) as connections:
        yield connections


@asynccontextmanager
async def both(endpoints: Endpoints) -> AsyncIterator[tuple[WireClient, WireClient]]:
    async with connected(endpoints.sc) as sc, connected(endpoints.spu) as spu:
        yield sc, spu


def spec(
    storage: Storage | None = None,
    compression: Compression = Compression.ANY,
    uses: str | None = None,
) -> TopicSpec:
    deduplication = None
    if uses is not None:
        deduplication = Deduplication(DeduplicationBounds(5), DeduplicationTransform(uses))
    return TopicSpec(
        ComputedReplicas(1),
        storage=storage,
        compression=compression,
        deduplication=deduplication,
    )


async def fetch(
    spu: WireClient, topic: str, offset: int, isolation: int = 0
) -> data.FetchedPartition:
    part = data.FetchPartition(0, -1, offset, 0, 1_000_000)
    request = data.FetchRequest(0, 0, 1_000_000, isolation, (data.FetchTopic(topic, (part,)),))
    return (await spu.call(data.FETCH, request)).topics[0].partitions[0]


async def streamed(spu: WireClient, topic: str, offset: int) -> data.FetchedPartition:
    found: data.FetchedPartition = (await spu.answer(spu.stream(topic, offset))).partition
    return found


async def test_retention_moves_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qd_fluvio.broker.cleaning.CLEANING_INTERVAL_S", 0.001)
    async with clients(tmp_path) as (sc, spu):
        small = spec(Storage(2 * BATCH, 4 * BATCH))
        assert not (await sc.create_spec("small", small)).error
        await spu.produce("small", *(batch_of(b"%d" % number * 900) for number in range(10)))
        async with asyncio.timeout(WAIT_S_MAX):
            while (await spu.ends("small")).start_offset != 6:
                pass
        assert (await spu.ends("small")).end_offset == 10
        evicted = Failure(ErrorCode.OFFSET_EVICTED, (5, 6))
        assert (await fetch(spu, "small", 5)).error == evicted
        assert (await spu.answer(spu.stream("small", 5))).partition.error == evicted
        found = await fetch(spu, "small", 6)
        assert (found.log_start_offset, len(values_in(found.records))) == (6, 2)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (spec(Storage(None, 2_048)), ErrorCode.TOPIC_INVALID_CONFIGURATION),
        (spec(Storage(4_096, 3_000)), ErrorCode.TOPIC_INVALID_CONFIGURATION),
        (spec(Storage(1_024, 1_024)), ErrorCode.TOPIC_INVALID_CONFIGURATION),
        (spec(Storage(1_024, 2_048)), ErrorCode.NONE),
        (spec(Storage(None, 1 << 30)), ErrorCode.NONE),
        (spec(uses="my/own@1.0.0"), ErrorCode.DEDUPLICATION_NOT_LOADED),
        (spec(uses="my/own@"), ErrorCode.DEDUPLICATION_NAME_INVALID),
        (spec(uses="fluvio/dedup-bloom-filter@0.1.0"), ErrorCode.NONE),
    ],
)
async def test_settings_that_a_topic_may_have(
    tmp_path: Path, wanted: TopicSpec, code: ErrorCode
) -> None:
    async with clients(tmp_path) as (sc, _):
        answer = await sc.create_spec("topic", wanted)
        assert answer.error.code == code
        assert bool(answer.message) == bool(code)


async def test_another_compression_is_refused(tmp_path: Path) -> None:
    async with clients(tmp_path) as (sc, spu):
        await sc.create_spec("packed", spec(compression=Compression.LZ4))
        (answer,) = await spu.produce("packed", batch_of(b"plain"))
        assert answer.error == Failure(ErrorCode.COMPRESSION_ERROR)
        assert (await spu.ends("packed")).end_offset == 0


async def test_a_batch_larger_than_a_segment_is_too_large(tmp_path: Path) -> None:
    async with clients(tmp_path) as (sc, spu):
        await sc.create_spec("small", spec(Storage(1_024)))
        answers = await spu.produce("small", batch_of(bytes(2_000)), batch_of(bytes(900)))
        assert [item.error.code for item in answers] == [
            ErrorCode.MESSAGE_TOO_LARGE,
            ErrorCode.NONE,
        ]


async def test_duplicates_are_acknowledged_and_not_there(tmp_path: Path) -> None:
    async with clients(tmp_path) as (sc, spu):
        await sc.create_spec("once", spec(uses="infinyon-labs/dedup-filter@0.0.2"))
        for _ in range(2):
            pairs = [(b"k1", b"1"), (b"k2", b"2"), (b"k1", b"3")]
            (answer,) = await spu.produce("once", encode_batch(pairs))
            assert not answer.error
        assert answer.base_offset == 2
        assert values_in((await fetch(spu, "once", 0)).records) == [b"1", b"2"]


async def test_damage_ends_a_stream_with_words(tmp_path: Path) -> None:
    async with clients(tmp_path) as (sc, spu):
        await sc.create_spec("hurt", spec(Storage(2 * BATCH)))
        await spu.produce("hurt", *(batch_of(b"%d" % number * 900) for number in range(4)))
    (path, _) = sorted((tmp_path / "topics" / "hurt" / "0").glob("*.log"))
    content = bytearray(path.read_bytes())
    content[BATCH + 100] ^= 1
    path.write_bytes(content)
    async with clients(tmp_path) as (_, spu):
        stream = spu.stream("hurt", 0)
        first = await spu.answer(stream)
        assert values_in(first.partition.records) == [b"0" * 900]
        await spu.acknowledge(first.stream_id, 1)
        failure = (await spu.answer(stream)).partition.error
        assert failure.code == ErrorCode.OTHER
        assert "hurt-0" in failure.details[0]
        assert "offsets 1 to 1" in failure.details[0]
        assert "read on from offset 2" in failure.details[0]
        assert values_in((await fetch(spu, "hurt", 2)).records) == [b"2" * 900, b"3" * 900]


async def test_committed_is_what_the_durability_promises(tmp_path: Path) -> None:
    async with clients(tmp_path, Durability.POWER) as (sc, spu):
        await sc.create("safe")
        await spu.produce("safe", batch_of(b"a", b"b"))
        found = await fetch(spu, "safe", 0, data.READ_COMMITTED)
        assert (found.high_watermark, values_in(found.records)) == (2, [b"a", b"b"])
        assert (await spu.ends("safe")).end_offset == 2
    async with clients(tmp_path, Durability.POWER) as (_, spu):
        assert (await spu.ends("safe")).end_offset == 2
        request = data.StreamFetchRequest("safe", 0, 0, 1_000_000, isolation=data.READ_COMMITTED)
        answer = await spu.answer(spu.send(data.STREAM_FETCH, request))
        assert values_in(answer.partition.records) == [b"a", b"b"]


async def test_a_deep_read_after_a_start_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qd_fluvio.broker.segment._SLICE_BYTES", 4_096)
    async with clients(tmp_path) as (sc, spu):
        await sc.create("deep")
        await spu.produce("deep", *[batch_of(b"") * BATCHES_MAX] * 4)
    offset = 4 * BATCHES_MAX - 1
    for streaming in (True, False):
        async with clients(tmp_path) as (sc, spu):
            reading = asyncio.create_task(
                streamed(spu, "deep", offset) if streaming else fetch(spu, "deep", offset)
            )
            served = 0
            while not reading.done():
                await sc.objects(TOPIC)
                served += 1
            assert values_in((await reading).records) == [b""]
            assert served > 5


async def test_a_client_that_leaves_leaves_no_topic_half_made(tmp_path: Path) -> None:
    settings = BrokerSettings(tmp_path)
    async with broker(settings) as found, both(found) as (sc, spu):
        async with connected(found.sc) as hasty:
            wanted = admin.CreateTopic("new", False, None, spec())
            hasty.send(admin.CREATE, admin.CreateRequest(Labelled(TOPIC, wanted)))
            await hasty.writer.drain()
            hasty.writer.close()
        async with asyncio.timeout(WAIT_S_MAX):
            while not (await sc.objects(TOPIC)).objects:
                pass
        (answer,) = await spu.produce("new", batch_of(b"a"))
        assert not answer.error
        async with connected(found.sc) as hasty:
            doomed = Labelled(TOPIC, admin.DeleteByName("new"))
            hasty.send(admin.DELETE, admin.DeleteRequest(doomed))
            await hasty.writer.drain()
            hasty.writer.close()
        async with asyncio.timeout(WAIT_S_MAX):
            while (await sc.create("new")).error:
                pass
        assert (await spu.ends("new")).end_offset == 0


async def test_consumers_of_a_deleted_topic_are_gone(tmp_path: Path) -> None:
    async with clients(tmp_path, Durability.POWER) as (sc, spu):
        await sc.create("read")
        await spu.produce("read", batch_of(b"a"))
        first = await spu.answer(spu.stream("read", 0, consumer="me"))
        update = data.UpdateConsumerRequest(0, first.stream_id)
        assert not (await spu.call(data.UPDATE_CONSUMER, update)).error
        asked = data.FetchConsumersRequest()
        assert len((await spu.call(data.FETCH_CONSUMERS, asked)).consumers) == 1
        await sc.delete("read")
        assert (await spu.call(data.FETCH_CONSUMERS, asked)).consumers == ()
    async with clients(tmp_path) as (_, spu):
        assert (await spu.call(data.FETCH_CONSUMERS, asked)).consumers == ()


async def test_what_was_begun_is_done_before_the_files_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a topic's deletion whose client is gone, except the broker."""
    begun, may_go_on, remove = asyncio.Event(), threading.Event(), Catalog._remove
    loop = asyncio.get_running_loop()

    def late(catalog: Catalog, name: str) -> None:
        loop.call_soon_threadsafe(begun.set)
        may_go_on.wait()
        remove(catalog, name)

    async def go_on_when_closed(client: WireClient) -> None:
        with contextlib.suppress(ConnectionError):
            await client.closed()
        may_go_on.set()

    monkeypatch.setattr(Catalog, "_remove", late)
    async with contextlib.AsyncExitStack() as outside:
        async with broker(BrokerSettings(tmp_path)) as found:
            sc = await outside.enter_async_context(connected(found.sc))
            spu = await outside.enter_async_context(connected(found.spu))
            for name in ("kept", "doomed"):
                await sc.create(name)
                await spu.produce(name, batch_of(b"0"))
                stream = await spu.answer(spu.stream(name, 0, consumer="c"))
                commit = data.UpdateConsumerRequest(0, stream.stream_id)
                assert not (await spu.call(data.UPDATE_CONSUMER, commit)).error
            doomed = Labelled(TOPIC, admin.DeleteByName("doomed"))
            sc.send(admin.DELETE, admin.DeleteRequest(doomed))
            await begun.wait()
            going_on = asyncio.create_task(go_on_when_closed(sc))
        await going_on
    left = ConsumerOffsets(tmp_path / "consumers.log")
    assert [item.replica.topic for item in left.find(None)] == ["kept"]
    left.close()


async def test_nothing_is_committed_for_a_topic_that_was_just_deleted(tmp_path: Path) -> None:
    """A topic made anew under its name would be read from where the old one was left."""
    async with clients(tmp_path) as (sc, spu):
        await sc.create("t")
        for _ in range(4):
            await spu.produce("t", batch_of(bytes(1_000_000)))
        spu.pause()
        for _ in range(4):  # more than the sockets hold: the streams go on when it is read
            spu.stream("t", 0, max_bytes=2**31 - 1, consumer="c")
        await sc.delete("t")
        await sc.create("t")
        commits = [
            spu.send(data.UPDATE_CONSUMER, data.UpdateConsumerRequest(3, number))
            for number in range(1, 5)
        ]
        spu.resume()
        for number in commits:
            assert (await spu.answer(number)).error.code == ErrorCode.FETCH_SESSION_NOT_FOUND
        found = await spu.call(data.FETCH_CONSUMERS, data.FetchConsumersRequest(None))
        assert found.consumers == ()
