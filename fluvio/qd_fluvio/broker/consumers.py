"""Committed offsets of named consumers: in memory, and in one file that grows by each commit.

Every line of the file is one change with its checksum. A commit is in the kernel's hands
before it returns, so it outlives this process however that dies; `sync` brings it to the
disk. Once most lines are outdated the file is written anew, whole or not at all.
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

from qd_fluvio.broker.files import refused, sync_files, write_durably
from qd_fluvio.broker.settings import CONSUMER_ID_CHARACTERS_MAX, CONSUMERS_MAX
from qd_fluvio.broker.sharing import SharedTask
from qd_fluvio.errors import FluvioError, LogError
from qd_fluvio.wire.data import ConsumerFilter, ConsumerOffset, ReplicaKey

# The file is written anew when it has so many outdated lines, and more of them than others.
_OUTDATED_LINES_MAX = 10_000
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

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    async def _sync_once(self) -> None:
        covered = self._changes
        try:
            await asyncio.to_thread(sync_files, [self._path])
        except OSError as error:
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
        try:
            if self._lines - len(self._offsets) > max(_OUTDATED_LINES_MAX, len(self._offsets)):
                self._rewrite()
            _write_all(self._fd, _line(row), self._size)
        except OSError as error:
            raise refused(f"write to {self._path.name}", error) from error
        self._size += len(_line(row))
        self._lines += 1
        self._changes += 1

    def _rewrite(self) -> None:
        """Leave out what is outdated."""
        lines = [
            _line([key.topic, key.partition, key.consumer_id, *values])
            for key, values in self._offsets.items()
        ]
        write_durably(self._path, b"".join(lines))
        os.close(self._fd)
        self._fd = _opened(self._path)
        self._size, self._lines = sum(map(len, lines)), len(lines)
        self._synced = self._changes

    def _load(self) -> None:
        """Take what an earlier process wrote; cut what it did not finish.

        A line that is damaged is left out: its consumer reads some records again.
        """
        content = self._path.read_bytes()
        position = good_until = 0
        for line in content.splitlines(keepends=True):
            position += len(line)
            try:
                self._replay(_row(line))
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

    def _replay(self, row: list[str | int]) -> None:
        if len(row) == 1:
            self._offsets = {key: at for key, at in self._offsets.items() if key.topic != row[0]}
            return
        key = _Key(str(row[0]), int(row[1]), str(row[2]))
        if len(row) == 3:
            self._offsets.pop(key, None)
        else:
            offset, modified_s = row[3:]
            self._offsets[key] = (int(offset), int(modified_s))


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
