"""What a native consumer holds, frees and makes of what a leader says of its partition's end."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace

import pytest

from qd_fluvio import Fluvio, Isolation, Limits, Offset, OffsetOutOfRange, connect
from qd_fluvio.native.consumer import YIELD_BYTES
from qd_fluvio.native.link import Link
from qd_fluvio.wire import data
from qd_fluvio.wire.compression import Compression
from qd_fluvio.wire.failures import ErrorCode, Failure
from qd_fluvio.wire.frames import Request
from qd_fluvio.wire.records import encode_batch
from qd_schemas.specs import ClientKind, FluvioSettings
from support.spoiled import TOPIC, Peer, Spoiled, spoiled, tell


def native(cluster: Spoiled) -> FluvioSettings:
    return FluvioSettings(cluster.endpoint, ClientKind.NATIVE)


def batch(first: int, count: int) -> bytes:
    return encode_batch([(None, b"x")] * count, base_offset=first)


async def five(peer: Peer, request: Request) -> None:
    """A leader with five records."""
    if request.body.fetch_offset < 5:
        peer.portion(request, batch(0, 5))
    elif request.body.fetch_offset > 5:
        peer.portion(request, failure=Failure(ErrorCode.OFFSET_OUT_OF_RANGE))


async def test_replicas_that_lag_behind_what_was_read(impatient: Limits) -> None:
    """The end that a leader tells is the one that all replicas have: one may be down for long."""

    async def behave(peer: Peer, request: Request) -> None:
        if len(cluster.asked(data.STREAM_FETCH)) < 4:
            await five(peer, request)
        else:
            peer.portion(request, batch(5, 1))

    limits = replace(impatient, idle_check_seconds=0.02)
    async with (
        spoiled(on_stream=behave, replicas=2, end=3) as cluster,
        connect(native(cluster), limits=limits) as fluvio,
    ):
        consumer = await fluvio.consumer(TOPIC)
        found = [record.offset async for record in consumer.read_until(6)]
        assert found == [0, 1, 2, 3, 4, 5]


async def test_a_topic_made_anew_whose_replicas_might_lag(impatient: Limits) -> None:
    """Its stream may have gone on without a word, but a new one is refused."""

    async def behave(peer: Peer, request: Request) -> None:
        if request.body.fetch_offset == 0:
            peer.portion(request, batch(0, 5))
        else:
            peer.portion(request, failure=Failure(ErrorCode.OFFSET_OUT_OF_RANGE))

    limits = replace(impatient, idle_check_seconds=0.02)
    async with (
        spoiled(on_stream=behave, replicas=2, end=3) as cluster,
        connect(native(cluster), limits=limits) as fluvio,
    ):
        consumer = await fluvio.consumer(TOPIC)
        with pytest.raises(OffsetOutOfRange):
            async for _ in consumer:
                pass
        assert consumer.next_offset == 5


@pytest.mark.parametrize(
    ("replicas", "isolation", "offset"),
    [
        (1, Isolation.READ_UNCOMMITTED, 0),
        (2, Isolation.READ_COMMITTED, 0),
        (2, Isolation.READ_UNCOMMITTED, 4),  # that is asked for, and was not read before
    ],
)
async def test_an_end_that_does_not_lag(
    replicas: int, isolation: Isolation, offset: int, impatient: Limits
) -> None:
    limits = replace(impatient, idle_check_seconds=0.02)
    async with (
        spoiled(on_stream=five, replicas=replicas, end=3) as cluster,
        connect(native(cluster), limits=limits) as fluvio,
    ):
        with pytest.raises(OffsetOutOfRange, match="offsets 0 to 3"):
            await all_of(fluvio, isolation, offset)


async def all_of(fluvio: Fluvio, isolation: Isolation, offset: int) -> None:
    consumer = await fluvio.consumer(TOPIC, isolation=isolation, offset=Offset.absolute(offset))
    async for _ in consumer:
        pass


async def test_a_consumer_that_is_dropped_frees_its_stream() -> None:
    async def behave(peer: Peer, request: Request) -> None:
        peer.portion(request, batch(request.body.fetch_offset, 1))

    async with spoiled(on_stream=behave) as cluster, connect(native(cluster)) as fluvio:
        dropped = await fluvio.consumer(TOPIC)
        await anext(dropped)
        link: Link = dropped._stream.link  # type: ignore[attr-defined]
        kept = await fluvio.consumer(TOPIC)
        assert link.users == 2
        # Whoever waited is looked after for a while: as if that were over.
        dropped._idle_timer.cancel()  # type: ignore[attr-defined]
        del dropped
        gc.collect()
        await anext(kept)
        await asyncio.sleep(0)  # it is freed in the loop's next turn
        assert (link.users, link.abandoned_streams) == (1, 1)


async def test_records_that_were_compressed_to_little_are_given_out_little_by_little() -> None:
    """Else some thousand bytes would become gigabytes at once."""
    count = 10
    small = b"".join(
        encode_batch(
            [(None, bytes(YIELD_BYTES // 4))] * 2, base_offset=2 * n, compression=Compression.ZSTD
        )
        for n in range(count)
    )
    assert len(small) < YIELD_BYTES // 20

    async def behave(peer: Peer, request: Request) -> None:
        peer.portion(request, small)

    async with spoiled(on_stream=behave) as cluster, connect(native(cluster)) as fluvio:
        consumer = await fluvio.consumer(TOPIC)
        sizes: list[int] = []
        async for records in consumer.batches():
            sizes.append(len(records))
            if sum(sizes) == 2 * count:
                break
        assert max(sizes) <= 4


@pytest.mark.parametrize("offsets", ["told", "not told"])
async def test_who_waits_sees_the_end_of_a_closed_consumer(offsets: str, impatient: Limits) -> None:
    """Also while it asks whether its stream still lives."""
    asked = asyncio.Event()

    async def behave(peer: Peer, request: Request) -> None:
        if len(cluster.asked(data.FETCH_OFFSETS)) == 1:
            await tell(peer, request)
        else:
            asked.set()
            if offsets == "told":
                await tell(peer, request)

    limits = replace(impatient, idle_check_seconds=0.02, reconnect_seconds=0)
    async with spoiled(on_offsets=behave) as cluster:
        async with connect(native(cluster), limits=limits) as fluvio:
            consumer = await fluvio.consumer(TOPIC)
            waiting = asyncio.ensure_future(anext(consumer))
            await asked.wait()
            await consumer.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting
