"""``qd consume``: records of several partitions, each in order, to whoever prints them.

Each partition has a reader of its own that hands a batch over before it takes the next one, so
memory holds what the consumers hold, however long the topics are. It prints nothing itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from qd_cli.errors import RequestRefused
from qd_cli.tasks import all_of
from qd_fluvio import Consumer, Fluvio, FluvioError, Isolation, Offset, PartitionInfo, Record

OPENING_MAX = 8
"""Consumers that are opened at the same time."""
COMMIT_SECONDS = 1.0
LAST_COMMIT_SECONDS_MAX = 3.0

Emit = Callable[[str, int, Sequence[Record]], None]
"""Gets a topic, a partition and its next records."""


class From(enum.Enum):
    """From where an offset counts."""

    BEGINNING = "beginning"
    END = "end"
    ZERO = "zero"


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading begins: so many records after the beginning or before the end, or at one."""

    counted_from: From = From.END
    records: int = 0

    def offset(self, partition: PartitionInfo) -> Offset:
        """The offset in a partition; never outside it, unless it is the user's own number."""
        if self.counted_from is From.ZERO:
            return Offset.absolute(self.records)
        from_beginning = self.counted_from is From.BEGINNING
        if not self.records:
            return Offset.beginning() if from_beginning else Offset.end()
        first, last = partition.start_offset, partition.end_offset
        if from_beginning:
            return Offset.absolute(min(first + self.records, last))
        return Offset.absolute(max(first, last - self.records))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to consume.

    Attributes
    ----------
    topics : tuple of str
        Their names.
    partitions : frozenset of int
        Of each topic; empty means all.
    last_offset : int or None
        The last one that is read, in each partition.
    records_max : int or None
        Of all partitions together.
    follow : bool
        Wait for new records at the end.
    consumer_id : str or None
        The name under which it is remembered what was read.
    """

    topics: tuple[str, ...]
    partitions: frozenset[int]
    start: Start
    last_offset: int | None
    records_max: int | None
    follow: bool
    consumer_id: str | None
    isolation: Isolation


@dataclass(slots=True)
class _Reader:
    """One partition that is read.

    Attributes
    ----------
    end : int or None
        The offset before which reading ends; None never ends.
    is_dirty : bool
        Whether something was handed over that is not committed.
    """

    info: PartitionInfo
    consumer: Consumer
    end: int | None
    is_dirty: bool = False


async def consume(fluvio: Fluvio, wanted: Wanted, emit: Emit) -> None:
    """Hand every record over, until all is read, for ever, or until it is cancelled.

    With a consumer id what was handed over is committed every second and at the end.

    Raises
    ------
    TopicNotFound, OffsetOutOfRange, FluvioError
        What was asked for is not there, or the cluster is lost.
    """
    partitions = await _partitions(fluvio, wanted)
    readers = await _opened(fluvio, wanted, partitions)
    try:
        await _Run(wanted, readers, emit).run()
    finally:
        await asyncio.gather(*(reader.consumer.aclose() for reader in readers))


async def _partitions(fluvio: Fluvio, wanted: Wanted) -> list[PartitionInfo]:
    chosen: list[PartitionInfo] = []
    for topic in dict.fromkeys(wanted.topics):
        found = await fluvio.partitions(topic)
        missing = wanted.partitions - {partition.partition for partition in found}
        if missing:
            raise RequestRefused(
                f"topic {topic} has no partition {min(missing)}: it has 0 to {len(found) - 1}"
            )
        chosen += [p for p in found if not wanted.partitions or p.partition in wanted.partitions]
    return chosen


async def _opened(
    fluvio: Fluvio, wanted: Wanted, partitions: Sequence[PartitionInfo]
) -> list[_Reader]:
    """Open a consumer for each partition; on an error the connection closes the others."""
    turns = asyncio.Semaphore(OPENING_MAX)

    async def opened(partition: PartitionInfo) -> _Reader:
        async with turns:
            consumer = await fluvio.consumer(
                partition.topic,
                partition=partition.partition,
                offset=wanted.start.offset(partition),
                consumer_id=wanted.consumer_id,
                isolation=wanted.isolation,
            )
        ends = [] if wanted.follow else [partition.end_offset]
        ends += [] if wanted.last_offset is None else [wanted.last_offset + 1]
        return _Reader(partition, consumer, min(ends, default=None))

    return await all_of(*map(opened, partitions))


class _Run:
    """The readers at work."""

    def __init__(self, wanted: Wanted, readers: Sequence[_Reader], emit: Emit) -> None:
        self._readers = readers
        self._emit = emit
        self._left = wanted.records_max
        self._commits = wanted.consumer_id is not None
        self._reading: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            await self._read_all()
        except BaseException:
            # What was handed over is read, whatever else went wrong; but that is what counts.
            with contextlib.suppress(FluvioError, TimeoutError):
                async with asyncio.timeout(LAST_COMMIT_SECONDS_MAX):
                    await self._commit()
            raise
        await self._commit()

    async def _read_all(self) -> None:
        reading = {asyncio.ensure_future(self._read(reader)) for reader in self._readers}
        committing = {asyncio.ensure_future(self._commit_for_ever())} if self._commits else set()
        self._reading = reading
        try:
            pending = reading
            while pending:
                done, pending = await asyncio.wait(
                    pending | committing, return_when=asyncio.FIRST_COMPLETED
                )
                pending -= committing
                for task in done:
                    if not task.cancelled():  # by the one that saw that there are enough
                        task.result()
        finally:
            for task in reading | committing:
                task.cancel()
            await asyncio.gather(*reading, *committing, return_exceptions=True)

    async def _read(self, reader: _Reader) -> None:
        """Hand one partition's records over until its end, or until there are enough."""
        if reader.end is not None and reader.consumer.next_offset >= reader.end:
            return
        async with contextlib.aclosing(self._batches(reader)) as batches:
            async for batch in batches:
                chosen = batch[: self._left]
                if reader.end is not None and batch[-1].offset >= reader.end:
                    chosen = [record for record in chosen if record.offset < reader.end]
                self._hand_over(reader, chosen)
                at_end = reader.end is not None and batch[-1].offset + 1 >= reader.end
                if at_end or self._left == 0:
                    return

    def _hand_over(self, reader: _Reader, records: Sequence[Record]) -> None:
        if records:
            # Where this fails nothing is committed: that would have these records count as read.
            reader.is_dirty = False
            self._emit(reader.info.topic, reader.info.partition, records)
            reader.is_dirty = self._commits
        if self._left is not None:
            self._left -= len(records)
            if self._left == 0:
                # At once: a record that another reader takes now would count as read.
                for task in self._reading - {asyncio.current_task()}:
                    task.cancel()

    async def _batches(self, reader: _Reader) -> AsyncGenerator[list[Record], None]:
        # What is committed is what the consumer gave out, so where a batch may have to be cut
        # and committed, records are taken one by one.
        if self._commits and (self._left is not None or reader.end is not None):
            async for record in reader.consumer:
                yield [record]
        else:
            async for batch in reader.consumer.batches():
                yield batch

    async def _commit_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            await self._commit()

    async def _commit(self) -> None:
        for reader in self._readers:
            if reader.is_dirty:
                reader.is_dirty = False
                try:
                    await reader.consumer.commit()
                except BaseException:
                    reader.is_dirty = True
                    raise
