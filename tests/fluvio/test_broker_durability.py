"""What survives the death of the broker and of the machine, and who reads what until then."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qd_fluvio.broker.errors import DamagedRecords, PartitionBroken
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.policy import LogPolicy
from qd_fluvio.broker.settings import Durability
from support.broker import batch_of, opened, values_in

MAX_BYTES = 1 << 20


def append(log: PartitionLog, *values: bytes) -> int:
    return log.append(memoryview(bytearray(batch_of(*values))))


def power_log(folder: Path, segment_bytes: int = 1 << 20) -> PartitionLog:
    return PartitionLog(folder, LogPolicy(segment_bytes), durability=Durability.POWER)


class Disk:
    """What a machine that loses its power now would find: only what was synced is sure."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}
        self._names: dict[str, set[str]] = {}
        self.syncs = 0

    def sync(self, fd: int) -> None:
        """Take the place of `fsync` and of `fdatasync`."""
        path = os.readlink(f"/proc/self/fd/{fd}")
        if os.path.isdir(path):
            self._names[path] = set(os.listdir(path))
        else:
            self._contents[path] = Path(path).read_bytes()
            self.syncs += 1

    def lose_power(self, folder: Path, left: Path, mangle: bytes, kept_share: float) -> None:
        """Write into `left` what the disk has of `folder`.

        Of what was not synced a share is there, with bytes changed as `mangle` says.
        """
        left.mkdir()
        for name in self._names.get(str(folder), set()):
            path = folder / name
            if not path.exists():
                continue
            synced = self._contents.get(str(path), b"")
            content = path.read_bytes()
            assert content.startswith(synced)
            rest = bytearray(content[len(synced) :])
            del rest[round(len(rest) * kept_share) :]
            for index, byte in enumerate(mangle):
                if rest:
                    rest[byte * 7 * (index + 1) % len(rest)] ^= byte
            (left / name).write_bytes(synced + bytes(rest))


@contextmanager
def disk() -> Iterator[Disk]:
    found = Disk()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fdatasync", found.sync)
        patched.setattr(os, "fsync", found.sync)
        yield found


def served(log: PartitionLog) -> dict[int, bytes]:
    """All that can be read, whatever is damaged between."""
    found: dict[int, bytes] = {}
    offset = log.start_offset
    while offset < log.end_offset:
        try:
            portion = log.read(offset, MAX_BYTES)
        except DamagedRecords as error:
            offset = error.next_offset
            continue
        found |= {item.offset: item.value for item in opened(portion.records)}
        offset = portion.next_offset
    return found


@given(
    groups=st.lists(st.lists(st.binary(max_size=200), min_size=1, max_size=4), max_size=12),
    unsynced=st.lists(st.binary(max_size=400), max_size=8),
    mangle=st.binary(max_size=8),
    kept_share=st.floats(0, 1),
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_was_acknowledged_survives_power_loss(
    tmp_path_factory: pytest.TempPathFactory,
    groups: list[list[bytes]],
    unsynced: list[bytes],
    mangle: bytes,
    kept_share: float,
) -> None:
    base = tmp_path_factory.mktemp("power")
    folder, left = base / "log", base / "left"
    folder.mkdir()
    acknowledged: dict[int, bytes] = {}

    async def produce(log: PartitionLog, value: bytes) -> None:
        offset = append(log, value)
        await log.sync()
        acknowledged[offset] = value

    async def run(disk: Disk) -> None:
        log = power_log(folder, 1_500)
        for group in groups:
            await asyncio.gather(*(produce(log, value) for value in group))
        for value in unsynced:
            append(log, value)
        disk.lose_power(folder, left, mangle, kept_share)
        log.mark_deleted()  # the machine is gone: nothing more is written

    with disk() as found:
        asyncio.run(run(found))
    log = power_log(left, 1_500)
    survivors = served(log)
    assert {offset: survivors.get(offset) for offset in acknowledged} == acknowledged
    # Of the others only true ones may be there.
    written = [value for group in groups for value in group] + unsynced
    assert all(written[offset] == value for offset, value in survivors.items())
    assert append(log, b"after") == log.end_offset - 1 >= len(acknowledged)
    assert values_in(log.read(log.end_offset - 1, MAX_BYTES).records) == [b"after"]
    asyncio.run(log.close())


async def test_producers_share_syncs(tmp_path: Path) -> None:
    log = power_log(tmp_path)

    async def produce() -> None:
        append(log, b"x")
        await log.sync()

    with disk() as found:
        await asyncio.gather(*(produce() for _ in range(100)))
    assert found.syncs <= 3
    assert log.committed_offset == 100
    await log.close()


PRODUCE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.policy import LogPolicy
from qd_fluvio.wire.records import encode_batch

log = PartitionLog(Path(sys.argv[1]), LogPolicy(10_000))
for number in range(500):
    log.append(memoryview(bytearray(encode_batch([(None, b"%d" % number)]))))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_appended_outlives_a_kill(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PRODUCE_AND_DIE, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    log = PartitionLog(tmp_path, LogPolicy(10_000))
    assert served(log) == {number: b"%d" % number for number in range(500)}
    asyncio.run(log.close())


def test_every_cut_of_the_last_file_leaves_whole_batches(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    log = PartitionLog(folder, LogPolicy())
    ends = []
    for number in range(4):
        append(log, b"%d" % number * 20, b"second")
        ends.append(log.size_bytes)
    log.mark_deleted()
    (path,) = folder.glob("*.log")
    content = path.read_bytes()
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        log = PartitionLog(folder, LogPolicy())
        whole = sum(end <= cut for end in ends)
        assert (log.end_offset, log.size_bytes) == (2 * whole, ([0, *ends])[whole])
        assert append(log, b"next") == 2 * whole
        assert served(log)[2 * whole] == b"next"
        log.mark_deleted()


@pytest.mark.parametrize(
    "content", ["", "x", "0 1", "0 -5 0", "0 99999 9", "7 0 0", "0 61 1", "0 0 3"]
)
def test_a_wrong_checkpoint_costs_nothing_but_time(tmp_path: Path, content: str) -> None:
    log = PartitionLog(tmp_path, LogPolicy())
    for number in range(5):
        append(log, b"%d" % number)
    log.mark_deleted()
    (tmp_path / "checkpoint").write_text(content)
    log = PartitionLog(tmp_path, LogPolicy())
    assert served(log) == {number: b"%d" % number for number in range(5)}
    asyncio.run(log.close())


async def test_records_are_committed_once_they_are_synced(tmp_path: Path) -> None:
    log = power_log(tmp_path, 1_000)
    heard: list[int] = []
    log.listen(lambda: heard.append(log.committed_offset))
    append(log, b"a" * 400)
    append(log, b"b" * 400)
    assert (log.committed_offset, log.end_offset) == (0, 2)
    assert not log.read(0, MAX_BYTES, committed=True).records
    assert values_in(log.read(0, MAX_BYTES).records) == [b"a" * 400, b"b" * 400]
    await log.sync()
    assert log.committed_offset == 2
    append(log, b"c" * 400)  # in the next file
    append(log, b"d" * 400)
    assert values_in(log.read(0, MAX_BYTES, committed=True).records) == [b"a" * 400, b"b" * 400]
    assert not log.read(2, MAX_BYTES, committed=True).records
    await log.sync()
    assert values_in(log.read(2, MAX_BYTES, committed=True).records) == [b"c" * 400, b"d" * 400]
    assert heard == [0, 0, 2, 2, 2, 4]
    await log.close()


async def test_within_a_file_readers_stop_at_what_is_committed(tmp_path: Path) -> None:
    log = power_log(tmp_path)
    append(log, b"a")
    append(log, b"b")
    await log.sync()
    append(log, b"c")
    assert values_in(log.read(0, MAX_BYTES, committed=True).records) == [b"a", b"b"]
    assert values_in(log.read(1, MAX_BYTES, committed=True).records) == [b"b"]
    assert values_in(log.read(1, MAX_BYTES, committed=True, cut=True).records) == [b"b"]
    await log.close()


def test_what_a_killed_process_left_is_committed_by_the_start(tmp_path: Path) -> None:
    log = power_log(tmp_path, 1_000)
    for letter in (b"a", b"b", b"c"):
        append(log, letter * 400)
    log.mark_deleted()
    with disk() as found:
        log = power_log(tmp_path, 1_000)
    assert found.syncs == len(list(tmp_path.glob("*.log"))) > 1
    # Clients that want to begin at the end are told this one.
    assert log.committed_offset == log.end_offset == 3
    assert values_in(log.read(2, MAX_BYTES, committed=True).records) == [b"c" * 400]
    asyncio.run(log.close())


async def test_a_checkpoint_is_never_ahead_of_the_disk(tmp_path: Path) -> None:
    log = power_log(tmp_path)
    append(log, b"a")
    await log.sync()
    append(log, b"b")
    await log.clean()
    content = (tmp_path / "checkpoint").read_text()
    assert content.split()[2] == "1"
    await log.sync()
    await log.clean()
    assert (tmp_path / "checkpoint").read_text().split()[2] == "2"
    await log.close()


async def test_where_a_kill_is_what_counts_all_is_committed(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, LogPolicy())
    append(log, b"a")
    assert log.committed_offset == 1
    assert values_in(log.read(0, MAX_BYTES, committed=True).records) == [b"a"]
    await log.close()


async def test_a_disk_that_cannot_sync_breaks_the_partition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, copy = tmp_path / "log", tmp_path / "copy"
    folder.mkdir()
    log = power_log(folder)
    append(log, b"a")
    await log.sync()
    append(log, b"b")

    def failing(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", failing)
        results = await asyncio.gather(log.sync(), log.sync(), return_exceptions=True)
    assert [type(result) for result in results] == [PartitionBroken, PartitionBroken]
    # A second try would succeed, though the kernel may have dropped the data.
    with pytest.raises(PartitionBroken, match="restart the broker"):
        await log.sync()
    with pytest.raises(PartitionBroken, match="Input/output error"):
        append(log, b"c")
    assert log.committed_offset == 1
    assert values_in(log.read(0, MAX_BYTES, committed=True).records) == [b"a"]
    await log.close()
    shutil.copytree(folder, copy)
    again = power_log(copy)
    assert append(again, b"c") == 2
    await again.sync()
    await again.close()
