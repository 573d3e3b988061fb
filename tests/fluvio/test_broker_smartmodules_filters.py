"""Topics whose duplicates a SmartModule of the cluster finds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qd_fluvio.wire import admin
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.compression import Compression
from qd_fluvio.wire.failures import OK, ErrorCode
from qd_fluvio.wire.metadata import Compression as CompressionPolicy
from qd_fluvio.wire.metadata import (
    ComputedReplicas,
    Deduplication,
    DeduplicationBounds,
    DeduplicationTransform,
    TopicSpec,
)
from qd_fluvio.wire.modules import ModuleSpec, ModuleWasm
from qd_fluvio.wire.records import encode_batch
from support import wat
from support.broker import Ports, WireClient, batch_of, connected, values_in
from support.processes import running


@contextmanager
def broker(folder: Path) -> Iterator[Ports]:
    """A broker on that folder."""
    with running("qd_fluvio.broker", "--data", str(folder / "data"), folder=folder) as ready:
        yield Ports(ready["endpoint"], ready["spu"], folder / "qd_fluvio.broker.log")


async def store(sc: WireClient, name: str, wasm: bytes) -> None:
    """Keep a module in the cluster."""
    spec = ModuleSpec(wasm=ModuleWasm(payload=wasm))
    wanted = Labelled("SmartModule", admin.CreateModule(name, False, None, spec))
    assert not (await sc.call(admin.CREATE, admin.CreateRequest(wanted))).error


async def create(
    sc: WireClient, name: str, uses: str, compression: CompressionPolicy = CompressionPolicy.ANY
) -> int:
    """Make a topic that drops duplicates so; gives the code."""
    bounds = DeduplicationBounds(100)
    wanted = Deduplication(bounds, DeduplicationTransform(uses))
    spec = TopicSpec(ComputedReplicas(1), deduplication=wanted, compression=compression)
    return (await sc.create_spec(name, spec)).error.code


async def stored(spu: WireClient, topic: str) -> list[bytes]:
    """All records of the topic."""
    return values_in((await spu.answer(spu.stream(topic, 0))).partition.records)


async def test_a_filter_sees_what_the_partition_has(tmp_path: Path) -> None:
    with broker(tmp_path) as ports:
        async with connected(ports.sc) as sc, connected(ports.spu) as spu:
            await store(sc, "once", wat.ONCE)
            assert await create(sc, "topic", "once") == OK.code
            (first, second) = await spu.produce("topic", batch_of(b"a", b"b"), batch_of(b"c"))
            assert (first.error, first.base_offset) == (OK, 0)
            assert (second.error, second.base_offset) == (OK, 2)  # nothing kept
            assert await stored(spu, "topic") == [b"a", b"b"]
    with broker(tmp_path) as ports:
        async with connected(ports.spu) as spu:
            (again,) = await spu.produce("topic", batch_of(b"d"))
            assert (again.error, again.base_offset) == (OK, 2)
            assert await stored(spu, "topic") == [b"a", b"b"]


async def test_partitions_are_written_in_turn(ports: Ports) -> None:
    async with connected(ports.sc) as sc:
        await store(sc, "keep", wat.KEEP_ALL)
        assert await create(sc, "turns", "keep") == OK.code

    async def write(number: int) -> None:
        async with connected(ports.spu) as spu:
            for index in range(20):
                (item,) = await spu.produce("turns", batch_of(b"%d:%d" % (number, index)))
                assert item.error == OK

    await asyncio.gather(*(write(number) for number in range(4)))
    async with connected(ports.spu) as spu:
        found = [value.split(b":") for value in await stored(spu, "turns")]
    for number in range(4):
        own = [int(index) for owner, index in found if int(owner) == number]
        assert own == list(range(20))


async def test_one_filter_sees_all_that_is_written_at_once(ports: Ports) -> None:
    async with connected(ports.sc) as sc:
        await store(sc, "single", wat.ONCE)
        assert await create(sc, "rush", "single") == OK.code

    async def write(number: int) -> None:
        async with connected(ports.spu) as spu:
            (item,) = await spu.produce("rush", batch_of(b"%d" % number))
            assert item.error == OK

    await asyncio.gather(*(write(number) for number in range(6)))
    async with connected(ports.spu) as spu:
        assert len(await stored(spu, "rush")) == 1


async def test_a_filter_forgets_what_was_not_written(ports: Ports) -> None:
    async with connected(ports.sc) as sc, connected(ports.spu) as spu:
        await store(sc, "strict", wat.ONCE)
        assert await create(sc, "packed", "strict", CompressionPolicy.GZIP) == OK.code
        packed = encode_batch([(None, b"a")], compression=Compression.GZIP)
        (refused, kept) = await spu.produce("packed", batch_of(b"a"), packed)
        assert refused.error.code == ErrorCode.COMPRESSION_ERROR
        assert (kept.error, await stored(spu, "packed")) == (OK, [b"a"])


async def test_filters_that_are_not_there_or_fail(ports: Ports) -> None:
    async with connected(ports.sc) as sc, connected(ports.spu) as spu:
        assert await create(sc, "nope", "nope") == ErrorCode.DEDUPLICATION_NOT_LOADED
        await store(sc, "refuses", wat.REFUSING_INIT)
        assert await create(sc, "fails", "refuses") == OK.code
        (item,) = await spu.produce("fails", batch_of(b"a"))
        assert item.error.code == ErrorCode.SMARTMODULE_CHAIN_INIT_ERROR
        await store(sc, "refuses", wat.KEEP_ALL)
        (item,) = await spu.produce("fails", batch_of(b"a"))
        assert item.error == OK
        await store(sc, "traps", wat.TRAPPING)
        assert await create(sc, "ends", "traps") == OK.code
        (item,) = await spu.produce("ends", batch_of(b"a"))
        assert item.error.details[0].startswith("smartmodule chain failed:")
        assert (await spu.ends("ends")).end_offset == 0


async def test_a_topic_may_go_while_its_filter_stays(ports: Ports) -> None:
    async with connected(ports.sc) as sc, connected(ports.spu) as spu:
        await store(sc, "first", wat.ONCE)
        for _ in range(2):  # a new topic of that name has seen nothing
            assert await create(sc, "gone", "first") == OK.code
            (item,) = await spu.produce("gone", batch_of(b"a"))
            assert (item.error, await stored(spu, "gone")) == (OK, [b"a"])
            assert not (await sc.delete("gone")).error
