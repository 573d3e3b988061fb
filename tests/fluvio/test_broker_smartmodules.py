"""SmartModules in a broker process: what consumers get, what producers store, what fails."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import Any

import pytest

from qd_fluvio.broker.smartmodules.records import take_block
from qd_fluvio.wire import admin, data
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.compression import Compression, compression_of, decompress
from qd_fluvio.wire.failures import OK, ErrorCode, Failure
from qd_fluvio.wire.metadata import Duration
from qd_fluvio.wire.modules import ModuleSpec, ModuleWasm
from qd_fluvio.wire.records import (
    HEADER_BYTES,
    Batch,
    WireRecord,
    decode_records,
    encode_batch,
    iter_batches,
)
from qd_fluvio.wire.smartmodules import (
    AdHocModule,
    AggregateKind,
    FilterKind,
    GenericKind,
    Invocation,
    Lookback,
    NoContext,
    StoredModule,
)
from support import wat
from support.broker import Ports, WireClient, batch_of, connected, values_in

_serial = itertools.count()


@pytest.fixture
async def topic(ports: Ports) -> str:
    """A new topic with one partition."""
    name = f"modules-{next(_serial)}"
    async with connected(ports.sc) as sc:
        assert not (await sc.create(name)).error
    return name


def start(
    spu: WireClient,
    topic: str,
    *modules: Invocation,
    offset: int = 0,
    max_bytes: int = 1_000_000,
    version: int = 24,
) -> int:
    """Start a stream through these modules; gives its correlation id."""
    request = data.StreamFetchRequest(topic, 0, offset, max_bytes, 0, modules)
    return spu.send(data.STREAM_FETCH, request, version)


async def first(spu: WireClient, topic: str, *modules: Invocation, **more: Any) -> Any:
    """The first portion of such a stream."""
    return (await spu.answer(start(spu, topic, *modules, **more))).partition


def survivors(partition: data.FetchedPartition) -> list[WireRecord]:
    """The records of a portion, numbered as official clients number them."""
    return [
        record
        for batch in iter_batches(partition.records)
        for record in _opened(memoryview(partition.records), batch)
    ]


def _opened(records: memoryview, batch: Batch) -> list[WireRecord]:
    """The batch's header counts the offsets that were passed, not the records."""
    body = records[batch.start + HEADER_BYTES : batch.end]
    opened = decompress(compression_of(batch.attributes), body)
    block, _ = take_block(memoryview(opened))
    return decode_records(records, replace(batch, record_count=block.count))


def values(partition: data.FetchedPartition) -> list[bytes]:
    return [record.value for record in survivors(partition)]


def counted(partition: data.FetchedPartition) -> int:
    """How many offsets the portion says it passed."""
    return sum(batch.record_count for batch in iter_batches(partition.records))


FRUIT = (batch_of(b"apple", b"pear", b"banana"), batch_of(b"plum"), batch_of(b"fig", b"kiwi"))
ALL = [b"apple", b"pear", b"banana", b"plum", b"fig", b"kiwi"]


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        ((wat.KEEP_ALL,), ALL),
        ((wat.EVERY_SECOND,), [b"apple", b"banana", b"plum", b"fig"]),
        ((wat.UPPER,), [value.upper() for value in ALL]),
        ((wat.TWICE,), 2 * ALL[:3] + 2 * ALL[3:4] + 2 * ALL[4:]),
        ((wat.COUNT,), [b"\x03", b"\x04", b"\x06"]),
        ((wat.EVERY_SECOND, wat.UPPER), [b"APPLE", b"BANANA", b"PLUM", b"FIG"]),
        ((wat.TWICE, wat.EVERY_SECOND), [*(ALL[i] for i in (0, 2, 1, 3)), b"fig", b"fig"]),
        ((wat.WASI,), ALL),
    ],
    ids=["filter", "half", "map", "array-map", "aggregate", "two", "other-two", "wasi"],
)
async def test_what_consumers_get(
    ports: Ports, topic: str, modules: tuple[bytes, ...], expected: list[bytes]
) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, *FRUIT)
        portion = await first(spu, topic, *(wat.ad_hoc(module) for module in modules))
        assert portion.error == OK
        assert values(portion) == expected
        found = survivors(portion)
        assert [record.offset for record in found] == list(range(len(expected)))
        assert {record.timestamp_ms for record in found} == {-1}  # a real SPU loses them too
        assert portion.next_filter_offset == counted(portion) == 6
        assert (portion.log_start_offset, portion.high_watermark) == (0, 6)


@pytest.mark.parametrize("version", [19, 20, 21, 22, 23, 24, 25])
async def test_every_version_of_the_request(ports: Ports, topic: str, version: int) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, *FRUIT)
        portion = await first(spu, topic, wat.ad_hoc(wat.UPPER), version=version)
        assert values(portion) == [value.upper() for value in ALL]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FilterKind(), b"\x03"),
        (AggregateKind(b"\x10"), b"\x13"),
        (GenericKind(AggregateKind(b"\x20")), b"\x23"),
        (GenericKind(NoContext()), b"\x03"),
    ],
)
async def test_an_accumulator_begins_where_the_request_says(
    ports: Ports, topic: str, kind: Any, expected: bytes
) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, FRUIT[0])
        assert values(await first(spu, topic, wat.ad_hoc(wat.COUNT, kind=kind))) == [expected]


@pytest.mark.parametrize("kind", list(Compression))
async def test_compressed_batches(ports: Ports, topic: str, kind: Compression) -> None:
    packed = encode_batch([(b"k", b"apple"), (None, b"pear")], compression=kind)
    async with connected(ports.spu) as spu:
        await spu.produce(topic, packed)
        portion = await first(spu, topic, wat.ad_hoc(wat.EVERY_SECOND))
        assert [(item.key, item.value) for item in survivors(portion)] == [(b"k", b"apple")]
        (batch,) = iter_batches(portion.records)
        assert compression_of(batch.attributes) is kind


async def test_a_stored_module(ports: Ports, topic: str) -> None:
    spec = ModuleSpec(wasm=ModuleWasm(payload=wat.UPPER))
    wanted = Labelled("SmartModule", admin.CreateModule("upper", False, None, spec))
    async with connected(ports.sc) as sc, connected(ports.spu) as spu:
        assert not (await sc.call(admin.CREATE, admin.CreateRequest(wanted))).error
        await spu.produce(topic, *FRUIT)
        stored = Invocation(StoredModule("upper"), FilterKind())
        portion = await first(spu, topic, wat.ad_hoc(wat.EVERY_SECOND), stored)
        assert values(portion) == [b"APPLE", b"BANANA", b"PLUM", b"FIG"]


async def test_what_comes_later_passes_too(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu, connected(ports.spu) as producer:
        stream = start(spu, topic, wat.ad_hoc(wat.COUNT))
        for expected in (b"\x02", b"\x04"):
            await producer.produce(topic, batch_of(b"x", b"y"))
            answer = await spu.answer(stream)
            assert values(answer.partition) == [expected]
            end = answer.partition.next_filter_offset
            assert not await spu.acknowledge(answer.stream_id, end)


async def test_a_client_that_stops_at_the_end_gets_there(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, *FRUIT)
        portion = await first(spu, topic, wat.ad_hoc(wat.DROP_ALL))
        assert values(portion) == []
        assert (counted(portion), portion.next_filter_offset) == (6, 6)


@pytest.mark.parametrize(("offset", "expected"), [(1, ALL[1:]), (3, ALL[3:]), (5, ALL[5:])])
async def test_a_stream_begins_within_a_batch(
    ports: Ports, topic: str, offset: int, expected: list[bytes]
) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, *FRUIT)
        portion = await first(spu, topic, wat.ad_hoc(wat.KEEP_ALL), offset=offset)
        assert values(portion) == expected
        assert [item.offset for item in survivors(portion)] == list(range(offset, 6))
        assert counted(portion) == 6 - offset


@pytest.mark.parametrize("max_bytes", [1, 40, 100, 1_000])
async def test_nothing_is_lost_at_the_limit(ports: Ports, topic: str, max_bytes: int) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, *(batch_of(b"%d" % index * 9) for index in range(10)))
        stream = start(spu, topic, wat.ad_hoc(wat.COUNT), max_bytes=max_bytes)
        found: list[bytes] = []
        end = 0
        while end < 10:
            answer = await spu.answer(stream)
            assert answer.partition.error == OK
            found += values(answer.partition)
            end = answer.partition.next_filter_offset
            await spu.acknowledge(answer.stream_id, end)
        assert found == [bytes([count]) for count in range(1, 11)]


async def test_a_client_may_go_back(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, *FRUIT)
        stream = start(spu, topic, wat.ad_hoc(wat.UPPER), max_bytes=20)
        answer = await spu.answer(stream)
        await spu.acknowledge(answer.stream_id, 0)
        assert (await spu.answer(stream)).partition == answer.partition


async def test_a_modules_own_error_comes_after_its_records(ports: Ports, topic: str) -> None:
    details = ("sorry!", 7, 1, b"k", b"v")
    async with connected(ports.spu) as spu:
        await spu.produce(topic, *FRUIT)
        stream = start(spu, topic, wat.ad_hoc(wat.FAILING))
        for expected, end in ((ALL[:3], 3), (ALL[3:4], 4), (ALL[4:], 6)):
            answer = await spu.answer(stream)
            assert answer.partition.error == Failure(ErrorCode.SMARTMODULE_RUNTIME_ERROR, details)
            assert values(answer.partition) == expected
            assert answer.partition.next_filter_offset == end
            await spu.acknowledge(answer.stream_id, end)


_INIT, _OTHER = ErrorCode.SMARTMODULE_CHAIN_INIT_ERROR, ErrorCode.OTHER


@pytest.mark.parametrize(
    ("module", "code", "text"),
    [
        (wat.REFUSING_INIT, _INIT, "no key!\n\nSmartModule Init Error: \n"),
        (wat.NO_TRANSFORM, _INIT, "No valid smartmodule found"),
        (wat.NO_IMPORT, _INIT, "Failed to instantiate: At least one import is required"),
        (
            wat.UNKNOWN_IMPORT,
            _INIT,
            "Failed to instantiate: unknown import: `env::fly` has not been defined",
        ),
        (wat.OLD_SIGNATURE, _INIT, "type mismatch: found filter(i32, i32) -> i32"),
        (b"\0asm\1\0\0\0\xff", _INIT, "failed to parse WebAssembly module"),
        (b"(module)", _INIT, "found bytes b'(mod' at a module's start"),
        (wat.TRAPPING, _OTHER, "SmartModule err error while executing at wasm backtrace"),
        (wat.GREEDY, _OTHER, "SmartModule err error while executing at wasm backtrace"),
        (wat.BAD_STATUS, _OTHER, "SmartModule err failed to decode SmartModule record input"),
        (wat.SILENT, _OTHER, "SmartModule err the module's output cannot be read"),
    ],
)
async def test_what_cannot_run_says_why(
    ports: Ports, topic: str, module: bytes, code: int, text: str
) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, *FRUIT)
        portion = await first(spu, topic, wat.ad_hoc(module))
        assert portion.error.code == code
        assert portion.error.details[0].startswith(text)
        assert values(portion) == []
        # The connection is as good as before.
        assert values(await first(spu, topic, wat.ad_hoc(wat.KEEP_ALL))) == ALL


async def test_too_much_memory_and_bytes_that_are_no_module(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        refused = await first(spu, topic, wat.ad_hoc(wat.LARGE))
        assert refused.error.code == ErrorCode.SMARTMODULE_MEMORY_LIMIT_EXCEEDED
        assert refused.error.details[0] == 40_000 * 65_536
        junk = Invocation(AdHocModule(b"junk"), FilterKind())
        refused = await first(spu, topic, junk)
        assert refused.error.code == ErrorCode.SMARTMODULE_INVALID
        chain = [wat.ad_hoc(wat.KEEP_ALL)] * 17
        refused = await first(spu, topic, *chain)
        assert "found 17 SmartModules, expected at most 16" in refused.error.details[0]


async def test_a_module_that_never_ends_delays_nobody(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as hostile, connected(ports.spu) as other:
        await other.produce(topic, *FRUIT)
        start(hostile, topic, wat.ad_hoc(wat.ENDLESS))
        # The pool has another thread, and plain calls need none.
        assert values(await first(other, topic, wat.ad_hoc(wat.UPPER)))[0] == b"APPLE"
        assert (await other.ends(topic)).end_offset == 6


@pytest.mark.parametrize(
    ("lookback", "expected"),
    [
        (None, 99),
        (Lookback(0), 0),
        (Lookback(2), 2),
        (Lookback(4), 4),
        (Lookback(1_000), 6),
        (Lookback(0, Duration(3_600, 0)), 3),
        (Lookback(2, Duration(3_600, 0)), 2),
        (Lookback(5, Duration(3_600, 0)), 3),
        (Lookback(0, Duration(10**9, 0)), 6),
    ],
)
async def test_looking_back(
    ports: Ports, topic: str, lookback: Lookback | None, expected: int
) -> None:
    now_ms = time.time_ns() // 1_000_000
    old = encode_batch([(None, b"x")] * 3, timestamp_ms=now_ms - 7_200_000)
    new = encode_batch([(None, b"y")] * 3, timestamp_ms=now_ms)
    async with connected(ports.spu) as spu:
        await spu.produce(topic, old, new)
        portion = await first(spu, topic, wat.ad_hoc(wat.LOOKING_BACK, lookback=lookback))
        assert values(portion)[0] == bytes([expected])


async def test_a_module_refuses_what_it_looks_back_at(ports: Ports, topic: str) -> None:
    text = "late\n\nSmartModule Lookback Error: \n    Offset: 3\n    Key: NULL\n    Value: old"
    async with connected(ports.spu) as spu:
        await spu.produce(topic, *FRUIT)
        module = wat.ad_hoc(wat.REFUSING_LOOK_BACK, lookback=Lookback(1))
        portion = await first(spu, topic, module)
        assert portion.error == Failure(ErrorCode.SMARTMODULE_LOOKBACK_ERROR, (text,))


async def produced(
    spu: WireClient, topic: str, module: bytes, *batches: bytes
) -> data.ProducedPartition:
    """Produce through a module."""
    item = data.ProducePartition(0, b"".join(batches))
    request = data.ProduceRequest(
        None, 1, 1_500, (data.ProduceTopic(topic, (item,)),), (wat.ad_hoc(module),)
    )
    return (await spu.call(data.PRODUCE, request)).topics[0].partitions[0]


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (wat.UPPER, [value.upper() for value in ALL]),
        (wat.EVERY_SECOND, [b"apple", b"banana", b"plum", b"fig"]),
        (wat.TWICE, 2 * ALL[:3] + 2 * ALL[3:4] + 2 * ALL[4:]),
    ],
)
async def test_what_producers_store(
    ports: Ports, topic: str, module: bytes, expected: list[bytes]
) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, batch_of(b"before"))
        answer = await produced(spu, topic, module, *FRUIT)
        assert (answer.error, answer.base_offset) == (OK, 1)
        assert (await spu.ends(topic)).end_offset == 1 + len(expected)
        found = (await spu.answer(spu.stream(topic, 1))).partition
        assert values_in(found.records) == expected
        times = {batch.first_timestamp_ms for batch in iter_batches(found.records)}
        assert times == {1_700_000_000_000}


async def test_producing_what_is_dropped_or_refused(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        answer = await produced(spu, topic, wat.DROP_ALL, *FRUIT)
        assert (answer.error, answer.base_offset) == (OK, 0)
        answer = await produced(spu, topic, wat.FAILING, *FRUIT)
        assert answer.error.code == ErrorCode.SMARTMODULE_RUNTIME_ERROR
        answer = await produced(spu, topic, wat.TRAPPING, *FRUIT)
        assert answer.error.details[0].startswith("smartmodule chain failed: error while")
        assert (await spu.ends(topic)).end_offset == 0
        assert (await produced(spu, topic, wat.KEEP_ALL, FRUIT[0])).error == OK


async def test_compressed_batches_are_stored_compressed(ports: Ports, topic: str) -> None:
    packed = encode_batch([(None, b"pear"), (None, b"fig")], compression=Compression.ZSTD)
    async with connected(ports.spu) as spu:
        assert (await produced(spu, topic, wat.EVERY_SECOND, packed)).error == OK
        found = (await spu.answer(spu.stream(topic, 0))).partition
        (batch,) = iter_batches(found.records)
        assert compression_of(batch.attributes) is Compression.ZSTD
        assert values_in(found.records) == [b"pear"]
