"""Committed offsets on disk: cheap commits that outlive the process, cut tails, a full disk."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qd_fluvio.broker.consumers import ConsumerOffsets
from qd_fluvio.broker.settings import CONSUMER_ID_CHARACTERS_MAX
from qd_fluvio.errors import FluvioError, LogError
from qd_fluvio.wire.data import ConsumerFilter, ReplicaKey

_STARTED: list[ConsumerOffsets] = []


@pytest.fixture(autouse=True)
def all_closed() -> Iterator[None]:
    yield
    while _STARTED:
        _STARTED.pop().close()


def opened(path: Path) -> ConsumerOffsets:
    _STARTED.append(ConsumerOffsets(path, clock=lambda: 1_234.9))
    return _STARTED[-1]


def kept(path: Path) -> dict[tuple[str, int, str], int]:
    """What a broker that starts now finds."""
    found = opened(path).find(None)
    return {
        (item.replica.topic, item.replica.partition, item.consumer_id): item.offset
        for item in found
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "consumers.log"


def test_commits_are_kept(path: Path) -> None:
    offsets = opened(path)
    offsets.commit("a", 0, "c1", 7)
    offsets.commit("a", 1, "c1", 8)
    offsets.commit("b", 0, "c2", 9)
    offsets.commit("a", 0, "c1", 10)
    again = opened(path)
    assert [item.offset for item in again.find(None)] == [10, 8, 9]
    (one,) = again.find(ConsumerFilter(ReplicaKey("a", 0), "c1"))
    assert (one.offset, one.modified_time_s) == (10, 1_234)
    assert len(again.find(ConsumerFilter(consumer_id="c1"))) == 2
    again.delete("a", 1, "c1")
    again.delete("a", 1, "c1")
    again.delete_topic("b")
    again.delete_topic("unknown")
    assert kept(path) == {("a", 0, "c1"): 10}


def test_consumers_of_other_topics_are_forgotten(path: Path) -> None:
    offsets = opened(path)
    for topic in ("here", "gone", "gone-too"):
        offsets.commit(topic, 0, "c", 1)
    offsets.keep_topics({"here", "new"})
    assert kept(path) == {("here", 0, "c"): 1}


def test_a_topic_that_comes_again_has_no_consumers(path: Path) -> None:
    offsets = opened(path)
    offsets.commit("a", 0, "old", 1)
    offsets.delete_topic("a")
    offsets.commit("a", 0, "new", 2)
    assert kept(path) == {("a", 0, "new"): 2}


COMMIT_AND_DIE = """
import os, signal, sys
from pathlib import Path
from qd_fluvio.broker.consumers import ConsumerOffsets
offsets = ConsumerOffsets(Path(sys.argv[1]))
for number in range(1_000):
    offsets.commit("topic", number % 10, f"c{number % 50}", number)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_commits_outlive_a_kill(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", COMMIT_AND_DIE, str(path)], check=False)
    assert done.returncode == -9
    found = kept(path)
    assert len(found) == 50
    assert set(found.values()) == set(range(950, 1_000))


@given(cut=st.integers(0, 400))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=60,
)
def test_a_cut_tail_loses_only_what_was_cut(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "consumers.log"
    offsets = opened(path)
    for number in range(9):
        offsets.commit("topic", 0, "c", number)
    content = path.read_bytes()
    left = content[: max(0, len(content) - cut)]
    path.write_bytes(left)
    assert list(kept(path).values()) == ([left.count(b"\n") - 1] if b"\n" in left else [])
    offsets = opened(path)
    offsets.commit("topic", 0, "c", 100)
    assert kept(path) == {("topic", 0, "c"): 100}


def test_a_damaged_commit_is_left_out(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    offsets = opened(path)
    for number in range(3):
        offsets.commit("topic", number, "c", number)
    content = bytearray(path.read_bytes())
    content[path.read_bytes().index(b"\n") + 20] ^= 1
    path.write_bytes(content)
    assert kept(path) == {("topic", 0, "c"): 0, ("topic", 2, "c"): 2}
    assert "checksum" in caplog.text


@pytest.mark.parametrize("content", [b"[1]\n", b"something else\nentirely\n", b"\n" * 100])
def test_another_file_is_a_clear_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LogError, match=r"consumers\.log"):
        opened(path)
    assert path.read_bytes() == content


def test_a_full_disk_keeps_the_commit_before(path: Path) -> None:
    offsets = opened(path)
    offsets.commit("a", 0, "c1", 7)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, hard))
    try:
        with pytest.raises(LogError, match="cannot write"):
            offsets.commit("a", 0, "c1", 8)
        with pytest.raises(LogError, match="cannot write"):
            offsets.delete("a", 0, "c1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [item.offset for item in offsets.find(None)] == [7]
    offsets.commit("b", 0, "c1", 9)
    assert kept(path) == {("a", 0, "c1"): 7, ("b", 0, "c1"): 9}


def outdated(path: Path) -> ConsumerOffsets:
    """A file of which nearly nothing counts any more."""
    offsets = opened(path)
    for number in range(10_020):
        offsets.commit("topic", 0, f"c{number % 7}", number)
    return offsets


async def test_the_file_stays_small(path: Path) -> None:
    offsets = outdated(path)
    assert offsets.size_bytes > 300_000
    cleaning = asyncio.create_task(offsets.clean())
    await asyncio.sleep(0)
    offsets.commit("topic", 0, "c0", 20_000)  # while the file is written anew
    offsets.delete("topic", 0, "c1")
    await offsets.sync()
    await cleaning
    assert offsets.size_bytes < 1_000
    offsets.commit("topic", 0, "c2", 20_002)
    await offsets.sync()
    await offsets.clean()
    numbers = range(10_020 - 7, 10_020)
    expected = {("topic", 0, f"c{number % 7}"): number for number in numbers}
    expected |= {("topic", 0, "c0"): 20_000, ("topic", 0, "c2"): 20_002}
    del expected["topic", 0, "c1"]
    assert kept(path) == expected


async def test_a_disk_that_refuses_the_new_file_leaves_the_old_one(path: Path) -> None:
    offsets = outdated(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(LogError, match=r"cannot write consumers\.log anew: .* open files"):
            await offsets.clean()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    offsets.commit("topic", 0, "c0", 20_000)
    assert kept(path)["topic", 0, "c0"] == 20_000
    await offsets.clean()
    assert kept(path)["topic", 0, "c0"] == 20_000


def test_a_long_name_is_refused(path: Path) -> None:
    with pytest.raises(FluvioError, match="characters"):
        opened(path).commit("a", 0, "x" * (CONSUMER_ID_CHARACTERS_MAX + 1), 1)


def test_too_many_consumers_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qd_fluvio.broker.consumers.CONSUMERS_MAX", 3)
    offsets = opened(path)
    for number in range(3):
        offsets.commit("a", 0, f"c{number}", 1)
    with pytest.raises(FluvioError, match="delete some consumers"):
        offsets.commit("a", 0, "one-more", 1)
    offsets.commit("a", 0, "c0", 2)
    offsets.delete("a", 0, "c1")
    offsets.commit("a", 0, "one-more", 1)


async def test_a_sync_covers_what_was_committed_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fdatasync

    def recorded(fd: int) -> None:
        real(fd)
        synced.append(os.fstat(fd).st_size)

    monkeypatch.setattr(os, "fdatasync", recorded)
    offsets = opened(path)
    offsets.commit("a", 0, "c", 1)
    await offsets.sync()
    assert len(synced) == 1
    assert synced[0] > 0
    await offsets.sync()
    assert len(synced) == 1


def test_a_closed_file_s_number_is_the_next_one_s(path: Path, tmp_path: Path) -> None:
    offsets = ConsumerOffsets(path)
    offsets.commit("a", 0, "c", 1)
    offsets.close()
    with (tmp_path / "other").open("wb+") as other:
        with pytest.raises(LogError, match="write to"):
            offsets.commit("a", 0, "c", 2)
        with pytest.raises(LogError, match="write to"):
            offsets.delete_topic("a")
        assert other.seek(0, os.SEEK_END) == 0
    assert kept(path) == {("a", 0, "c"): 1}
