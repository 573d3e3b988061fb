"""One partition's run over one connection: from its checkpoint on, until it is to stop.

The order is what makes it safe: outputs are acknowledged, then the checkpoint is written, then
the offset is committed. Whatever ends this in between, the next run starts at the checkpoint
and drops what is written already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from qd_fluvio.api import Consumer, Fluvio, Offset, Record
from qd_fluvio.errors import ConnectionLost
from qd_fluvio.processors.checkpoint import Checkpoint
from qd_fluvio.processors.pipeline import Output, Pipeline
from qd_fluvio.processors.processor import Processor
from qd_fluvio.processors.runner.outputs import Outputs
from qd_fluvio.processors.runner.settings import RunSettings
from qd_fluvio.processors.runner.slices import Slices
from qd_fluvio.processors.runner.states import States, open_states
from qd_fluvio.processors.stamps import Source

UNSAVED_OUTPUTS_MAX: Final = 100_000
"""A checkpoint is written at the latest after so many outputs, which bounds a replay."""
CHECKPOINT_SHARE_MAX: Final = 0.05
"""Writing large states takes at most this share of the time."""
REST_SECONDS_MAX: Final = 300.0
"""After writing them, whatever it took: the process may have stood still meanwhile."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """What a run did."""

    read: int = 0
    written: int = 0
    repeated: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.read + other.read, self.written + other.written, self.repeated + other.repeated
        )


class PartitionRun:
    """One attempt; see `run_partition`."""

    def __init__(
        self, fluvio: Fluvio, processor: Processor, settings: RunSettings, partition: int
    ) -> None:
        self._fluvio = fluvio
        self._settings = settings
        self._source = Source(settings.processor_id, settings.source, partition)
        self._pipeline = Pipeline(
            self._source,
            processor,
            to=settings.to,
            dead_letters=settings.letters,
            stamp=not settings.sole_writer,
        )
        self._loop = asyncio.get_running_loop()
        work = self._pipeline.work
        self._checkpoint = Checkpoint(self._source, work.names, 0, states=work.snapshot())
        self._next = 0
        self._target: int | None = None
        self._unsaved_outputs = 0
        self._slices = Slices()
        self._saved_at = self._loop.time()
        self._save_seconds = 0.0
        self.counts = Counts()
        self._consumer: Consumer
        self._states: States
        self._outputs: Outputs

    async def begin(self) -> int:
        """Find the checkpoint, see what is written, open the input; gives the next offset."""
        settings, source = self._settings, self._source
        found = await self._fluvio.describe_topic(source.topic)
        self._states = await open_states(
            self._fluvio, settings.state_topic, source.partition, found.partitions
        )
        self._outputs = Outputs(
            self._fluvio,
            source,
            found.partitions,
            sole_writer=settings.sole_writer,
            letters=settings.letters,
        )
        checkpoint = await self._states.load()
        if checkpoint is None:
            beginning = Offset.beginning() if settings.from_beginning else Offset.end()
            await self._open(beginning)
        else:
            checkpoint.fits(source, self._pipeline.work.names)
            self._checkpoint = checkpoint
            await self._outputs.recover(checkpoint.written)
            self._pipeline.work.restore(checkpoint.states, checkpoint.last)
            await self._open(Offset.absolute(checkpoint.next_offset))
        self._next = self._consumer.next_offset
        # This also tells an older process that it is over, and keeps where a first run began.
        self._checkpoint = replace(self._checkpoint, next_offset=self._next)
        await self._states.save(self._checkpoint)
        if settings.once:
            self._target = await self._fluvio.end_offset(source.topic, source.partition)
        return self._next

    async def _open(self, offset: Offset) -> None:
        # What the cluster remembers of this name would count more than the checkpoint.
        source = self._source
        await self._fluvio.delete_committed_offset(source.processor, source.topic, source.partition)
        self._consumer = await self._fluvio.consumer(
            source.topic,
            partition=source.partition,
            offset=offset,
            consumer_id=source.processor,
        )

    async def process(self, stop: asyncio.Event) -> None:
        """Process records until told to stop, or until all are processed that were there."""
        async with _waiting(stop) as stopped:
            batches = self._consumer.batches()
            pending: asyncio.Task[list[Record]] | None = None
            try:
                while not stop.is_set() and not self._is_done():
                    pending = pending or asyncio.create_task(_next(batches, self._source))
                    await asyncio.wait(
                        {pending, stopped},
                        timeout=self._due_in(),
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    if pending.done():
                        batch, pending = pending.result(), None
                        await self._take(batch, stop)
                    if self._due_in() == 0.0:
                        await self._save()
            finally:
                await _cancelled(pending)
        if self._is_done() and self._settings.finish:
            await self._write(self._pipeline.finish())
            self._unsaved_outputs += 1  # the states changed
        await self._save()

    def _is_done(self) -> bool:
        return self._target is not None and self._next >= self._target

    async def _take(self, batch: Sequence[Record], stop: asyncio.Event) -> None:
        """Process a batch slice by slice; what is left when asked to stop is for the next run."""
        at = 0
        while at < len(batch) and not stop.is_set():
            part = self._slices.cut(batch, at)
            began = self._loop.time()
            outputs = self._pipeline.feed(part)
            self._slices.took(len(part), self._loop.time() - began)
            await self._write(outputs)
            at += len(part)
            self._next = part[-1].offset + 1
            self.counts.read += len(part)
            if self._unsaved_outputs >= UNSAVED_OUTPUTS_MAX or self._due_in() == 0.0:
                await self._save()
            await asyncio.sleep(0)  # signals and other partitions

    async def _write(self, outputs: Sequence[Output]) -> None:
        unknown = self._outputs.unknown(outputs)
        if unknown:
            await self._outputs.begin(unknown)
            # The state stays that of before these outputs; only the topics come to it.
            states = self._outputs.states()
            added = {name: states[name] for name in unknown}
            self._checkpoint = replace(
                self._checkpoint, written={**self._checkpoint.written, **added}
            )
            await self._states.save(self._checkpoint)
        sent = await self._outputs.write(outputs)
        self._unsaved_outputs += len(outputs)
        self.counts.written += sent
        self.counts.repeated += len(outputs) - sent

    def _due_in(self) -> float | None:
        """Seconds until a checkpoint is to be written; None while there is nothing new."""
        if self._next == self._checkpoint.next_offset:
            return None
        rest = min(self._save_seconds / CHECKPOINT_SHARE_MAX, REST_SECONDS_MAX)
        rest = max(self._settings.checkpoint_seconds, rest)
        return max(self._saved_at + rest - self._loop.time(), 0.0)

    async def _save(self) -> None:
        """Have outputs acknowledged, then write the checkpoint, then commit the offset."""
        began = self._loop.time()
        changed = self._next != self._checkpoint.next_offset or self._unsaved_outputs
        if changed:
            work = self._pipeline.work
            states = work.snapshot()
            await self._outputs.flush()
            self._checkpoint = replace(
                self._checkpoint,
                next_offset=self._next,
                last=work.last,
                states=states,
                written=self._outputs.states(),
            )
            await self._states.save(self._checkpoint)
            self._unsaved_outputs = 0
        # A commit counts all that was given out, so that must have been processed.
        if self._consumer.next_offset == self._next:
            await self._consumer.commit()
        self._saved_at = self._loop.time()
        self._save_seconds = self._saved_at - began


async def _next(batches: AsyncIterator[list[Record]], source: Source) -> list[Record]:
    async for batch in batches:
        return batch
    raise ConnectionLost(f"the stream of partition {source.partition} of {source.topic!r} ended")


@contextlib.asynccontextmanager
async def _waiting(stop: asyncio.Event) -> AsyncIterator[asyncio.Task[Any]]:
    task = asyncio.create_task(stop.wait())
    try:
        yield task
    finally:
        await _cancelled(task)


async def _cancelled(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task, if there is one, and wait until it is over; nobody wants what came of it."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})  # not the task: this one may be cancelled, too, and must be
        if not task.cancelled():
            task.exception()  # heard: one lost connection may end it and the run at once


async def within(work: Awaitable[object], seconds: float) -> None:
    """Wait for something, but no longer."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(work, seconds)
