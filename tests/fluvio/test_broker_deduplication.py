"""Topics that drop duplicates, and topics that want one compression."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_fluvio.broker.catalog import Catalog
from qd_fluvio.broker.deduplication import Deduplicator, native_filter
from qd_fluvio.broker.errors import (
    CompressionRefused,
    DeduplicationNameInvalid,
    DeduplicationUnknown,
    InvalidTopicSettings,
)
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.policy import LogPolicy
from qd_fluvio.broker.settings import DEDUPLICATION_RECORDS_MAX
from qd_fluvio.broker.transform import Transform
from qd_fluvio.errors import FluvioError, LogError
from qd_fluvio.wire import compression
from qd_fluvio.wire.metadata import (
    Compression,
    ComputedReplicas,
    Deduplication,
    DeduplicationBounds,
    DeduplicationTransform,
    Duration,
    TopicSpec,
)
from qd_fluvio.wire.records import WireRecord, batch_at, encode_batch
from qd_fluvio.wire.unpacking import Columns, unpack_columns
from support.broker import opened

MAX_BYTES = 1 << 20
WAIT_S_MAX = 60.0
Pair = tuple[bytes | None, bytes]


def wanted(
    count: int = 5, age: Duration | None = None, uses: str = "infinyon-labs/dedup-filter@0.0.2"
) -> Deduplication:
    return Deduplication(DeduplicationBounds(count, age), DeduplicationTransform(uses))


def open_log(folder: Path, make: Callable[[], Transform]) -> PartitionLog:
    return PartitionLog(folder, LogPolicy(2_000), make_transform=make)


@contextmanager
def opened_log(folder: Path, count: int = 5, age_ms: int = 0) -> Iterator[PartitionLog]:
    log = open_log(folder, partial(Deduplicator, count, age_ms))
    try:
        yield log
    finally:
        asyncio.run(log.close())


def append(
    log: PartitionLog,
    *records: Pair,
    at_ms: int = 1_000,
    kind: compression.Compression = compression.Compression.NONE,
) -> int:
    batch = encode_batch(records, timestamp_ms=at_ms, compression=kind)
    return asyncio.run(log.write(memoryview(bytearray(batch))))


def keyed(*keys: bytes) -> list[Pair]:
    return [(key, b"value of " + key) for key in keys]


def records_of(log: PartitionLog) -> list[WireRecord]:
    found: list[WireRecord] = []
    while (offset := log.start_offset + len(found)) < log.end_offset:
        found += opened(log.read(offset, MAX_BYTES).records)
    assert [item.offset for item in found] == list(range(log.start_offset, log.end_offset))
    return found


def keys_of(log: PartitionLog) -> list[bytes | None]:
    return [item.key for item in records_of(log)]


def test_a_key_that_came_before_is_dropped(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        assert append(log, *keyed(b"1", b"2", b"3", b"1")) == 0
        assert append(log, *keyed(b"1", b"2", b"4")) == 3
        assert append(log, *keyed(b"4", b"1")) == 4  # nothing is left: the partition's end
        assert keys_of(log) == [b"1", b"2", b"3", b"4"]
        assert log.end_offset == 4


def test_a_key_counts_with_any_value_and_else_the_value(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        append(log, (b"k", b"first"), (b"k", b"other"), (None, b"k"), (None, b"v"), (None, b"v"))
        assert [(item.key, item.value) for item in records_of(log)] == [
            (b"k", b"first"),
            (None, b"k"),
            (None, b"v"),
        ]


def test_the_oldest_is_forgotten_beyond_the_count(tmp_path: Path) -> None:
    with opened_log(tmp_path, 3) as log:
        append(log, *keyed(b"1", b"2", b"3", b"4"))
        append(log, *keyed(b"4", b"3", b"2", b"1"))
        assert keys_of(log) == [b"1", b"2", b"3", b"4", b"1"]


def test_within_the_age_nothing_is_forgotten(tmp_path: Path) -> None:
    with opened_log(tmp_path, 1, age_ms=500) as log:
        append(log, *keyed(b"1", b"2", b"3"), at_ms=1_000)
        append(log, *keyed(b"1", b"2", b"4"), at_ms=1_500)
        assert keys_of(log) == [b"1", b"2", b"3", b"4"]
        append(log, *keyed(b"5", b"1"), at_ms=1_501)
        assert keys_of(log) == [b"1", b"2", b"3", b"4", b"5", b"1"]


@pytest.mark.parametrize("kind", list(compression.Compression))
def test_what_is_left_keeps_its_time_and_compression(
    tmp_path: Path, kind: compression.Compression
) -> None:
    with opened_log(tmp_path) as log:
        append(log, *keyed(b"1", b"2"), at_ms=7, kind=kind)
        append(log, *keyed(b"2", b"3", b"1", b"4"), at_ms=9, kind=kind)
        portion = log.read(2, MAX_BYTES)
        assert portion.records[21:23] == bytes([0, kind])
        assert [(item.key, item.timestamp_ms) for item in records_of(log)] == [
            (b"1", 7),
            (b"2", 7),
            (b"3", 9),
            (b"4", 9),
        ]


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 12), min_size=1, max_size=6),
            st.integers(0, 40),
            st.booleans(),
        ),
        max_size=15,
    ),
    st.integers(1, 8),
    st.sampled_from([0, 30, 10_000]),
)
@settings(max_examples=60, deadline=None)
def test_a_restart_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[tuple[list[int], int, bool]],
    count: int,
    age_ms: int,
) -> None:
    make = partial(Deduplicator, count, age_ms)
    steady, broken = tmp_path_factory.mktemp("steady"), tmp_path_factory.mktemp("broken")
    one, two = open_log(steady, make), open_log(broken, make)
    now_ms = 1_000
    for keys, later_ms, restart in batches:
        now_ms += later_ms
        pairs = keyed(*(b"%d" % key for key in keys))
        if restart:
            two.mark_deleted()  # as a kill: nothing is written at the end
            two = open_log(broken, make)
        assert append(one, *pairs, at_ms=now_ms) == append(two, *pairs, at_ms=now_ms)
    assert records_of(one) == records_of(two)
    one.mark_deleted()
    two.mark_deleted()


def test_a_record_that_was_not_written_is_no_duplicate_later(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened_log(tmp_path) as log:
        append(log, *keyed(b"1"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.size_bytes + 10, hard))
        try:
            with pytest.raises(LogError, match="cannot write"):
                append(log, *keyed(b"1", b"2"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        append(log, *keyed(b"1", b"2"))
        assert keys_of(log) == [b"1", b"2"]


class Picky:
    """A transform that fails at some records."""

    look_back = 100

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def remember(self, records: Columns) -> None:
        self.seen += records.values

    def keep(self, records: Columns) -> Sequence[bool]:
        if b"bad" in records.values:
            raise FluvioError("found a record that I refuse")
        self.seen += records.values
        return [not value.startswith(b"no") for value in records.values]


class Slow:
    """A transform that goes on only while others do."""

    look_back = 100

    def __init__(self, others_go_on: threading.Event) -> None:
        self._others_go_on = others_go_on

    def remember(self, records: Columns) -> None:
        assert self._others_go_on.wait(WAIT_S_MAX)

    def keep(self, records: Columns) -> Sequence[bool]:
        assert self._others_go_on.wait(WAIT_S_MAX)
        return [True] * len(records.values)


@pytest.mark.parametrize("before", [0, 1])
async def test_a_slow_filter_holds_up_nobody_else(tmp_path: Path, before: int) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "quick").mkdir()
    if before:  # then looking back is slow
        log = PartitionLog(tmp_path / "slow", LogPolicy())
        log.append(memoryview(bytearray(encode_batch([(None, b"before")]))))
        log.mark_deleted()
    gate = threading.Event()
    log = open_log(tmp_path / "slow", partial(Slow, gate))
    quick = open_log(tmp_path / "quick", partial(Deduplicator, 5))
    writing = asyncio.create_task(log.write(memoryview(bytearray(encode_batch([(None, b"x")])))))
    await quick.write(memoryview(bytearray(encode_batch([(None, b"y")]))))
    assert not writing.done()
    gate.set()
    assert await writing == before
    await log.close()
    await quick.close()


async def test_writers_at_the_same_time_leave_one_of_a_kind(tmp_path: Path) -> None:
    log = open_log(tmp_path, partial(Deduplicator, 100))
    batches = [encode_batch(keyed(b"%d" % (number % 5), b"same")) for number in range(30)]
    await asyncio.gather(*(log.write(memoryview(bytearray(batch))) for batch in batches))
    assert sorted(item.key or b"" for item in records_of(log)) == [
        *(b"%d" % number for number in range(5)),
        b"same",
    ]
    await log.close()


async def test_what_a_cancelled_writer_did_not_write_is_no_duplicate(tmp_path: Path) -> None:
    log = open_log(tmp_path, partial(Deduplicator, 100))
    await log.write(memoryview(bytearray(encode_batch(keyed(b"1")))))
    writing = asyncio.create_task(log.write(memoryview(bytearray(encode_batch(keyed(b"2"))))))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await log.write(memoryview(bytearray(encode_batch(keyed(b"1", b"2")))))
    assert [item.key for item in records_of(log)] == [b"1", b"2"]
    await log.close()


def test_a_transform_of_ones_own(tmp_path: Path) -> None:
    made: list[Picky] = []

    def make() -> Picky:
        made.append(Picky())
        return made[-1]

    log = open_log(tmp_path, make)
    append(log, (None, b"yes"), (None, b"no"), (None, b"yes again"))
    with pytest.raises(FluvioError, match="I refuse"):
        append(log, (None, b"bad"))
    assert append(log, (None, b"more")) == 2
    assert [item.value for item in records_of(log)] == [b"yes", b"yes again", b"more"]
    assert made[-1].seen == [b"yes", b"yes again", b"more"]
    log.mark_deleted()


@pytest.mark.parametrize(
    "uses",
    [
        "dedup-filter",
        "infinyon-labs/dedup-filter@0.0.2",
        "fluvio/dedup-bloom-filter@0.1.0",
        "fluvio/dedup-bloom-filter",
    ],
)
def test_fluvios_filters_are_known_by_name(tmp_path: Path, uses: str) -> None:
    catalog = Catalog(tmp_path)
    spec = TopicSpec(ComputedReplicas(1), deduplication=wanted(2, Duration(1, 500_000_000), uses))
    (log,) = asyncio.run(catalog.create("topic", spec)).logs
    append(log, *keyed(b"1", b"2", b"1"))
    asyncio.run(catalog.close())
    catalog = Catalog(tmp_path)
    log = catalog.log("topic", 0)
    append(log, *keyed(b"2", b"3"), at_ms=2_500)
    assert keys_of(log) == [b"1", b"2", b"3"]
    asyncio.run(catalog.close())


@pytest.mark.parametrize(
    ("deduplication", "error", "words"),
    [
        (wanted(uses="my/filter@1.0.0"), DeduplicationUnknown, "my/filter@1.0.0"),
        (wanted(uses="fluvio/dedup-filter@"), DeduplicationNameInvalid, "expected a name"),
        (wanted(uses=""), DeduplicationNameInvalid, "expected a name"),
        (wanted(count=0), InvalidTopicSettings, "found 0 records"),
        (wanted(count=DEDUPLICATION_RECORDS_MAX + 1), InvalidTopicSettings, "expected 1 to"),
    ],
)
async def test_filters_that_there_are_not(
    tmp_path: Path, deduplication: Deduplication, error: type[FluvioError], words: str
) -> None:
    catalog = Catalog(tmp_path)
    with pytest.raises(error, match=words):
        await catalog.create("t", TopicSpec(ComputedReplicas(1), deduplication=deduplication))
    assert catalog.topics() == []


def test_memory_is_bounded_whatever_the_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qd_fluvio.broker.deduplication.DEDUPLICATION_RECORDS_MAX", 10)
    filter_ = native_filter(wanted(2, Duration(1_000_000, 0)))
    keys = [b"%d" % number for number in range(11)]
    assert all(filter_.keep(columns(keys)))
    assert filter_.keep(columns(keys[1:])) == [False] * 10
    assert filter_.keep(columns(keys[:1])) == [True]


def columns(keys: Sequence[bytes | None]) -> Columns:
    raw = encode_batch([(key, b"") for key in keys], timestamp_ms=0)
    return unpack_columns(raw, batch_at(raw, 0))


POLICIES = [
    (Compression.ANY, set(compression.Compression)),
    (Compression.NONE, {compression.Compression.NONE}),
    (Compression.GZIP, {compression.Compression.GZIP}),
    (Compression.SNAPPY, {compression.Compression.SNAPPY}),
    (Compression.LZ4, {compression.Compression.LZ4}),
    (Compression.ZSTD, {compression.Compression.ZSTD}),
]


@pytest.mark.parametrize(("policy", "allowed"), POLICIES)
def test_a_topic_takes_only_the_compression_it_wants(
    tmp_path: Path, policy: Compression, allowed: set[compression.Compression]
) -> None:
    log = PartitionLog(tmp_path, LogPolicy(compression=policy))
    for kind in compression.Compression:
        if kind in allowed:
            append(log, (None, b"value"), kind=kind)
        else:
            with pytest.raises(CompressionRefused, match=policy.name):
                append(log, (None, b"value"), kind=kind)
    assert log.end_offset == len(allowed)
    log.mark_deleted()


def test_a_codec_that_there_is_not_is_refused_even_by_any(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, LogPolicy())
    batch = bytearray(encode_batch([(None, b"value")]))
    batch[22] = 5
    checked = compression_checked(batch)
    with pytest.raises(CompressionRefused, match="compression 5"):
        log.append(memoryview(checked))
    log.mark_deleted()


def compression_checked(batch: bytearray) -> bytearray:
    """The batch with the checksum of what is in it."""
    batch[17:21] = google_crc32c.value(bytes(batch[21:])).to_bytes(4, "big")
    return batch


async def test_one_bad_batch_refuses_all_of_a_request(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, LogPolicy(compression=Compression.LZ4))
    good = encode_batch([(None, b"a")], compression=compression.Compression.LZ4)
    with pytest.raises(CompressionRefused):
        log.append(memoryview(bytearray(good + encode_batch([(None, b"b")]))))
    assert log.end_offset == 0
    await log.close()


async def test_a_topic_of_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTopicSettings, match="compression 9"):
        await Catalog(tmp_path).create("topic", TopicSpec(ComputedReplicas(1), compression=9))
