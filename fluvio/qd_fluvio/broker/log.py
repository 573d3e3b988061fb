"""One partition's log: segments in a folder, offsets without gaps, listeners.

Batches are stored and given back without being opened, except where the topic drops
duplicates (`filtering`). An append is in the kernel's hands before it returns, so it outlives this
process however that dies; `sync` brings it to the disk. Not thread-safe: one event loop
owns a log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from qd_fluvio.broker.checkpoint import read_checkpoint, write_checkpoint
from qd_fluvio.broker.errors import OffsetBeyond, OffsetEvicted, PartitionBroken
from qd_fluvio.broker.files import FilePool, SyncFailed, refused, sync_files, sync_folder
from qd_fluvio.broker.filtering import RecordFilter
from qd_fluvio.broker.policy import LogPolicy
from qd_fluvio.broker.retention import FileAge, expendable, expired
from qd_fluvio.broker.scan import Mark
from qd_fluvio.broker.segment import Portion, Segment, base_offsets
from qd_fluvio.broker.settings import BATCH_BYTES_MAX, Durability
from qd_fluvio.broker.sharing import SharedTask
from qd_fluvio.broker.transform import Transform
from qd_fluvio.errors import TopicDeleted
from qd_fluvio.wire.records import Batch, checked_batches, set_base_offset

_log = logging.getLogger("broker.log")


class PartitionLog:
    """The batches of one partition.

    Parameters
    ----------
    folder : Path
        Where its files are.
    policy : LogPolicy
        What the topic asks for.
    durability : Durability
        What a committed record survives.
    files : FilePool or None
        Where its descriptors come from; default: a pool of its own.
    make_transform : callable or None
        Makes what drops records before they are written.
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        policy: LogPolicy,
        *,
        durability: Durability = Durability.PROCESS,
        files: FilePool | None = None,
        make_transform: Callable[[], Transform] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.deleted = False
        self._folder = folder
        self._policy = policy
        self._durability = durability
        self._files = FilePool() if files is None else files
        self._clock = clock
        self._filter = RecordFilter(make_transform) if make_transform else None
        self._segments = self._open_segments()
        self._bases = [segment.base_offset for segment in self._segments]
        self._listeners: set[Callable[[], None]] = set()
        # What is on the disk for sure.
        self._synced = Mark(0, self.start_offset)
        self._synced_base = self.start_offset
        self._names_synced = False
        if durability is Durability.POWER:
            self._sync_opened()
        self._syncing = SharedTask(self._sync_once)
        self._cleaning = asyncio.Lock()
        self._broken = ""
        self._checkpoint: Mark | None = None

    @property
    def start_offset(self) -> int:
        """The first offset that can be read."""
        return self._segments[0].base_offset

    @property
    def end_offset(self) -> int:
        """The next offset to be written."""
        return self._segments[-1].end_offset

    @property
    def committed_offset(self) -> int:
        """The offset after the last record that survives what the durability promises."""
        if self._durability is Durability.PROCESS:
            return self.end_offset
        return max(self._synced.offset, self.start_offset)

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments)

    @property
    def is_broken(self) -> bool:
        """Whether the disk refused in a way that only a restart can look into."""
        return bool(self._broken)

    async def write(self, records: memoryview) -> int:
        """Append what the topic does not drop as duplicates; raises what `append` does.

        Returns
        -------
        int
            The offset of the first record; where all were duplicates, the partition's end.
        """
        if self._filter is None:
            return self.append(records)
        return await self._filter.append(self, records)

    def append(self, records: memoryview) -> int:
        """Give batches their offsets, in place, and write them all.

        Returns
        -------
        int
            The offset of the first record.

        Raises
        ------
        WireError
            If the bytes are not whole batches.
        CompressionRefused
            If the topic's policy does not allow a batch's compression.
        RecordTooLarge
            If one batch is over the limit.
        TopicDeleted
            If the topic is gone.
        StorageFull, PartitionBroken, LogError
            If the disk refuses; nothing is then written.
        """
        batches = self.check(records)
        offset = base_offset = self.end_offset
        for batch in batches:
            set_base_offset(records, batch, offset)
            offset += batch.record_count
        if batches:
            self._write(records, batches)
            self._notify()
        return base_offset

    def check(self, records: memoryview) -> list[Batch]:
        """The batches of `records`, if they can be appended; raises what `append` does."""
        self._check_there()
        if self._broken:
            raise PartitionBroken(self._broken)
        batches = checked_batches(records)
        self._policy.check(batches)
        return batches

    async def prepare(self, offset: int) -> None:
        """Check what an earlier process wrote up to `offset`, while others have their turns.

        To be called before `read`, which otherwise does it at once and holds up everybody.

        Raises
        ------
        LogError
            If the disk refuses.
        """
        try:
            while not self.deleted:
                if not self._segment_of(offset).check_some(offset):
                    return
                await asyncio.sleep(0)
        except OSError as error:
            raise refused(f"read {self._name}", error) from error

    def read(
        self, offset: int, max_bytes: int, *, cut: bool = False, committed: bool = False
    ) -> Portion:
        """Batches from the one that holds `offset` on.

        Parameters
        ----------
        offset : int
            Within the log; at its end there is nothing to read.
        max_bytes : int
            Whole batches up to this size, but one at least.
        cut : bool
            Cut the last batch at `max_bytes` instead.
        committed : bool
            Only what is before `committed_offset`; listeners hear when that moves.

        Raises
        ------
        OffsetOutOfRange
            If the log does not hold `offset`.
        DamagedRecords
            If the records there are not what was written.
        TopicDeleted
            If the topic is gone.
        LogError
            If the disk refuses.
        """
        self._check_there()
        self.check_offset(offset)
        end = self.committed_offset if committed else self.end_offset
        if committed and end <= offset < self.end_offset and not self._broken:
            self._syncing.start()
        if offset >= end:
            return Portion(memoryview(b""), offset)
        segment = self._segment_of(offset)
        limit = self._committed_size(segment) if committed else None
        try:
            if not cut:
                return segment.read(offset, max_bytes, limit)
            portion = segment.read(offset, max_bytes + BATCH_BYTES_MAX, limit)
            return Portion(portion.records[:max_bytes], offset)
        except OSError as error:
            raise refused(f"read {self._name}, {segment.path.name}", error) from error

    def check_offset(self, offset: int) -> None:
        """Refuse an offset that the log neither holds nor writes next."""
        if offset < self.start_offset:
            raise OffsetEvicted(offset, self.start_offset)
        if offset > self.end_offset:
            raise OffsetBeyond(offset, self.end_offset)

    async def sync(self) -> None:
        """Return when all that is written so far is on the disk; callers share one sync.

        Raises
        ------
        LogError
            If the disk refuses.
        """
        wanted = self.end_offset
        while self._synced.offset < wanted and not self.deleted:
            await self._syncing.join()

    async def clean(self) -> int:
        """Apply retention: delete full files that are too old or too many.

        Where all records are too old, the file that is written to goes as well, and an
        empty one takes its place.

        Returns
        -------
        int
            How many files went.

        Raises
        ------
        LogError
            If the disk refuses.
        """
        async with self._cleaning:
            try:
                return 0 if self.deleted else await self._clean()
            except OSError as error:
                if self.deleted:
                    return 0
                raise refused(f"clean up {self._name}", error) from error

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each append or sync and when the log is deleted."""
        self._listeners.add(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Stop calling `listener`."""
        self._listeners.discard(listener)

    def mark_deleted(self) -> None:
        """Tell all readers that there will be nothing more, and let go of the files.

        From then on nothing is read or written: the files may soon be another topic's.
        """
        self.deleted = True
        self._close_files()
        self._notify()

    async def close(self) -> None:
        """Let go of the files, once nothing uses them."""
        await self._syncing.finish()
        async with self._cleaning:
            pass
        if not self.deleted:
            try:
                self._keep_checkpoint()
            except OSError as error:
                _log.warning("the next start reads more: %s", error)
        self._close_files()

    def _check_there(self) -> None:
        if self.deleted:
            raise TopicDeleted(f"the topic of {self._name} was deleted while it was used")

    def _write(self, records: memoryview, batches: Sequence[Batch]) -> None:
        """Write all batches, to as many files as it takes, or none."""
        known, end = len(self._segments), self._active.end
        try:
            for run in self._runs(batches):
                self._active.append(records[run[0].start : run[-1].end], run, self._clock())
        except OSError as error:
            self._take_back(known, end)
            raise refused(f"write to {self._name}", error) from error

    def _take_back(self, known: int, end: Mark) -> None:
        """Leave nothing of a write that failed in the middle."""
        made = self._segments[known:]
        del self._segments[known:], self._bases[known:]
        try:
            self._active.cut(end)
            for segment in made:
                segment.close()
                segment.path.unlink(missing_ok=True)
        except OSError as error:
            # What is left would be taken for records once later ones are written before it.
            self._break(f"cannot take back a write to {self._name} that failed", error)

    def _runs(self, batches: Sequence[Batch]) -> Iterator[list[Batch]]:
        """Batches that fit into the last file, which is a new one where they do not."""
        run: list[Batch] = []
        for batch in batches:
            size = self._active.size + batch.end - (run[0].start if run else batch.start)
            if size > self._policy.segment_bytes and (run or self._active.size):
                if run:
                    yield run
                    run = []
                self._roll()
            run.append(batch)
        yield run

    def _roll(self) -> None:
        segment = Segment(self._folder, self.end_offset, self._files)
        segment.create()
        self._segments.append(segment)
        self._bases.append(segment.base_offset)
        self._names_synced = False

    def _retire(self) -> list[Segment]:
        """Forget the files that retention does not want; they are not deleted yet."""
        ages = [_age(segment) for segment in self._segments]
        count = expendable(ages, self._policy, self._clock())
        doomed = self._segments[:count]
        del self._segments[:count], self._bases[:count]
        for segment in doomed:
            segment.close()
        if doomed:
            _log.info(
                "%s begins at offset %d now: %d files are too old or too many",
                self._name,
                self.start_offset,
                count,
            )
        return doomed

    async def _clean(self) -> int:
        count = await self._delete(self._retire())
        if not self.deleted and expired(_age(self._active), self._policy, self._clock()):
            self._roll()
            # The file before may go only once this one, which says where the log is, stays.
            await asyncio.to_thread(sync_folder, self._folder)
            count += await self._delete(self._retire())
        if not self.deleted:
            self._keep_checkpoint()
        return count

    async def _delete(self, segments: list[Segment]) -> int:
        for segment in segments:
            await asyncio.to_thread(segment.path.unlink, missing_ok=True)
        return len(segments)

    def _keep_checkpoint(self) -> None:
        """Say how far the last file is whole, and stays so as the durability promises."""
        base, end = self._active.base_offset, self._active.end
        if self._durability is Durability.POWER:
            base, end = self._synced_base, self._synced
        if end.position and end != self._checkpoint:
            write_checkpoint(self._folder, base, end)
            self._checkpoint = end

    def _sync_opened(self) -> None:
        """Bring to the disk what an earlier process left: it is there now, and all may read it."""
        sync_files(segment.path for segment in self._segments)
        sync_folder(self._folder)
        self._synced, self._synced_base = self._active.end, self._active.base_offset

    async def _sync_once(self) -> None:
        if self._broken:
            raise PartitionBroken(self._broken)
        covered, covered_base = self._active.end, self._active.base_offset
        pending = [item.path for item in self._segments if item.end_offset > self._synced.offset]
        names_synced, self._names_synced = self._names_synced, True
        try:
            await asyncio.to_thread(sync_files, pending)
            if not names_synced:
                await asyncio.to_thread(sync_folder, self._folder)
        except OSError as error:
            self._names_synced = False
            if self.deleted:
                return
            if not isinstance(error, SyncFailed):
                raise refused(f"sync {self._name}", error) from error
            # The kernel may have dropped what it could not write, and would not say so again.
            self._break(f"cannot sync {self._name}", error)
            raise PartitionBroken(self._broken) from error
        self._synced, self._synced_base = covered, covered_base
        if self._durability is Durability.POWER:
            self._notify()

    def _break(self, what: str, error: OSError) -> None:
        """Take no more records until a restart has found out what is on the disk."""
        self._broken = (
            f"{what}: {error.strerror}: records that were not acknowledged "
            "may be lost; look after the disk, then restart the broker"
        )
        _log.error("%s", self._broken)

    def _committed_size(self, segment: Segment) -> int | None:
        """How much of a file may be read by who wants committed records only."""
        if self._durability is Durability.PROCESS or segment.base_offset < self._synced_base:
            return None
        return self._synced.position if segment.base_offset == self._synced_base else 0

    @property
    def _active(self) -> Segment:
        return self._segments[-1]

    def _segment_of(self, offset: int) -> Segment:
        return self._segments[bisect_right(self._bases, offset) - 1]

    @property
    def _name(self) -> str:
        return f"{self._folder.parent.name}-{self._folder.name}"

    def _notify(self) -> None:
        for listener in list(self._listeners):
            listener()

    def _close_files(self) -> None:
        for segment in self._segments:
            segment.close()

    def _open_segments(self) -> list[Segment]:
        bases = sorted(base_offsets(os.listdir(self._folder))) or [0]
        segments = [Segment(self._folder, base, self._files) for base in bases]
        for segment, following in zip(segments, bases[1:], strict=False):
            segment.adopt(following)
        cut = segments[-1].recover(read_checkpoint(self._folder, bases[-1]))
        if cut:
            _log.warning("cut %d bytes of an unfinished write from %s", cut, segments[-1].path)
        return segments


def _age(segment: Segment) -> FileAge:
    return FileAge(segment.size, segment.modified_s)
