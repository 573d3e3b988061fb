"""The records of one partition as they arrive: in order, each once, across lost connections.

It starts a worker at an absolute offset and checks what comes. When the stream breaks it
asks the cluster what is true, since the client cannot tell, and goes on at the next offset.
To whom records were given, and what is committed, is the consumer's business.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from qd_fluvio.administration import POLL_SECONDS
from qd_fluvio.api import Record
from qd_fluvio.control import Bounds, ControlPlane
from qd_fluvio.deadline import deadline
from qd_fluvio.errors import (
    ConnectionLost,
    FluvioError,
    RecordsMissing,
    TopicDeleted,
    TopicNotFound,
)
from qd_fluvio.limits import Limits
from qd_fluvio.official.process import Worker
from qd_fluvio.official.reach import Reach
from qd_fluvio.official.texts import typed_error
from qd_fluvio.recovery import TEMPORARY, Recovery, outside
from qd_fluvio.worker.frames import Frame, Kind, json_frame, read_records

# A leader tells the end that all replicas have; a consumer may have read a little more.
REPLICAS_SECONDS = 1.0
YIELD_BYTES = 64 * 1024
_CHANNEL = 0

# A named tuple's own constructor takes twice as long.
_record: Callable[[Iterable[object]], Record] = partial(tuple.__new__, Record)
StartWorker = Callable[[Callable[[Frame], None]], Awaitable[Worker]]


class Feed:
    """One partition's records.

    Parameters
    ----------
    topic, partition
        What to read.
    control : ControlPlane
        Tells what the cluster has.
    start_worker : callable
        Starts a worker that gives its frames to a function.
    limits : Limits
        Deadlines and sizes.
    reach : Reach
        The cluster, for the worker.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        control: ControlPlane,
        start_worker: StartWorker,
        limits: Limits,
        reach: Reach,
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._control = control
        self._start_worker = start_worker
        self._limits = limits
        self._reach = reach
        self._endpoint = reach.cluster.endpoint
        self.name = f"partition {partition} of topic {topic!r}"
        self._loop = asyncio.get_running_loop()
        self._worker: Worker | None = None
        self._frames: deque[Frame] = deque()
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self.next_offset = 0  # of the record that arrives next
        self.closed = False
        self._opened = False
        self._recovery = Recovery(self.name, limits.reconnect_seconds, self._loop.time)
        self._behind_at: int | None = None
        self._weighed_at = self._loop.time()  # when the worker's memory was looked at
        self._proven = False  # the worker has brought records
        self._given_bytes = 0  # since other tasks could last run

    async def start(self, offset: int, bounds: Bounds, *, why: str = "") -> None:
        """Start a worker at an offset that the partition must have; `why` says whose it is."""
        self.next_offset = offset
        self._require_within(bounds, why)
        await self._open(bounds)
        self._opened = True

    async def receive(self) -> list[Record] | None:
        """The next records; None once this is closed.

        Nothing is awaited between taking records and returning them, so that a cancelled
        call loses none.
        """
        while not self.closed:
            if self._given_bytes >= YIELD_BYTES:
                self._given_bytes = 0
                await asyncio.sleep(0)  # there may always be another frame: let others run too
            elif not self._frames and self._worker is None:
                await self._reopen()
            elif not self._frames and self._grown():
                self._drop_worker()  # a new one goes on where this one is
            elif not self._frames:
                await self._wait()
            elif self._frames[0].kind is Kind.RECORDS:
                return self._take()
            else:
                await self._broken(self._frames.popleft())
        return None

    async def aclose(self) -> None:
        """Stop reading; the worker is killed, whatever it does."""
        worker = self._worker
        self.close()
        if worker is not None:
            await worker.process.reaped()

    def close(self) -> None:
        """Stop reading at once; who waits for records gets None."""
        self.closed = True
        self._arrived.set()
        self._drop_worker()

    async def bounds(self) -> Bounds:
        """Where the partition begins and ends; `TopicDeleted` once it was there and is gone."""
        doing = f"ask for the offsets of {self.name}"
        try:
            async with deadline(self._limits.call_seconds, doing, self._endpoint):
                return await self._control.bounds(self._topic, self._partition)
        except TopicNotFound:
            if not self._opened:
                raise
            raise TopicDeleted(
                f"{self.name} was deleted while it was read, before offset {self.next_offset}"
            ) from None

    async def _open(self, bounds: Bounds) -> None:
        worker = await self._start_worker(self._on_frame)
        if self.closed:
            worker.kill()
            return
        worker.on_lost = self._on_lost
        self._worker, self._proven = worker, False
        self._recovery.opened()
        worker.send(
            json_frame(
                Kind.CALL,
                _CHANNEL,
                role="consume",
                **self._reach.fields(),
                topic=self._topic,
                partition=self._partition,
                offset=self.next_offset,
                known_end=bounds.end,
                ends=self._reach.ends(bounds),
                fetch_bytes_max=self._limits.fetch_bytes_max,
                refill_tries_max=self._limits.refill_tries_max,
            )
        )

    def _require_within(self, bounds: Bounds, why: str = "") -> None:
        if not bounds.start <= self.next_offset <= bounds.end:
            raise outside(self.name, bounds.start, bounds.end, self.next_offset, why)

    def _take(self) -> list[Record]:
        """The records that have arrived, up to a sensible amount."""
        records: list[Record] = []
        while (
            self._frames
            and self._frames[0].kind is Kind.RECORDS
            and self._given_bytes < YIELD_BYTES
        ):
            frame = self._frames.popleft()
            self._queued_bytes -= len(frame.body)
            self._given_bytes += len(frame.body)
            records += self._records(frame)
        if self._worker is not None and self._queued_bytes < self._limits.queue_bytes_max:
            self._worker.resume()
        return records

    def _records(self, frame: Frame) -> list[Record]:
        found = read_records(frame.body)
        if found.first_offset != self.next_offset:
            raise RecordsMissing(
                f"{self.name}: offset {found.first_offset} came where {self.next_offset} was "
                "expected; please report this defect"
            )
        first = found.first_offset
        self.next_offset = first + len(found.values)
        self._recovery.well()
        self._proven = True
        offsets = range(first, self.next_offset)
        columns = zip(offsets, found.timestamps_ms, found.keys, found.values, strict=True)
        return list(map(_record, columns))

    def _grown(self) -> bool:
        """Whether the worker holds too much; looked at now and then, once it has brought some."""
        now = self._loop.time()
        if not self._proven or now - self._weighed_at < self._limits.idle_check_seconds:
            return False
        self._weighed_at = now
        worker = self._worker
        return worker is not None and worker.process.memory_bytes > self._limits.worker_bytes_max

    async def _wait(self) -> None:
        """Wait for a frame; after a while without any, see whether there should be one."""
        self._arrived.clear()
        try:
            async with asyncio.timeout(self._limits.idle_check_seconds):
                await self._arrived.wait()
        except TimeoutError:
            await self._check_idle()

    async def _check_idle(self) -> None:
        """A stream may be dead without an end: its cluster gone, its topic deleted, or stuck."""
        try:
            bounds = await self.bounds()
        except TEMPORARY as error:
            await self.recover(error, silent=True)
            return
        if self._frames:
            return
        self._require_within(bounds if self.next_offset <= bounds.end else await self._caught_up())
        behind = bounds.end > self.next_offset
        stuck = behind and self._behind_at == self.next_offset
        self._behind_at = self.next_offset if behind else None
        if not behind:
            self._recovery.well()
        if stuck:
            await self.recover(
                ConnectionLost(
                    f"{self.name}: the stream brings nothing since offset {self.next_offset} "
                    f"though there are records up to {bounds.end}"
                ),
                silent=True,
            )

    async def _broken(self, frame: Frame) -> None:
        """The worker says that its stream is over."""
        fields: dict[str, Any] = (
            frame.json() if frame.kind is Kind.FAILED else {"text": "socket closed: it ended"}
        )
        if "missing" not in fields:
            text = str(fields["text"])
            await self.recover(typed_error(text, f"read {self.name}", self._endpoint))
            return
        first, after = fields["missing"]
        self._drop_worker()
        self._require_within(await self.bounds())
        raise RecordsMissing(
            f"{self.name}: offsets {first} to {after - 1} do not come, asked for "
            f"{self._limits.refill_tries_max + 1} times; a batch may be larger than "
            f"{self._limits.fetch_bytes_max} bytes: raise fetch_bytes_max"
        )

    async def recover(self, cause: FluvioError, *, silent: bool = False) -> None:
        """Wait a little before `receive` opens again, unless it has failed for too long.

        The stream itself may know what no question shows when the topic was made anew at once.
        """
        self._drop_worker()
        if isinstance(cause, TopicDeleted):
            raise cause
        await asyncio.sleep(self._recovery.failed(cause, self.next_offset, silent=silent))

    async def _reopen(self) -> None:
        try:
            bounds = await self.bounds()
            if self.next_offset > bounds.end:
                bounds = await self._caught_up()
            self._require_within(bounds)
            await self._open(bounds)
        except TEMPORARY as error:
            await self.recover(error)

    async def _caught_up(self) -> Bounds:
        """The bounds once the end is not before what was read already, or after a while."""
        give_up_at = self._loop.time() + REPLICAS_SECONDS
        while True:
            bounds = await self.bounds()
            if self.next_offset <= bounds.end or self._loop.time() > give_up_at:
                return bounds
            await asyncio.sleep(POLL_SECONDS)

    def _drop_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
        self._worker = None
        self._frames.clear()
        self._queued_bytes = 0

    def _on_frame(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._queued_bytes += len(frame.body)
        if self._worker is not None and self._queued_bytes >= self._limits.queue_bytes_max:
            self._worker.pause()
        self._arrived.set()

    def _on_lost(self) -> None:
        """The process died: as if its stream had ended."""
        self._frames.append(Frame(Kind.ENDED, _CHANNEL, b""))
        self._arrived.set()
