"""The partition's files: offsets, segments, torn writes, damage, a full disk."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qd_fluvio.broker.errors import DamagedRecords, PartitionBroken
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.policy import LogPolicy
from qd_fluvio.broker.segment import INDEX_INTERVAL_BYTES
from qd_fluvio.broker.settings import BATCH_BYTES_MAX, Durability
from qd_fluvio.errors import (
    LogError,
    OffsetOutOfRange,
    RecordTooLarge,
    TopicDeleted,
    WireError,
)
from support.broker import batch_of, opened, values_in

SEGMENT_BYTES = 1 << 22
MAX_BYTES = 1 << 20


def append(log: PartitionLog, *values: bytes) -> int:
    return log.append(memoryview(bytearray(batch_of(*values))))


@contextmanager
def opened_log(folder: Path, segment_bytes: int = SEGMENT_BYTES) -> Iterator[PartitionLog]:
    log = PartitionLog(folder, LogPolicy(segment_bytes))
    try:
        yield log
    finally:
        asyncio.run(log.close())


def read_all(log: PartitionLog, max_bytes: int = MAX_BYTES) -> list[bytes]:
    """All values, by as many reads as it takes; their offsets are without gaps."""
    values: list[bytes] = []
    offset = log.start_offset
    while offset < log.end_offset:
        portion = log.read(offset, max_bytes)
        records = opened(portion.records)
        assert [item.offset for item in records] == list(range(offset, portion.next_offset))
        values += [item.value for item in records]
        offset = portion.next_offset
    return values


def test_batches_get_offsets_in_order(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        assert append(log, b"a", b"b") == 0
        assert append(log, b"c") == 2
        assert (log.start_offset, log.end_offset) == (0, 3)
        assert read_all(log) == [b"a", b"b", b"c"]


def test_several_batches_in_one_append(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        log.append(memoryview(bytearray(batch_of(b"a") + batch_of(b"b", b"c"))))
        assert append(log, b"d") == 3
        assert read_all(log) == [b"a", b"b", b"c", b"d"]


def test_a_read_starts_with_the_batch_that_holds_the_offset(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        append(log, b"a", b"b", b"c")
        append(log, b"d")
        assert values_in(log.read(2, MAX_BYTES).records) == [b"a", b"b", b"c", b"d"]
        assert values_in(log.read(3, MAX_BYTES).records) == [b"d"]
        assert not log.read(4, MAX_BYTES).records


@pytest.mark.parametrize("offset", [-1, 5, 2**62])
def test_an_offset_outside_is_refused(tmp_path: Path, offset: int) -> None:
    with opened_log(tmp_path) as log:
        append(log, b"a", b"b", b"c", b"d")
        with pytest.raises(OffsetOutOfRange, match=f"found offset {offset}, "):
            log.read(offset, MAX_BYTES)


def test_a_small_limit_gives_whole_batches_and_one_at_least(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        for letter in (b"a", b"b", b"c"):
            append(log, letter * 1_000)
        assert values_in(log.read(0, 1).records) == [b"a" * 1_000]
        assert values_in(log.read(0, 2_500).records) == [b"a" * 1_000, b"b" * 1_000]


def test_a_cut_read_ends_where_it_is_told(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        for letter in (b"a", b"b", b"c"):
            append(log, letter * 1_000)
        portion = log.read(0, 2_500, cut=True)
        assert len(portion.records) == 2_500
        assert values_in(portion.records) == [b"a" * 1_000, b"b" * 1_000]


def test_segments_roll_and_read_as_one(tmp_path: Path) -> None:
    values = [b"%06d" % number + b"." * 500 for number in range(200)]
    with opened_log(tmp_path, 10_000) as log:
        for value in values:
            append(log, value)
        assert len(list(tmp_path.glob("*.log"))) > 5
        assert read_all(log) == values
    with opened_log(tmp_path, 10_000) as log:
        assert log.end_offset == 200
        assert append(log, b"next") == 200
        assert read_all(log) == [*values, b"next"]


def test_the_sparse_index_finds_every_offset(tmp_path: Path) -> None:
    size = INDEX_INTERVAL_BYTES // 10
    with opened_log(tmp_path) as log:
        for number in range(60):
            append(log, b"%d" % number, b"x" * size, b"y")
    with opened_log(tmp_path) as log:
        for offset in range(log.end_offset):
            records = opened(log.read(offset, 1).records)
            assert records[0].offset <= offset <= records[-1].offset


def test_other_files_in_the_folder_do_not_matter(tmp_path: Path) -> None:
    for name in ("notes.log", "7", "5.log", f"{9:020d}.index"):
        (tmp_path / name).write_bytes(b"something")
    with opened_log(tmp_path) as log:
        assert append(log, b"a") == 0
    with opened_log(tmp_path) as log:
        assert read_all(log) == [b"a"]


def last_file(folder: Path) -> Path:
    return max(folder.glob("*.log"))


@given(cut=st.integers(1, 400))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=40,
)
def test_a_torn_tail_is_cut_and_offsets_go_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    with opened_log(folder) as log:
        for number in range(10):
            append(log, b"%d" % number, b"x" * 50)
    path = last_file(folder)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    whole = (len(content) - cut) // (len(content) // 10)
    with opened_log(folder) as log:
        assert log.end_offset == 2 * whole
        assert path.stat().st_size == log.size_bytes
        assert append(log, b"again") == 2 * whole
        assert read_all(log)[-1] == b"again"


@pytest.mark.parametrize("tail", [bytes(500), b"\xff" * 500, b"garbage" * 20, b"\0"])
def test_garbage_after_the_last_batch_is_cut(tmp_path: Path, tail: bytes) -> None:
    with opened_log(tmp_path) as log:
        append(log, b"good")
    with last_file(tmp_path).open("ab") as file:
        file.write(tail)
    with opened_log(tmp_path) as log:
        assert read_all(log) == [b"good"]
        assert append(log, b"more") == 1


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_a_bad_last_batch_of_a_broker_that_died_ends_the_log(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        append(log, b"good")
        kept = log.size_bytes
        append(log, b"rotten")
    (tmp_path / "checkpoint").unlink()
    flip(last_file(tmp_path), -3)
    with opened_log(tmp_path) as log:
        assert (log.end_offset, log.size_bytes) == (1, kept)


def test_a_bad_last_batch_of_a_broker_that_ended_is_no_torn_tail(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        append(log, b"good")
        append(log, b"rotten")
    flip(last_file(tmp_path), -3)
    with opened_log(tmp_path) as log:
        assert log.end_offset == 2
        assert values_in(log.read(0, MAX_BYTES).records) == [b"good"]
        with pytest.raises(DamagedRecords, match=r"offsets 1 to 1 .* read on from offset 2"):
            log.read(1, MAX_BYTES)
        assert append(log, b"more") == 2
        assert values_in(log.read(2, MAX_BYTES).records) == [b"more"]


def test_damage_in_an_older_segment_is_an_error_when_read(tmp_path: Path) -> None:
    with opened_log(tmp_path, 2_000) as log:
        for number in range(10):
            append(log, b"%d" % number * 900)
    path = min(tmp_path.glob("*.log"))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with opened_log(tmp_path, 2_000) as log:
        with pytest.raises(LogError, match="damaged"):
            log.read(0, MAX_BYTES)
        assert values_in(log.read(9, MAX_BYTES).records) == [b"9" * 900]


def test_a_missing_older_part_is_an_error_when_read(tmp_path: Path) -> None:
    with opened_log(tmp_path, 2_000) as log:
        for number in range(10):
            append(log, b"%d" % number * 900)
    path = min(tmp_path.glob("*.log"))
    path.write_bytes(path.read_bytes()[:100])
    with opened_log(tmp_path, 2_000) as log, pytest.raises(LogError, match=r"damaged|ends"):
        log.read(0, MAX_BYTES)


@pytest.mark.parametrize(
    "records",
    [b"", b"short", batch_of(b"a")[:-1], batch_of(b"a") + b"x", bytes(100)],
    ids=["nothing", "short", "cut", "more", "zeros"],
)
def test_what_is_not_a_batch_is_refused(tmp_path: Path, records: bytes) -> None:
    with opened_log(tmp_path) as log:
        if not records:
            assert log.append(memoryview(bytearray())) == 0
        else:
            with pytest.raises(WireError):
                log.append(memoryview(bytearray(records)))
        assert (log.end_offset, log.size_bytes) == (0, 0)


def test_a_batch_over_the_limit_is_refused(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        with pytest.raises(RecordTooLarge, match=str(BATCH_BYTES_MAX)):
            append(log, bytes(BATCH_BYTES_MAX))
        assert log.end_offset == 0


def test_a_refused_write_leaves_nothing_behind(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened_log(tmp_path) as log:
        append(log, b"kept")
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.size_bytes + 100, hard))
        try:
            with pytest.raises(LogError, match="cannot write"):
                append(log, b"x" * 10_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert last_file(tmp_path).stat().st_size == log.size_bytes
        assert append(log, b"after") == 1
        assert read_all(log) == [b"kept", b"after"]


def test_listeners_hear_of_appends_and_of_the_end(tmp_path: Path) -> None:
    heard: list[int] = []
    with opened_log(tmp_path) as log:

        def listener() -> None:
            heard.append(-1 if log.deleted else log.end_offset)

        log.listen(listener)
        append(log, b"a")
        append(log, b"b")
        log.forget(listener)
        append(log, b"c")
        log.listen(listener)
        log.mark_deleted()
    assert heard == [1, 2, -1]


def test_a_deleted_log_touches_no_file(tmp_path: Path) -> None:
    """Another topic of that name may have files of the same names."""
    with opened_log(tmp_path, 2_000) as old:
        for number in range(4):
            append(old, b"%d" % number * 900)
    old = PartitionLog(tmp_path, LogPolicy(2_000))
    assert old.read(0, 1).records
    old.mark_deleted()
    for path in tmp_path.glob("*.log"):
        path.rename(path.with_suffix(".old"))
    new = PartitionLog(tmp_path, LogPolicy(2_000))
    append(new, b"new")
    with pytest.raises(TopicDeleted):
        old.read(0, MAX_BYTES)
    with pytest.raises(TopicDeleted):
        append(old, b"old")
    asyncio.run(old.prepare(3))
    assert asyncio.run(old.clean()) == 0
    asyncio.run(old.close())
    assert read_all(new) == [b"new"]
    asyncio.run(new.close())


async def test_what_is_to_be_checked_is_checked_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qd_fluvio.broker.segment._SLICE_BYTES", 1_000)
    log = PartitionLog(tmp_path, LogPolicy(100_000))
    for number in range(300):
        append(log, b"%d" % number * 200)
    await log.close()
    log = PartitionLog(tmp_path, LogPolicy(100_000))
    for offset in (250, 120, 299, 0):
        preparing = asyncio.create_task(log.prepare(offset))
        turns = 0
        while not preparing.done():
            await asyncio.sleep(0)
            turns += 1
        await preparing
        assert (turns > 10) == bool(offset)
        assert values_in(log.read(offset, 1).records) == [b"%d" % offset * 200]
    assert read_all(log) == [b"%d" % number * 200 for number in range(300)]
    await log.close()


def test_a_write_that_cannot_be_taken_back_ends_all_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def failing(path: Path, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with opened_log(tmp_path) as log:
        append(log, b"kept")
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.size_bytes + 100, hard))
        try:
            with monkeypatch.context() as patched:
                patched.setattr(os, "truncate", failing)
                with pytest.raises(LogError, match="cannot write"):
                    append(log, b"x" * 10_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with pytest.raises(PartitionBroken, match="restart the broker"):
            append(log, b"after")
        assert read_all(log) == [b"kept"]
    with opened_log(tmp_path) as log:
        assert append(log, b"after") == 1
        assert read_all(log) == [b"kept", b"after"]


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_descriptors_a_sync_may_be_tried_again(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, LogPolicy(2_000), durability=Durability.POWER)
    append(log, b"a")
    await log.sync()
    append(log, b"b")
    with no_more_descriptors(), pytest.raises(LogError, match=r"cannot sync .* open files"):
        await log.sync()
    assert log.committed_offset == 1
    await log.sync()
    assert log.committed_offset == 2
    await log.close()


def test_without_descriptors_other_files_make_room(tmp_path: Path) -> None:
    with opened_log(tmp_path, 2_000) as log:
        values = [b"%d" % number * 900 for number in range(4)]
        for value in values:
            append(log, value)
        log.read(3, 1)
        with no_more_descriptors():
            assert append(log, b"x" * 900) == 4  # into a new file
            assert read_all(log) == [*values, b"x" * 900]


def test_without_any_descriptor_a_write_is_refused_and_nothing_is_broken(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        with no_more_descriptors(), pytest.raises(LogError, match="open files"):
            append(log, b"a")
        assert append(log, b"b") == 0
        assert read_all(log) == [b"b"]


async def test_callers_share_a_sync(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, LogPolicy(2_000))
    for number in range(6):
        append(log, b"%d" % number * 900)
    await asyncio.gather(*(log.sync() for _ in range(20)))
    await log.sync()
    await log.close()


async def test_a_sync_outlives_a_cancelled_caller(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, LogPolicy(SEGMENT_BYTES))
    append(log, b"a")
    impatient = asyncio.create_task(log.sync())
    patient = asyncio.create_task(log.sync())
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    assert impatient.cancelled() or impatient.done()
    await log.close()


@given(
    st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=5), max_size=30),
    st.integers(300, 4_000),
    st.integers(1, 3_000),
)
@settings(max_examples=40, deadline=None)
def test_what_is_appended_is_read_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[bytes]],
    segment_bytes: int,
    max_bytes: int,
) -> None:
    folder = tmp_path_factory.mktemp("log")
    with opened_log(folder, segment_bytes) as log:
        for batch in batches:
            append(log, *batch)
    with opened_log(folder, segment_bytes) as log:
        assert read_all(log, max_bytes) == [value for batch in batches for value in batch]
