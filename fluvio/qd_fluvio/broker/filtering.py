"""Asking a topic's transform about batches, and showing it what the partition has already.

Only topics that drop duplicates pay for this: their batches are opened once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from qd_fluvio.broker.errors import DamagedRecords
from qd_fluvio.broker.segment import Portion
from qd_fluvio.broker.settings import DEDUPLICATION_RECORDS_MAX
from qd_fluvio.broker.transform import Transform
from qd_fluvio.wire.records import Batch, WireRecord, decode_records, iter_batches
from qd_fluvio.wire.selection import select_records

_READ_BYTES = 1 << 20


class RecordFilter:
    """Drops what a transform does not keep.

    Parameters
    ----------
    read : callable
        Reads the partition: an offset and a number of bytes to whole batches.
    make : callable
        Makes a transform that remembers nothing, or None to keep all.
    """

    def __init__(
        self, read: Callable[[int, int], Portion], make: Callable[[], Transform | None]
    ) -> None:
        self._read = read
        self._make = make
        self._transform: Transform | None = None

    def forget(self) -> None:
        """Look back again before the next decision: what was kept was not written."""
        self._transform = None

    def apply(
        self, records: memoryview, batches: Sequence[Batch], start_offset: int, end_offset: int
    ) -> tuple[memoryview, list[Batch]]:
        """The batches with only what is kept; empty ones are left out.

        Raises
        ------
        FluvioError
            If the transform or a batch cannot be used.
        """
        transform = self._transform or self._looked_back(start_offset, end_offset)
        if transform is None:
            return records, list(batches)
        self._transform = None  # in case of an error: it remembers a part then
        out = bytearray()
        for batch in batches:
            keep = transform.keep(decode_records(records, batch))
            if all(keep):
                out += records[batch.start : batch.end]
            elif any(keep):
                out += select_records(records, batch, keep)
        self._transform = transform
        return memoryview(out), list(iter_batches(out))

    def _looked_back(self, start_offset: int, end_offset: int) -> Transform | None:
        transform = self._make()
        if transform is None:
            return None
        offset = self._first_offset(transform, start_offset, end_offset)
        for batch in self._records(offset, end_offset):
            transform.remember([item for item in batch if item.offset >= offset])
        return transform

    def _first_offset(self, transform: Transform, start_offset: int, end_offset: int) -> int:
        """Where to begin, so that the transform sees as much as it asks for."""
        wanted = transform.look_back
        first = max(start_offset, end_offset - wanted.count)
        if not wanted.age_ms or first == end_offset:
            return first
        newest_ms = max((item.timestamp_ms for item in self._batch(end_offset - 1)), default=0)
        least = max(start_offset, end_offset - DEDUPLICATION_RECORDS_MAX)
        while first > least:
            batch = self._batch(first - 1)
            if not batch or max(item.timestamp_ms for item in batch) < newest_ms - wanted.age_ms:
                break
            first = batch[0].offset
        return max(first, least)

    def _batch(self, offset: int) -> list[WireRecord]:
        """The batch that holds `offset`; nothing if it is damaged."""
        return next(self._records(offset, offset + 1, read_bytes=1), [])

    def _records(
        self, offset: int, end_offset: int, read_bytes: int = _READ_BYTES
    ) -> Iterator[list[WireRecord]]:
        while offset < end_offset:
            try:
                portion = self._read(offset, read_bytes)
            except DamagedRecords as error:
                offset = error.next_offset
                continue
            for batch in iter_batches(portion.records):
                yield decode_records(portion.records, batch)
            offset = portion.next_offset
