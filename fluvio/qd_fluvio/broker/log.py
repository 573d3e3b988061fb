"""One partition's log: segments in a folder, offsets without gaps, listeners.

Batches are stored and given back without being opened. An append is in the kernel's
hands before it returns, so it outlives this process however that dies; `sync` brings it
to the disk. Not thread-safe: one event loop owns a log.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from qd_fluvio.broker.errors import StorageFull
from qd_fluvio.broker.files import sync_folder
from qd_fluvio.broker.segment import SUFFIX, Portion, Segment
from qd_fluvio.broker.settings import BATCH_BYTES_MAX
from qd_fluvio.errors import LogError, OffsetOutOfRange, RecordTooLarge
from qd_fluvio.wire.records import checked_batches, set_base_offset

_log = logging.getLogger("broker.log")


class PartitionLog:
    """The batches of one partition."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        self.deleted = False
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._segments = self._open_segments()
        self._bases = [segment.base_offset for segment in self._segments]
        self._listeners: set[Callable[[], None]] = set()
        self._synced_offset = self.end_offset
        self._syncing: asyncio.Task[None] | None = None

    @property
    def start_offset(self) -> int:
        """The first offset that can be read."""
        return self._segments[0].base_offset

    @property
    def end_offset(self) -> int:
        """The next offset to be written."""
        return self._segments[-1].end_offset

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments)

    def append(self, records: memoryview) -> int:
        """Give batches their offsets, in place, and write them.

        Returns
        -------
        int
            The offset of the first record.

        Raises
        ------
        WireError
            If the bytes are not whole batches.
        RecordTooLarge
            If one batch is over the limit.
        StorageFull, LogError
            If the disk refuses; nothing is then written.
        """
        batches = checked_batches(records)
        offset = base_offset = self.end_offset
        for batch in batches:
            if batch.end - batch.start > BATCH_BYTES_MAX:
                raise RecordTooLarge(
                    f"found a batch of {batch.end - batch.start} bytes, "
                    f"expected at most {BATCH_BYTES_MAX}: send smaller records or batches"
                )
            set_base_offset(records, batch, offset)
            offset += batch.record_count
        try:
            self._segment_for(len(records)).append(records, batches)
        except OSError as error:
            kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else LogError
            raise kind(f"cannot write to {self._folder.name}: {error.strerror}") from error
        self._notify()
        return base_offset

    def read(self, offset: int, max_bytes: int, *, cut: bool = False) -> Portion:
        """Batches from the one that holds `offset` on.

        Parameters
        ----------
        offset : int
            Within the log; at its end there is nothing to read.
        max_bytes : int
            Whole batches up to this size, but one at least.
        cut : bool
            Cut the last batch at `max_bytes` instead.

        Raises
        ------
        OffsetOutOfRange
            If the log does not hold `offset`.
        LogError
            If the file is damaged there.
        """
        self.check_offset(offset)
        if offset == self.end_offset:
            return Portion(memoryview(b""), offset)
        segment = self._segments[bisect_right(self._bases, offset) - 1]
        return segment.read_cut(offset, max_bytes) if cut else segment.read(offset, max_bytes)

    def check_offset(self, offset: int) -> None:
        """Refuse an offset that the log neither holds nor writes next."""
        if not self.start_offset <= offset <= self.end_offset:
            raise OffsetOutOfRange(
                f"found offset {offset}, expected {self.start_offset} to {self.end_offset}"
            )

    async def sync(self) -> None:
        """Return when all that is written so far is on the disk; callers share one sync.

        Raises
        ------
        LogError
            If the disk refuses.
        """
        wanted = self.end_offset
        while self._synced_offset < wanted and not self.deleted:
            if self._syncing is None or self._syncing.done():
                self._syncing = asyncio.get_running_loop().create_task(self._sync_once())
            # A caller that is cancelled must not take the sync away from the others.
            await asyncio.shield(self._syncing)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each append and when the log is deleted."""
        self._listeners.add(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Stop calling `listener`."""
        self._listeners.discard(listener)

    def mark_deleted(self) -> None:
        """Tell all readers that there will be nothing more."""
        self.deleted = True
        self._notify()

    async def close(self) -> None:
        """Let go of the files, once nothing uses them."""
        if self._syncing is not None:
            await asyncio.wait([self._syncing])
        for segment in self._segments:
            segment.close()

    def _notify(self) -> None:
        for listener in list(self._listeners):
            listener()

    async def _sync_once(self) -> None:
        covered = self.end_offset
        pending = [item for item in self._segments if item.end_offset > self._synced_offset]
        try:
            await asyncio.to_thread(self._sync_files, pending)
        except OSError as error:
            raise LogError(f"cannot sync {self._folder.name}: {error.strerror}") from error
        self._synced_offset = covered

    def _sync_files(self, segments: list[Segment]) -> None:
        for segment in segments:
            segment.sync()
        sync_folder(self._folder)  # there may be new segments

    def _segment_for(self, count: int) -> Segment:
        active = self._segments[-1]
        if not active.size or active.size + count <= self._segment_bytes:
            return active
        segment = Segment(self._folder, active.end_offset)
        self._segments.append(segment)
        self._bases.append(segment.base_offset)
        return segment

    def _open_segments(self) -> list[Segment]:
        names = sorted(name for name in os.listdir(self._folder) if name.endswith(SUFFIX))
        bases = [int(name.removesuffix(SUFFIX)) for name in names] or [0]
        segments = [Segment(self._folder, base) for base in bases]
        for segment, following in zip(segments, bases[1:], strict=False):
            segment.adopt(following)
        cut = segments[-1].recover()
        if cut:
            _log.warning("cut %d bytes of an unfinished write from %s", cut, segments[-1].path)
        return segments
