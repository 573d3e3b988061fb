"""One file of a partition: batches back to back, exactly as they travel.

The index is kept in memory only, one entry for some kilobytes of file, and rebuilt by
walking the batch headers. This module knows no topics, no network and no asyncio.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qd_fluvio.broker.settings import BATCH_BYTES_MAX
from qd_fluvio.errors import LogError, WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.records import (
    HEADER_BYTES,
    Batch,
    batch_at,
    checksum_holds,
    iter_batches,
)

INDEX_INTERVAL_BYTES = 1 << 16
_SCAN_BYTES = 2 * BATCH_BYTES_MAX  # any batch is whole in some block
SUFFIX = ".log"


@dataclass(frozen=True, slots=True)
class Portion:
    """Batches that were read, and the offset after their last record."""

    records: memoryview
    next_offset: int


class Segment:
    """Batches of consecutive offsets in one file."""

    def __init__(self, folder: Path, base_offset: int) -> None:
        self.path = folder / f"{base_offset:020d}{SUFFIX}"
        self.base_offset = base_offset
        self.end_offset = base_offset
        self.size = 0
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._indexed = True
        self._suspect = False
        self._offsets = array("q")
        self._positions = array("q")

    def recover(self) -> int:
        """Take what an earlier process wrote, checksums checked; cut a torn tail.

        Returns
        -------
        int
            How many bytes were cut.
        """
        found = os.fstat(self._fd).st_size
        self._scan(found, verify=True)
        if self.size < found:
            os.ftruncate(self._fd, self.size)
            os.fsync(self._fd)
        return found - self.size

    def adopt(self, end_offset: int) -> None:
        """Take a full file of an earlier process; its batches are checked when served."""
        self.size = os.fstat(self._fd).st_size
        self.end_offset = end_offset
        self._indexed = False
        self._suspect = True

    def append(self, data: Buffer, batches: Sequence[Batch]) -> None:
        """Write whole batches that continue this segment; all of them or nothing.

        Raises
        ------
        OSError
            If the disk refuses; the file is then as before.
        """
        view = memoryview(data)
        written = 0
        try:
            while written < len(view):
                written += os.pwrite(self._fd, view[written:], self.size + written)
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        offset = self.end_offset
        for batch in batches:
            self._note(offset, self.size + batch.start)
            offset += batch.record_count
        self.size += len(view)
        self.end_offset = offset

    def read(self, offset: int, max_bytes: int) -> Portion:
        """Whole batches from the one that holds `offset` on, one at least.

        Raises
        ------
        LogError
            If the file is damaged there.
        """
        position = self._locate(offset)
        data = self._pread(max(max_bytes, HEADER_BYTES), position)
        portion = self._whole(data, offset)
        if portion.next_offset == offset:  # the first batch alone is larger
            data = self._pread(self._first(data).end, position)
            portion = self._whole(data, offset)
            if portion.next_offset == offset:
                raise LogError(f"{self.path.name} ends within the batch of offset {offset}")
        return portion

    def read_cut(self, offset: int, max_bytes: int) -> Portion:
        """Bytes from the batch that holds `offset` on, cut at `max_bytes` wherever that is."""
        data = self._pread(max_bytes, self._locate(offset))
        return Portion(memoryview(data), offset)

    def sync(self) -> None:
        """Bring the file's data to the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _whole(self, data: bytes, offset: int) -> Portion:
        end = 0
        try:
            for batch in iter_batches(data):
                if self._suspect and not checksum_holds(data, batch):
                    raise WireError(f"the batch of offset {batch.base_offset} fails its checksum")
                end, offset = batch.end, batch.next_offset
        except WireError as error:
            if not end:
                raise LogError(f"{self.path.name} is damaged: {error}") from None
        return Portion(memoryview(data)[:end], offset)

    def _first(self, data: bytes) -> Batch:
        try:
            return batch_at(data, 0)
        except WireError as error:
            raise LogError(f"{self.path.name} is damaged: {error}") from None

    def _locate(self, offset: int) -> int:
        """The position of the batch that holds `offset`."""
        if not self._indexed:
            self._index_again()
        position = self._positions[bisect_right(self._offsets, offset) - 1]
        while True:
            block = self._pread(INDEX_INTERVAL_BYTES + HEADER_BYTES, position)
            start = 0
            while len(block) - start >= HEADER_BYTES:
                try:
                    batch = batch_at(block, start)
                except WireError as error:
                    raise LogError(f"{self.path.name} is damaged: {error}") from None
                if offset < batch.next_offset:
                    return position + start
                start = batch.end
            if not start:
                raise LogError(f"{self.path.name} ends before its offset {offset}")
            position += start

    def _pread(self, count: int, position: int) -> bytes:
        return os.pread(self._fd, min(count, self.size - position), position)

    def _note(self, offset: int, position: int) -> None:
        if not self._positions or position - self._positions[-1] >= INDEX_INTERVAL_BYTES:
            self._offsets.append(offset)
            self._positions.append(position)

    def _index_again(self) -> None:
        size, end_offset = self.size, self.end_offset
        self._scan(size, verify=False)
        if self.end_offset != end_offset:
            found, self.size, self.end_offset = self.end_offset, size, end_offset
            raise LogError(
                f"{self.path.name} is damaged: found batches up to offset {found}, "
                f"expected {end_offset}"
            )
        self._indexed = True

    def _scan(self, size: int, *, verify: bool) -> None:
        """Walk the headers; `size` and `end_offset` become those of the good batches."""
        self.size, self.end_offset = size, self.base_offset
        self._offsets, self._positions = array("q"), array("q")
        position = 0
        while taken := self._scan_block(position, verify=verify):
            position += taken
        self.size = position

    def _scan_block(self, position: int, *, verify: bool) -> int:
        block = self._pread(_SCAN_BYTES, position)
        taken = 0
        try:
            for batch in iter_batches(block):
                if batch.base_offset != self.end_offset:
                    break
                if verify and not checksum_holds(block, batch):
                    break
                self._note(self.end_offset, position + batch.start)
                self.end_offset = batch.next_offset
                taken = batch.end
        except WireError:
            pass  # what is not a batch ends the good part, as a cut one does
        return taken
