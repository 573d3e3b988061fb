"""Committed offsets of named consumers: in memory, and in one file that grows by each commit.

Every line of the file is one change with its checksum. A commit is in the kernel's hands
before it returns, so it outlives this process however that dies; `sync` brings it to the
disk. Once most lines are outdated `clean` writes the file anew, whole or not at all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qd_fluvio.broker.files import refused, sync_files, sync_folder
from qd_fluvio.broker.settings import CONSUMER_ID_CHARACTERS_MAX, CONSUMERS_MAX
from qd_fluvio.broker.sharing import SharedTask
from qd_fluvio.errors import FluvioError, LogError
from qd_fluvio.wire.data import ConsumerFilter, ConsumerOffset, ReplicaKey

# The file is written anew when it has so many outdated lines, and more of them than others.
_OUTDATED_LINES_MAX = 10_000
_NO_FILE = -1  # the kernel refuses it
_log = logging.getLogger("broker.consumers")


@dataclass(frozen=True, slots=True)
class _Key:
    topic: str
    partition: int
    consumer_id: str


class ConsumerOffsets:
    """The last offset that each named consumer has read of each partition."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._offsets: dict[_Key, tuple[int, int]] = {}
        self._lines = 0
        self._size = 0
        # Changes that were made, and those of them that are on the disk.
        self._changes = self._synced = 0
        self._name_synced = False
        self._syncing = SharedTask(self._sync_once)
        try:
            self._fd = _opened(path)
        except OSError as error:
            raise refused(f"open {path}", error) from error
        try:
            self._load()
        except LogError:
            self.close()
            raise

    def commit(self, topic: str, partition: int, consumer_id: str, offset: int) -> None:
        """Remember the last offset that was read.

        Raises
        ------
        FluvioError
            If there are too many consumers, or the name is too long.
        LogError
            If the disk refuses; the offset before stays.
        """
        key = _Key(topic, partition, consumer_id)
        if key not in self._offsets:
            self._check_new(key)
        modified_s = int(self._clock())
        self._append([topic, partition, consumer_id, offset, modified_s])
        self._offsets[key] = (offset, modified_s)

    def delete(self, topic: str, partition: int, consumer_id: str) -> None:
        """Forget one consumer of one partition.

        Raises
        ------
        LogError
            If the disk refuses; it is not forgotten then.
        """
        key = _Key(topic, partition, consumer_id)
        if key in self._offsets:
            self._append([topic, partition, consumer_id])
            del self._offsets[key]

    def delete_topic(self, topic: str) -> None:
        """Forget all consumers of a topic.

        Raises
        ------
        LogError
            If the disk refuses; they are not forgotten then.
        """
        doomed = [key for key in self._offsets if key.topic == topic]
        if doomed:
            self._append([topic])
        for key in doomed:
            del self._offsets[key]

    def keep_topics(self, names: set[str]) -> None:
        """Forget the consumers of all other topics, which a crash left behind."""
        for topic in {key.topic for key in self._offsets} - names:
            self.delete_topic(topic)

    def find(self, wanted: ConsumerFilter | None) -> tuple[ConsumerOffset, ...]:
        """All committed offsets that the filter lets through."""
        wanted = wanted or ConsumerFilter()
        found = (
            ConsumerOffset(
                key.consumer_id, ReplicaKey(key.topic, key.partition), offset, modified_s
            )
            for key, (offset, modified_s) in self._offsets.items()
        )
        return tuple(
            item
            for item in found
            if wanted.replica in (None, item.replica)
            and wanted.consumer_id in (None, item.consumer_id)
        )

    async def sync(self) -> None:
        """Return when all commits so far are on the disk; callers share one sync.

        Raises
        ------
        LogError
            If the disk refuses.
        """
        wanted = self._changes
        while self._synced < wanted:
            await self._syncing.join()

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return self._size

    async def clean(self) -> None:
        """Leave out of the file what is outdated, if that is most of it; commits go on meanwhile.

        Raises
        ------
        LogError
            If the disk refuses; the file is then as before.
        """
        if self._lines - len(self._offsets) <= max(_OUTDATED_LINES_MAX, len(self._offsets)):
            return
        try:
            await self._rewrite()
        except OSError as error:
            raise refused(f"write {self._path.name} anew", error) from error

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, _NO_FILE  # its number will be another file's
        os.close(fd)

    async def _sync_once(self) -> None:
        covered = self._changes
        try:
            await asyncio.to_thread(sync_files, [self._path])
            if not self._name_synced:  # looked at now: it may be another file since we began
                self._name_synced = True
                await asyncio.to_thread(sync_folder, self._path.parent)
        except OSError as error:
            self._name_synced = False
            raise refused(f"sync {self._path.name}", error) from error
        self._synced = max(self._synced, covered)

    def _check_new(self, key: _Key) -> None:
        if len(key.consumer_id) > CONSUMER_ID_CHARACTERS_MAX:
            raise FluvioError(
                f"found a consumer's name of {len(key.consumer_id)} characters, "
                f"expected at most {CONSUMER_ID_CHARACTERS_MAX}"
            )
        if len(self._offsets) >= CONSUMERS_MAX:
            raise FluvioError(
                f"found {CONSUMERS_MAX} committed offsets already: delete some consumers first"
            )

    def _append(self, row: list[str | int]) -> None:
        line = _line(row)
        try:
            _write_all(self._fd, line, self._size)
        except OSError as error:
            raise refused(f"write to {self._path.name}", error) from error
        self._size += len(line)
        self._lines += 1
        self._changes += 1

    async def _rewrite(self) -> None:
        items, lines, size = list(self._offsets.items()), self._lines, self._size
        part = self._path.with_name(f"{self._path.name}.part")
        written = await asyncio.to_thread(_write_items, part, items)
        fd = _opened(part)
        try:
            meanwhile = os.pread(self._fd, self._size - size, size)
            _write_all(fd, meanwhile, written)
            os.fdatasync(fd)
            part.replace(self._path)
        except OSError:
            os.close(fd)
            raise
        os.close(self._fd)
        self._fd = fd
        self._size = written + len(meanwhile)
        self._lines += len(items) - lines
        self._name_synced = False

    def _load(self) -> None:
        """Take what an earlier process wrote; cut what it did not finish.

        A line that is damaged is left out: its consumer reads some records again.
        """
        content = self._path.read_bytes()
        topics: dict[str, dict[_Key, tuple[int, int]]] = {}
        position = good_until = 0
        for line in content.splitlines(keepends=True):
            position += len(line)
            try:
                _replay(topics, _row(line))
            except (ValueError, TypeError) as error:
                _log.error("left out a commit in %s: %s", self._path.name, error)
                continue
            good_until = position
            self._lines += 1
        if b"\n" in content and not good_until:
            raise LogError(
                f"found no committed offset in {self._path}: restore the file, or remove it to "
                "forget all"
            )
        os.ftruncate(self._fd, good_until)
        self._size = good_until
        self._offsets = {key: at for found in topics.values() for key, at in found.items()}


def _replay(topics: dict[str, dict[_Key, tuple[int, int]]], row: list[str | int]) -> None:
    """Make the change that a line says."""
    topic = str(row[0])
    if len(row) == 1:
        topics.pop(topic, None)
        return
    key = _Key(topic, int(row[1]), str(row[2]))
    if len(row) == 3:
        topics.get(topic, {}).pop(key, None)
    else:
        offset, modified_s = row[3:]
        topics.setdefault(topic, {})[key] = (int(offset), int(modified_s))


def _write_items(path: Path, items: list[tuple[_Key, tuple[int, int]]]) -> int:
    """Write a file of these commits, and bring it to the disk; gives its size."""
    with path.open("wb") as file:
        for key, values in items:
            file.write(_line([key.topic, key.partition, key.consumer_id, *values]))
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _write_all(fd: int, data: bytes, position: int) -> None:
    """Write all of it, or leave the file as it was."""
    written = 0
    try:
        while written < len(data):
            written += os.pwrite(fd, data[written:], position + written)
    except OSError:
        os.ftruncate(fd, position)
        raise


def _line(row: list[str | int]) -> bytes:
    """A topic; or a consumer of a partition; or that with its offset and time."""
    text = json.dumps(row, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _row(line: bytes) -> list[str | int]:
    checksum, _, text = line.partition(b" ")
    if not text.endswith(b"\n") or int(checksum, 16) != zlib.crc32(text[:-1]):
        raise ValueError("it fails its checksum")
    row: list[str | int] = json.loads(text)
    if len(row) not in (1, 3, 5):
        raise ValueError(f"found {len(row)} fields, expected 1, 3 or 5")
    return row
