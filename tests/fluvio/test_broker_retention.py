"""Retention by time and by size: whole files go, oldest first, and the log begins later."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_fluvio.broker.catalog import Catalog
from qd_fluvio.broker.cleaning import keep_clean
from qd_fluvio.broker.consumers import ConsumerOffsets
from qd_fluvio.broker.errors import OffsetEvicted
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.policy import LogPolicy
from qd_fluvio.broker.retention import FileAge, expendable
from qd_fluvio.broker.settings import CLEANING_INTERVAL_S
from qd_fluvio.wire.metadata import ComputedReplicas, SegmentCleanup, Storage, TopicSpec
from support.broker import batch_of, values_in

HOUR_S = 3_600
MAX_BYTES = 1 << 20
BATCH = len(batch_of(b"." * 900))
# Two batches a file, three files at most.
POLICY = LogPolicy(segment_bytes=2 * BATCH, retention_s=HOUR_S, partition_bytes_max=6 * BATCH)


class Clock:
    """Time that only a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def opened_log(
    folder: Path, clock: Clock | None = None, policy: LogPolicy = POLICY
) -> Iterator[PartitionLog]:
    log = PartitionLog(folder, policy, clock=clock or Clock())
    try:
        yield log
    finally:
        asyncio.run(log.close())


def append(log: PartitionLog, *numbers: int) -> None:
    for number in numbers:
        log.append(
            memoryview(bytearray(batch_of(b"%d" % number + b"." * (900 - len(str(number))))))
        )


def clean(log: PartitionLog) -> int:
    return asyncio.run(log.clean())


def numbers_in(log: PartitionLog) -> list[int]:
    found: list[int] = []
    offset = log.start_offset
    while offset < log.end_offset:
        portion = log.read(offset, MAX_BYTES)
        found += [int(value.rstrip(b".")) for value in values_in(portion.records)]
        offset = portion.next_offset
    return found


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.log"))


def test_old_files_go_whole(tmp_path: Path) -> None:
    clock = Clock()
    with opened_log(tmp_path, clock) as log:
        append(log, 0, 1, 2)
        clock.now_s += HOUR_S - 1
        append(log, 3, 4)
        clock.now_s += 2
        # The first file is two seconds older than its second batch is allowed to be; the
        # second file's newest record is young.
        assert clean(log) == 1
        assert (log.start_offset, log.end_offset) == (2, 5)
        assert numbers_in(log) == [2, 3, 4]
        assert clean(log) == 0
        assert on_disk(tmp_path) == log.size_bytes == 3 * BATCH


def test_a_record_is_kept_until_its_time(tmp_path: Path) -> None:
    clock = Clock()
    with opened_log(tmp_path, clock) as log:
        append(log, 0, 1, 2, 3)
        clock.now_s += HOUR_S
        assert clean(log) == 0
        clock.now_s += 1
        assert clean(log) == 2


def test_where_all_is_old_the_active_file_goes_too(tmp_path: Path) -> None:
    clock = Clock()
    with opened_log(tmp_path, clock) as log:
        append(log, 0, 1, 2)
        clock.now_s += HOUR_S + 1
        assert clean(log) == 2
        assert (log.start_offset, log.end_offset, log.size_bytes) == (3, 3, 0)
        assert on_disk(tmp_path) == 0
        clock.now_s += HOUR_S + 1
        assert clean(log) == 0
        append(log, 3)
        assert numbers_in(log) == [3]
    with opened_log(tmp_path, clock) as log:
        assert (log.start_offset, log.end_offset) == (3, 4)


async def test_a_topic_that_is_deleted_meanwhile_is_no_error(tmp_path: Path) -> None:
    clock = Clock()
    catalog = Catalog(tmp_path, clock=clock)
    spec = TopicSpec(ComputedReplicas(1), SegmentCleanup(60), Storage(2 * BATCH))
    log = (await catalog.create("doomed", spec)).logs[0]
    append(log, *range(9))
    clock.now_s += 61
    cleaning = asyncio.create_task(log.clean())
    await asyncio.sleep(0)
    await catalog.delete("doomed")
    await cleaning
    assert os.listdir(tmp_path) == []
    await catalog.close()


def test_offsets_go_on_after_a_restart_of_an_emptied_log(tmp_path: Path) -> None:
    clock = Clock()
    with opened_log(tmp_path, clock) as log:
        append(log, 0, 1, 2)
        clock.now_s += HOUR_S + 1
        clean(log)
    with opened_log(tmp_path, clock) as log:
        assert (log.start_offset, log.end_offset) == (3, 3)
        append(log, 3)
        assert numbers_in(log) == [3]


def test_the_oldest_files_go_where_there_are_too_many(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        append(log, *range(12))
        assert log.size_bytes == 12 * BATCH
        assert clean(log) == 3
        assert numbers_in(log) == list(range(6, 12))
        assert on_disk(tmp_path) == 6 * BATCH
        append(log, 12)
        assert clean(log) == 1
        assert log.start_offset == 8


def test_reading_what_is_gone_says_where_to_go_on(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        append(log, *range(12))
        clean(log)
        with pytest.raises(OffsetEvicted, match="begins at 6") as raised:
            log.read(5, MAX_BYTES)
        assert (raised.value.offset, raised.value.start_offset) == (5, 6)


def test_age_counts_from_the_writing_also_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    with opened_log(tmp_path, clock) as log:
        append(log, *range(4))
    for path in tmp_path.glob("*.log"):
        os.utime(path, (clock.now_s, clock.now_s))
    clock.now_s += HOUR_S
    with opened_log(tmp_path, clock) as log:
        assert clean(log) == 0
        clock.now_s += 1
        assert clean(log) == 2


def test_waiting_readers_of_the_end_stay(tmp_path: Path) -> None:
    clock = Clock()
    with opened_log(tmp_path, clock) as log:
        append(log, 0)
        clock.now_s += HOUR_S + 1
        clean(log)
        assert not log.read(1, MAX_BYTES).records
        append(log, 1)
        assert len(values_in(log.read(1, MAX_BYTES).records)) == 1


def test_files_stay_within_the_size_of_a_segment(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        batches = b"".join(batch_of(b"%03d" % number + b"." * 897) for number in range(9))
        assert log.append(memoryview(bytearray(batches))) == 0
        assert all(path.stat().st_size <= 2 * BATCH for path in tmp_path.glob("*.log"))
        assert len(list(tmp_path.glob("*.log"))) == 5
        assert numbers_in(log) == list(range(9))


DIE_WHILE_CLEANING = """
import asyncio, os, signal, sys
from pathlib import Path
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.policy import LogPolicy

folder, dies_after = Path(sys.argv[1]), int(sys.argv[2])
log = PartitionLog(folder, LogPolicy(*map(int, sys.argv[3:])), clock=lambda: 4_000_000_000.0)
deleted = 0
real = Path.unlink

def unlink(path, missing_ok=False):
    global deleted
    if deleted == dies_after:
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, missing_ok)
    deleted += 1

Path.unlink = unlink
asyncio.run(log.clean())
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("deleted", range(7))
def test_a_kill_within_a_clean_up_leaves_a_log(tmp_path: Path, deleted: int) -> None:
    with opened_log(tmp_path) as log:
        append(log, *range(12))
    numbers = (POLICY.segment_bytes, POLICY.retention_s, POLICY.partition_bytes_max)
    arguments = [str(tmp_path), str(deleted), *map(str, numbers)]
    done = subprocess.run([sys.executable, "-c", DIE_WHILE_CLEANING, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL
    with opened_log(tmp_path) as log:
        assert (log.start_offset, log.end_offset) == (2 * min(deleted, 6), 12)
        assert numbers_in(log) == list(range(log.start_offset, 12))
        append(log, 12)
        assert log.end_offset == 13


def aged(*sizes: int) -> list[FileAge]:
    return [FileAge(size, 1_000.0 * number) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "retention_s", "bytes_max", "now_s", "count"),
    [
        ([10], 10, 5, 9_999, 0),  # the active file never goes
        ([10, 10, 10], 10_000, 30, 2_000, 0),
        ([10, 10, 10], 10_000, 29, 2_000, 1),
        ([10, 10, 10], 10_000, 1, 2_000, 2),
        ([10, 10, 10], 500, 100, 1_500, 1),
        ([10, 10, 10], 500, 100, 1_501, 2),
        ([10, 10, 10], 500, 15, 1_400, 2),
    ],
)
def test_which_files_go(
    sizes: list[int], retention_s: int, bytes_max: int, now_s: float, count: int
) -> None:
    policy = LogPolicy(retention_s=retention_s, partition_bytes_max=bytes_max)
    assert expendable(aged(*sizes), policy, now_s) == count


@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=20),
    st.integers(0, 2_000),
    st.integers(0, 20_000),
)
def test_what_stays_fits_or_is_one_file(sizes: list[int], bytes_max: int, now_s: int) -> None:
    policy = LogPolicy(retention_s=5_000, partition_bytes_max=bytes_max)
    files = aged(*sizes)
    left = files[expendable(files, policy, now_s) :]
    assert len(left) == 1 or sum(item.size_bytes for item in left) <= bytes_max
    assert len(left) == 1 or now_s - left[0].modified_s <= policy.retention_s


async def test_all_topics_are_cleaned_again_and_again(tmp_path: Path) -> None:
    clock = Clock()
    catalog = Catalog(tmp_path, clock=clock)
    spec = TopicSpec(ComputedReplicas(2), SegmentCleanup(60), Storage(2 * BATCH))
    topics = [await catalog.create(name, spec) for name in ("one", "two")]
    for topic in topics:
        append(topic.logs[1], 0, 1, 2)
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise asyncio.CancelledError
        clock.now_s += 61

    consumers = ConsumerOffsets(tmp_path.with_name("consumers.log"))
    with pytest.raises(asyncio.CancelledError):
        await keep_clean(catalog, consumers, wait)
    consumers.close()
    assert waits == [CLEANING_INTERVAL_S] * 3
    assert [log.start_offset for topic in topics for log in topic.logs] == [0, 3, 0, 3]
    await catalog.close()


async def test_one_partition_whose_disk_refuses_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    catalog = Catalog(tmp_path, clock=clock)
    spec = TopicSpec(ComputedReplicas(1), SegmentCleanup(60), Storage(2 * BATCH))
    logs = [(await catalog.create(name, spec)).logs[0] for name in ("bad", "good")]
    for log in logs:
        append(log, 0, 1, 2)
    clock.now_s += 61
    real = Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if "bad" in path.parts:
            raise PermissionError(13, "Permission denied")
        real(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refusing)
        assert await catalog.clean() == 2
    assert "cannot clean up bad-0: Permission denied" in caplog.text
    assert logs[1].start_offset == 3
    await catalog.close()
