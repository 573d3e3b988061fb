"""Topics on disk: names, settings, whole or gone, one broker a folder."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import psutil
import pytest

from qd_fluvio.broker.catalog import Catalog, Topic
from qd_fluvio.broker.errors import InvalidTopicSettings, StorageFull
from qd_fluvio.broker.files import FilePool, FolderLock
from qd_fluvio.errors import InvalidTopicName, LogError, TopicExists, TopicNotFound
from qd_fluvio.wire.metadata import (
    AssignedPartition,
    AssignedReplicas,
    ComputedReplicas,
    SegmentCleanup,
    Storage,
    TopicSpec,
)
from support.broker import batch_of

WAIT_S_MAX = 60.0
ONE = TopicSpec(ComputedReplicas(1))


@pytest.mark.parametrize("name", ["a", "client-21-data", "0", "x" * 63, "breakout-alerts"])
async def test_good_names(tmp_path: Path, name: str) -> None:
    catalog = Catalog(tmp_path)
    assert (await catalog.create(name, ONE)).name == name
    await catalog.close()


@pytest.mark.parametrize(
    "name",
    ["", "-a", "a-", "A", "a_b", "a.b", "a b", "x" * 64, "..", "a/b", "é", "a\n"],
)
async def test_bad_names(tmp_path: Path, name: str) -> None:
    catalog = Catalog(tmp_path)
    with pytest.raises(InvalidTopicName):
        await catalog.create(name, ONE)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (TopicSpec(ComputedReplicas(0)), "0 partitions"),
        (TopicSpec(ComputedReplicas(5_000)), "5000 partitions"),
        (TopicSpec(ComputedReplicas(1), SegmentCleanup(9)), "retention of 9 s"),
        (TopicSpec(ComputedReplicas(1), None, Storage(1_023)), "1023 bytes"),
        (TopicSpec(AssignedReplicas(())), "0 partitions"),
    ],
)
async def test_bad_settings(tmp_path: Path, spec: TopicSpec, words: str) -> None:
    with pytest.raises(InvalidTopicSettings, match=words):
        await Catalog(tmp_path).create("topic", spec)


async def test_a_topic_survives_with_its_settings_and_records(tmp_path: Path) -> None:
    spec = TopicSpec(
        AssignedReplicas((AssignedPartition(0, (1,)), AssignedPartition(1, (1,)))),
        SegmentCleanup(3_600),
        Storage(1 << 20, 1 << 30),
    )
    first = Catalog(tmp_path)
    topic = await first.create("kept", spec)
    topic.logs[1].append(memoryview(bytearray(batch_of(b"a", b"b"))))
    await first.close()
    again = Catalog(tmp_path)
    (found,) = again.topics()
    assert (found.name, found.spec) == ("kept", spec)
    assert [log.end_offset for log in found.logs] == [0, 2]
    await again.close()


async def test_one_of_many_creates_of_a_name_wins(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    results = await asyncio.gather(
        *(catalog.create("same", ONE) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, Topic) for result in results) == 1
    assert sum(isinstance(result, TopicExists) for result in results) == 19
    await catalog.close()


async def test_many_topics_at_once(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    names = [f"topic-{number:03d}" for number in range(40)]
    await asyncio.gather(*(catalog.create(name, ONE) for name in names))
    assert [topic.name for topic in catalog.topics()] == names
    await asyncio.gather(*(catalog.delete(name) for name in names))
    assert catalog.topics() == []
    assert os.listdir(tmp_path) == []
    await catalog.close()


async def test_delete_frees_the_disk_and_the_name(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    topic = await catalog.create("gone", ONE)
    topic.logs[0].append(memoryview(bytearray(batch_of(b"x" * 10_000))))
    await catalog.delete("gone")
    assert topic.logs[0].deleted
    assert os.listdir(tmp_path) == []
    with pytest.raises(TopicNotFound):
        catalog.log("gone", 0)
    with pytest.raises(TopicNotFound):
        await catalog.delete("gone")
    assert (await catalog.create("gone", ONE)).logs[0].end_offset == 0
    await catalog.close()


async def test_unfinished_creates_and_deletes_are_cleaned_up(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    await catalog.create("whole", ONE)
    await catalog.close()
    half = tmp_path / ".half-1"
    (half / "0").mkdir(parents=True)
    (half / "0" / f"{0:020d}.log").write_bytes(b"half")
    again = Catalog(tmp_path)
    assert [topic.name for topic in again.topics()] == ["whole"]
    assert not half.exists()
    await again.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"version": 19, "spec": "zz"}', b'{"version": 19, "spec": "00ff"}'],
)
async def test_a_damaged_spec_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    catalog = Catalog(tmp_path)
    await catalog.create("broken", ONE)
    await catalog.close()
    (tmp_path / "broken" / "topic.json").write_bytes(content)
    with pytest.raises(LogError, match=r"broken/topic\.json"):
        Catalog(tmp_path)


def test_a_folder_has_one_broker(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(LogError, match="another broker uses"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


async def test_many_partitions_need_few_descriptors(tmp_path: Path) -> None:
    limit = 16
    catalog = Catalog(tmp_path, files=FilePool(limit))
    spec = TopicSpec(ComputedReplicas(100), storage=Storage(1_024))
    me = psutil.Process()
    before = me.num_fds()
    topics = [await catalog.create(f"wide-{number}", spec) for number in range(3)]
    assert me.num_fds() == before
    for _ in range(2):
        for topic in topics:
            for log in topic.logs:
                log.append(memoryview(bytearray(batch_of(b"x" * 900))))
    assert me.num_fds() <= before + limit
    for topic in topics:
        for log in topic.logs:
            assert log.read(0, 10_000).next_offset == 1
            assert log.read(1, 10_000).next_offset == 2
    assert me.num_fds() <= before + limit
    await catalog.close()
    again = Catalog(tmp_path, files=FilePool(limit))
    assert {log.end_offset for topic in again.topics() for log in topic.logs} == {2}
    assert me.num_fds() <= before + limit
    await again.close()
    assert me.num_fds() == before


async def test_delete_lets_go_of_the_files_at_once(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    topic = await catalog.create("gone", ONE)
    topic.logs[0].append(memoryview(bytearray(batch_of(b"x" * 10_000))))
    assert topic.logs[0].read(0, 1).records
    await catalog.delete("gone")
    held = [item.path for item in psutil.Process().open_files()]
    assert not [path for path in held if str(tmp_path) in path]
    await catalog.close()


async def test_a_full_disk_leaves_no_half_made_topic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog(tmp_path)
    await catalog.create("there", ONE)
    real = Path.mkdir

    def full(path: Path, **options: bool) -> None:
        if path.name == "7":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", full)
        with pytest.raises(StorageFull, match="cannot create topic 'wide': No space left"):
            await catalog.create("wide", TopicSpec(ComputedReplicas(9)))
    assert os.listdir(tmp_path) == ["there"]
    await catalog.create("wide", TopicSpec(ComputedReplicas(9)))
    await catalog.close()


async def test_a_disk_that_refuses_a_delete_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog(tmp_path)
    await catalog.create("stuck", ONE)

    def refusing(path: Path, target: Path) -> Path:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refusing)
        with pytest.raises(LogError, match="cannot delete topic 'stuck': Read-only"):
            await catalog.delete("stuck")
    await catalog.close()
    again = Catalog(tmp_path)
    assert [topic.name for topic in again.topics()] == ["stuck"]
    await again.close()


async def test_a_start_does_not_read_what_was_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog(tmp_path)
    topic = await catalog.create("long", TopicSpec(ComputedReplicas(1), storage=Storage(100_000)))
    for number in range(30):
        topic.logs[0].append(memoryview(bytearray(batch_of(b"%d" % number * 5_000))))
    await catalog.clean()
    topic.logs[0].append(memoryview(bytearray(batch_of(b"after"))))
    topic.logs[0].mark_deleted()  # as a kill: nothing is kept at the end
    taken: list[int] = []
    real = os.pread

    def counted(fd: int, count: int, position: int) -> bytes:
        taken.append(count)
        return real(fd, count, position)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", counted)
        again = Catalog(tmp_path)
    assert again.log("long", 0).end_offset == 31
    assert sum(taken) < 1_000
    await again.close()


async def test_a_delete_waits_for_what_works_on_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What unlinks by name must not meet the files of the next topic of that name."""
    catalog = Catalog(tmp_path)
    small = TopicSpec(ComputedReplicas(1), storage=Storage(1_024, 2_048))
    (log,) = (await catalog.create("again", small)).logs
    for _ in range(5):
        log.append(memoryview(bytearray(batch_of(b"x" * 900))))
    began, go_on = threading.Event(), threading.Event()
    real = Path.unlink

    def slow(path: Path, missing_ok: bool = False) -> None:
        began.set()
        assert go_on.wait(WAIT_S_MAX)
        real(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", slow)
        cleaning = asyncio.create_task(log.clean())
        assert await asyncio.to_thread(began.wait, WAIT_S_MAX)
        deleting = asyncio.create_task(catalog.delete("again"))
        for _ in range(10):
            await asyncio.to_thread(os.listdir, tmp_path)
        assert os.listdir(tmp_path) == ["again"]
        go_on.set()
        await asyncio.gather(cleaning, deleting)
    assert os.listdir(tmp_path) == []
    await catalog.close()


async def test_other_files_among_the_topics_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".nfs0001").write_bytes(b"")
    (tmp_path / "notes").write_bytes(b"")
    catalog = Catalog(tmp_path)
    assert catalog.topics() == []
    await catalog.close()
    assert sorted(os.listdir(tmp_path)) == [".nfs0001", "notes"]
