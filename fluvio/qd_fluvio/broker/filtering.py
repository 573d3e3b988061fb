"""Asking a topic's transform about batches, and showing it what the partition has already.

Only topics that drop duplicates pay for this: their batches are opened once, in a thread,
as a batch of a few kilobytes can hold a million records. No files here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from qd_fluvio.broker.errors import DamagedRecords, OffsetEvicted
from qd_fluvio.broker.readable import ReadableLog
from qd_fluvio.broker.transform import Transform
from qd_fluvio.errors import WireError
from qd_fluvio.wire.records import Batch, iter_batches
from qd_fluvio.wire.selection import select_records

if TYPE_CHECKING:
    from qd_fluvio.wire.unpacking import Columns

_READ_BYTES = 1 << 20


class FilteredLog(ReadableLog, Protocol):
    """The partition that is written to."""

    def check(self, records: memoryview) -> list[Batch]:
        """The batches, if they can be appended."""

    def append(self, records: memoryview) -> int:
        """Write batches; gives the first record's offset."""


class RecordFilter:
    """Drops what a transform does not keep, and writes the rest, one request after another.

    Parameters
    ----------
    make : callable
        Makes a transform that remembers nothing.
    """

    def __init__(self, make: Callable[[], Transform]) -> None:
        self._make = make
        self._transform: Transform | None = None
        self._turn = asyncio.Lock()

    async def append(self, log: FilteredLog, records: memoryview) -> int:
        """Write what the transform keeps; batches of which nothing is left are left out.

        Raises
        ------
        FluvioError
            If the transform or a batch cannot be used, or the log refuses.
        """
        batches = log.check(records)
        async with self._turn:
            # Until all is written it may remember what is not there: who is cancelled, or
            # fails, leaves none.
            transform, self._transform = self._transform, None
            if transform is None:
                transform = await self._looked_back(log)
            kept = await asyncio.to_thread(_kept, transform, records, batches)
            offset = log.append(kept)
            self._transform = transform
            return offset

    async def _looked_back(self, log: FilteredLog) -> Transform:
        """A transform that has seen the newest records."""
        transform = self._make()
        offset = max(log.start_offset, log.end_offset - transform.look_back)
        while offset < log.end_offset:
            try:
                await log.prepare(offset)
                portion = log.read(offset, _READ_BYTES)
            except DamagedRecords as error:
                offset = error.next_offset
                continue
            except OffsetEvicted as error:
                offset = error.start_offset
                continue
            await asyncio.to_thread(_remember, transform, portion.records)
            offset = portion.next_offset
        return transform


def _remember(transform: Transform, records: memoryview) -> None:
    for batch in iter_batches(records):
        with suppress(WireError):  # nobody can read it, so nothing is a duplicate of it
            transform.remember(_opened(records, batch))


def _kept(transform: Transform, records: memoryview, batches: list[Batch]) -> memoryview:
    out = bytearray()
    for batch in batches:
        keep = transform.keep(_opened(records, batch))
        if all(keep):
            out += records[batch.start : batch.end]
        elif any(keep):
            out += select_records(records, batch, keep)
    return memoryview(out)


def _opened(records: memoryview, batch: Batch) -> Columns:
    # numpy: half of the broker's start and of its memory, for topics that few have.
    from qd_fluvio.wire.unpacking import unpack_columns

    return unpack_columns(records, batch)
