"""One file of a partition: batches back to back, exactly as they travel.

The index is kept in memory only, one entry for some kilobytes of file, and rebuilt by
walking the batch headers. Batches that an earlier process wrote are checked once, before
they are served first; damaged ones never are. This module knows no topics, no network and
no asyncio.
"""

from __future__ import annotations

import logging
import os
import re
import struct
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qd_fluvio.broker.errors import DamagedRecords
from qd_fluvio.broker.files import FilePool
from qd_fluvio.broker.scan import (
    BLOCK_BYTES,
    SEARCH_STEP_BYTES,
    Damage,
    Mark,
    fault_at,
    good_run,
    header_at,
    next_good,
)
from qd_fluvio.errors import LogError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.records import HEADER_BYTES, PREAMBLE_BYTES, Batch, batch_at

# 16 bytes of memory for so many of file: 256 bytes a MiB.
INDEX_INTERVAL_BYTES = 1 << 16
# What is checked at once: a few milliseconds even where batches are tiny.
_SLICE_BYTES = 1 << 18
_NAME = re.compile(r"([0-9]{20})\.log")
_LENGTH = struct.Struct(">i")
_LENGTH_AT = 8
# Places where readers go on, so that who reads in order does not search.
_HINTS_MAX = 64
_log = logging.getLogger("broker.log")


@dataclass(frozen=True, slots=True)
class Portion:
    """Batches that were read, and the offset after their last record."""

    records: memoryview
    next_offset: int


def base_offsets(names: Iterable[str]) -> list[int]:
    """The first offsets of the segments among a folder's files."""
    return [int(found[1]) for name in names if (found := _NAME.fullmatch(name))]


class Segment:
    """Batches of consecutive offsets in one file, which the first append creates."""

    def __init__(self, folder: Path, base_offset: int, files: FilePool) -> None:
        self.path = folder / f"{base_offset:020d}.log"
        self.base_offset = base_offset
        self.end_offset = base_offset
        self.size = 0
        self.modified_s = 0.0
        self._files = files
        self._offsets = array("q")
        self._positions = array("q")
        # What an earlier process wrote and nobody checked yet is between these.
        self._low = self._high = Mark(0, base_offset)
        self._damages: list[Damage] = []
        self._hints: dict[int, int] = {}

    @property
    def end(self) -> Mark:
        """Where the next batch goes."""
        return Mark(self.size, self.end_offset)

    def recover(self, trusted: Mark | None = None) -> int:
        """Take what an earlier process wrote, checksums checked; cut a torn tail.

        Damage that good batches follow is no torn tail: it stays, and is never served.

        Parameters
        ----------
        trusted : Mark or None
            Up to here there were whole batches once: they are checked when served.

        Returns
        -------
        int
            How many bytes were cut.
        """
        if not self.path.exists():
            return 0
        status = self.path.stat()
        self.modified_s, found = status.st_mtime, status.st_size
        if trusted is not None and self._leads_on(trusted, found):
            self._high = trusted
        end = self._walk(self._high, found)
        self.size, self.end_offset = end.position, end.offset
        if self.size < found:
            fd = self._files.descriptor(self.path)
            os.ftruncate(fd, self.size)
            os.fsync(fd)
        return found - self.size

    def adopt(self, end_offset: int) -> None:
        """Take a full file of an earlier process; its batches are checked when served."""
        status = self.path.stat()
        self.size, self.modified_s = status.st_size, status.st_mtime
        self.end_offset = end_offset
        self._high = self.end

    def create(self) -> None:
        """Make the file, if it is not there yet."""
        self._files.descriptor(self.path, create=True)

    def append(self, data: Buffer, batches: Sequence[Batch], now_s: float) -> None:
        """Write whole batches that continue this segment.

        Raises
        ------
        OSError
            If the disk refuses; the file may then have some of it, which `cut` takes back.
        """
        view = memoryview(data)
        fd = self._files.descriptor(self.path, create=True)
        written = 0
        while written < len(view):
            written += os.pwrite(fd, view[written:], self.size + written)
        offset = self.end_offset
        for batch in batches:
            self._note(offset, self.size + batch.start - batches[0].start)
            offset += batch.record_count
        self.size += len(view)
        self.end_offset = offset
        self.modified_s = now_s

    def cut(self, end: Mark) -> None:
        """Take back what was appended after `end`, and what an append that failed has left.

        Raises
        ------
        OSError
            If the disk refuses even that.
        """
        kept = bisect_left(self._positions, end.position)
        del self._positions[kept:], self._offsets[kept:]
        self.size, self.end_offset = end.position, end.offset
        with suppress(FileNotFoundError):  # it could not even be made
            os.truncate(self.path, self.size)

    def read(self, offset: int, max_bytes: int, size: int | None = None) -> Portion:
        """Whole batches from the one that holds `offset` on, one at least.

        Parameters
        ----------
        size : int or None
            How much of the file may be read: up to a place between two batches.

        Raises
        ------
        DamagedRecords
            If the records at `offset` are not what was written.
        OSError
            If the disk refuses.
        """
        while self.check_some(offset):
            pass
        self._refuse(offset)
        mark = self._locate(offset)
        size = self._readable(mark.position, self.size if size is None else size)
        if mark.position >= size:
            return Portion(memoryview(b""), offset)
        data = self._pread(max(max_bytes, HEADER_BYTES), mark.position, size)
        first = PREAMBLE_BYTES + _LENGTH.unpack_from(data, _LENGTH_AT)[0]
        if len(data) < first:  # the first batch alone is larger
            data = self._pread(first, mark.position, size)
        portion = _whole_batches(data)
        if len(self._hints) >= _HINTS_MAX:
            self._hints.clear()
        self._hints[portion.next_offset] = mark.position + len(portion.records)
        return portion

    def check_some(self, offset: int) -> bool:
        """Check a few of the batches before that of `offset`, and that one, if they are not yet.

        `read` does this itself, but until it is done: for a file of many small batches that
        takes a second. Who calls this first can let others have their turn between.

        Returns
        -------
        bool
            Whether there is more to check.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        low, high = self._low, self._high
        if low == high or not low.offset <= offset < high.offset:
            return False
        for size in (_SLICE_BYTES, BLOCK_BYTES):  # a batch may be larger than a slice
            block = self._pread(size, low.position, high.position)
            reached = self._good_run(block, low)
            if reached != low:
                break
        else:
            reached = self._search(low, high.position, high.offset) or high
            self._keep_damage(low, reached, block)
        if reached.position == high.position:
            if reached.offset < high.offset:
                self._keep_damage(reached, high, b"")
            reached = high
        self._low = reached
        return reached != high and reached.offset <= offset

    def close(self) -> None:
        """Let go of the file."""
        self._files.close(self.path)

    def _locate(self, offset: int) -> Mark:
        """The batch that holds `offset`, which was checked."""
        mark, found = self._nearest(offset), False
        while not found:
            mark, found = self._step(self._after_damage(mark), offset)
        return mark

    def _nearest(self, offset: int) -> Mark:
        """A known batch that `offset` is in or behind."""
        position = self._hints.get(offset)
        if position is not None:
            return Mark(position, offset)
        entry = bisect_right(self._offsets, offset) - 1
        if entry < 0:
            return Mark(0, self.base_offset)
        return Mark(self._positions[entry], self._offsets[entry])

    def _step(self, mark: Mark, offset: int) -> tuple[Mark, bool]:
        """Walk headers from `mark` towards `offset`, and say whether its batch was found."""
        size = self._readable(mark.position, self.size)
        block = self._pread(INDEX_INTERVAL_BYTES + HEADER_BYTES, mark.position, size)
        start, at = 0, mark.offset
        while batch := header_at(block, start, at):
            if offset < batch.next_offset:
                return Mark(mark.position + start, at), True
            start, at = batch.end, batch.next_offset
        if not start:
            raise LogError(f"{self.path.name} changed while it was in use: restart the broker")
        return Mark(mark.position + start, at), False

    def _walk(self, mark: Mark, size: int) -> Mark:
        """Check all batches from `mark` on; gives where the last good one ends."""
        while True:
            block = self._pread(BLOCK_BYTES, mark.position, size)
            reached = self._good_run(block, mark)
            if reached == mark:
                following = self._search(mark, size)
                if following is None:
                    return mark
                self._keep_damage(mark, following, block)
                reached = following
            mark = reached

    def _good_run(self, block: bytes, mark: Mark) -> Mark:
        """Check the batches of a block that was read at `mark`; gives where good ones end."""
        end, marks = good_run(block, mark.offset, INDEX_INTERVAL_BYTES)
        for found in marks:
            self._note(found.offset, mark.position + found.position)
        return Mark(mark.position + end.position, end.offset)

    def _leads_on(self, mark: Mark, size: int) -> bool:
        """Whether a batch begins at `mark`, or the file ends there."""
        if mark.position == size:
            return True
        block = self._pread(HEADER_BYTES, mark.position, size)
        return header_at(block, 0, mark.offset) is not None

    def _search(self, mark: Mark, size: int, end_offset: int | None = None) -> Mark | None:
        """Where good batches go on after the bad bytes at `mark`."""
        position = mark.position
        while position < size:
            block = self._pread(BLOCK_BYTES, position, size)
            last = position + len(block) == size
            found = next_good(block, 0, mark.offset, end_offset if last else None)
            if found is not None:
                return Mark(position + found.start, found.base_offset)
            position += SEARCH_STEP_BYTES
        return None

    def _keep_damage(self, mark: Mark, following: Mark, block: bytes) -> None:
        """Remember bytes that are not to be served, and say so."""
        damage = Damage(
            mark.position,
            following.position,
            mark.offset,
            following.offset,
            fault_at(block, 0, mark.offset),
        )
        insort(self._damages, damage, key=lambda item: item.start)
        _log.error("%s", self._refusal(damage))

    def _refusal(self, damage: Damage) -> DamagedRecords:
        name = f"{self.path.parent.parent.name}-{self.path.parent.name}, {self.path.name}"
        return DamagedRecords(name, damage.first_offset, damage.next_offset, damage.reason)

    def _refuse(self, offset: int) -> None:
        for damage in self._damages:
            if damage.first_offset <= offset < damage.next_offset:
                raise self._refusal(damage)

    def _after_damage(self, mark: Mark) -> Mark:
        for damage in self._damages:
            if damage.start == mark.position:
                mark = Mark(damage.end, damage.next_offset)
        return mark

    def _readable(self, position: int, size: int) -> int:
        """How far good batches go from `position` on."""
        if position < self._low.position < self._high.position:
            size = min(size, self._low.position)
        return min([size, *(item.start for item in self._damages if item.start >= position)])

    def _pread(self, count: int, position: int, size: int) -> bytes:
        count = max(0, min(count, size - position))
        return os.pread(self._files.descriptor(self.path), count, position)

    def _note(self, offset: int, position: int) -> None:
        """Keep an index entry, unless one is near."""
        if not self._positions or position - self._positions[-1] >= INDEX_INTERVAL_BYTES:
            self._offsets.append(offset)
            self._positions.append(position)
            return
        at = bisect_right(self._positions, position)
        if at == 0 or position - self._positions[at - 1] >= INDEX_INTERVAL_BYTES:
            self._offsets.insert(at, offset)
            self._positions.insert(at, position)


def _whole_batches(data: bytes) -> Portion:
    """The whole batches of bytes that were checked before: only their lengths are read."""
    last = end = 0
    while len(data) - end >= HEADER_BYTES:
        following = end + PREAMBLE_BYTES + _LENGTH.unpack_from(data, end + _LENGTH_AT)[0]
        if following > len(data):
            break
        last, end = end, following
    return Portion(memoryview(data)[:end], batch_at(data, last).next_offset)
