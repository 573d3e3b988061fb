"""A consumer as a service holds it: records in order, each once, across lost connections.

It starts a worker at an absolute offset and checks what comes. When the stream breaks it
asks the cluster what is true, since the client cannot tell, and goes on at the next offset.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from qd_fluvio.api import Offset, Position, Record
from qd_fluvio.control import Bounds, ControlPlane
from qd_fluvio.deadline import deadline
from qd_fluvio.errors import (
    ClusterUnreachable,
    ConnectionLost,
    DeadlineExceeded,
    FluvioError,
    OffsetOutOfRange,
    RecordsMissing,
)
from qd_fluvio.limits import Limits
from qd_fluvio.official.process import Worker
from qd_fluvio.official.texts import typed_error
from qd_fluvio.worker.frames import Frame, Kind, json_frame, read_records

RETRY_SECONDS_FIRST = 0.1
RETRY_SECONDS_MAX = 1.0
# A stream that lived so long was sound: what ends it then is a new failure.
SOUND_SECONDS = 5.0
YIELD_BYTES = 64 * 1024
_CHANNEL = 0
_TEMPORARY = (ClusterUnreachable, ConnectionLost, DeadlineExceeded)

StartWorker = Callable[[Callable[[Frame], None]], Awaitable[Worker]]


class OfficialConsumer:
    """One partition's records; see `qd_fluvio.api.Consumer`.

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
    endpoint : str
        The cluster.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        control: ControlPlane,
        start_worker: StartWorker,
        limits: Limits,
        endpoint: str,
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._control = control
        self._start_worker = start_worker
        self._limits = limits
        self._endpoint = endpoint
        self._name = f"partition {partition} of topic {topic!r}"
        self._loop = asyncio.get_running_loop()
        self._worker: Worker | None = None
        self._frames: deque[Frame] = deque()
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._batch: list[Record] = []  # received, given out from the end of the reversed list
        self._next_received = 0
        self._closed = False
        self._started_at = self._loop.time()
        self._failing_since: float | None = None
        self._retry_seconds = RETRY_SECONDS_FIRST
        self._behind_at: int | None = None
        self._given_bytes = 0  # since other tasks could last run

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topic

    @property
    def next_offset(self) -> int:
        """The offset of the record that comes next."""
        return self._batch[-1].offset if self._batch else self._next_received

    def __aiter__(self) -> AsyncIterator[Record]:
        """Records, for ever."""
        return self

    async def __anext__(self) -> Record:
        """The next record; see `qd_fluvio.api.Consumer`."""
        if not self._batch:
            batch = await self._receive()
            if batch is None:
                raise StopAsyncIteration
            batch.reverse()
            self._batch = batch
        return self._batch.pop()

    async def batches(self) -> AsyncIterator[list[Record]]:
        """Records as they arrive; see `qd_fluvio.api.Consumer.batches`."""
        if self._batch:
            batch, self._batch = self._batch[::-1], []
            yield batch
        while (received := await self._receive()) is not None:
            yield received

    async def read_until(self, end_offset: int) -> AsyncIterator[Record]:
        """Records before `end_offset`; see `qd_fluvio.api.Consumer.read_until`."""
        while self.next_offset < end_offset:
            yield await anext(self)

    async def aclose(self) -> None:
        """Stop reading; the worker is killed, whatever it does."""
        worker = self._worker
        self.close()
        if worker is not None:
            await worker.process.reaped()

    def close(self) -> None:
        """Stop reading at once; who waits for a record sees the end."""
        self._closed = True
        self._arrived.set()
        self._drop_worker()

    async def start(self, offset: Offset) -> None:
        """Find the offset and start a worker there."""
        bounds = await self._bounds()
        if offset.position is Position.ABSOLUTE:
            self._next_received = offset.value
        elif offset.position is Position.BEGINNING:
            self._next_received = bounds.start
        else:
            self._next_received = bounds.end
        await self._open(bounds)

    async def _bounds(self) -> Bounds:
        async with deadline(
            self._limits.call_seconds, f"ask for the offsets of {self._name}", self._endpoint
        ):
            return await self._control.bounds(self._topic, self._partition)

    async def _open(self, bounds: Bounds) -> None:
        """Start a worker at the next offset, which the partition must have."""
        self._require_within(bounds)
        worker = await self._start_worker(self._on_frame)
        if self._closed:
            worker.kill()
            return
        worker.on_lost = self._on_lost
        self._worker = worker
        self._started_at = self._loop.time()
        worker.send(
            json_frame(
                Kind.CALL,
                _CHANNEL,
                role="consume",
                endpoint=self._endpoint,
                topic=self._topic,
                partition=self._partition,
                offset=self._next_received,
                known_end=bounds.end,
                leader=bounds.leader.host_port,
                question=bounds.question.hex(),
                fetch_bytes_max=self._limits.fetch_bytes_max,
                refill_tries_max=self._limits.refill_tries_max,
            )
        )

    def _require_within(self, bounds: Bounds) -> None:
        if not bounds.start <= self._next_received <= bounds.end:
            raise OffsetOutOfRange(
                f"{self._name} has offsets {bounds.start} to {bounds.end} (its end), not "
                f"{self._next_received}; retention removed it, the topic was made anew, or it was "
                "never written: start within the partition"
            )

    async def _receive(self) -> list[Record] | None:
        """The next records; None once this consumer is closed.

        Nothing is awaited between taking records and returning them, so that a cancelled
        call loses none.
        """
        while not self._closed:
            if self._given_bytes >= YIELD_BYTES:
                self._given_bytes = 0
                await asyncio.sleep(0)  # there may always be another frame: let others run too
            elif not self._frames and self._worker is None:
                await self._reopen()
            elif not self._frames:
                await self._wait()
            elif self._frames[0].kind is Kind.RECORDS:
                return self._take()
            else:
                await self._broken(self._frames.popleft())
        return None

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
        if found.first_offset != self._next_received:
            raise RecordsMissing(
                f"{self._name}: offset {found.first_offset} came where {self._next_received} was "
                "expected; please report this defect"
            )
        first = found.first_offset
        self._next_received = first + len(found.values)
        self._failing_since, self._retry_seconds = None, RETRY_SECONDS_FIRST
        offsets = range(first, self._next_received)
        return list(map(Record, offsets, found.timestamps_ms, found.keys, found.values))

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
            bounds = await self._bounds()
        except _TEMPORARY as error:
            await self._recover(error)
            return
        if self._frames:
            return
        self._require_within(bounds)
        stuck = bounds.end > self._next_received and self._behind_at == self._next_received
        self._behind_at = self._next_received if bounds.end > self._next_received else None
        if stuck:
            await self._recover(
                ConnectionLost(
                    f"{self._name}: the stream brings nothing since offset {self._next_received} "
                    f"though there are records up to {bounds.end}"
                )
            )

    async def _broken(self, frame: Frame) -> None:
        """The worker says that its stream is over."""
        fields: dict[str, Any] = (
            frame.json() if frame.kind is Kind.FAILED else {"text": "socket closed: it ended"}
        )
        if "missing" not in fields:
            text = str(fields["text"])
            await self._recover(typed_error(text, f"read {self._name}", self._endpoint))
            return
        first, after = fields["missing"]
        self._drop_worker()
        self._require_within(await self._bounds())
        raise RecordsMissing(
            f"{self._name}: offsets {first} to {after - 1} do not come, asked for "
            f"{self._limits.refill_tries_max + 1} times; a batch may be larger than "
            f"{self._limits.fetch_bytes_max} bytes: raise fetch_bytes_max"
        )

    async def _recover(self, cause: FluvioError) -> None:
        """Wait a little before `_receive` opens again, unless it has failed for too long."""
        self._drop_worker()
        now = self._loop.time()
        if self._failing_since is None or now - self._started_at > SOUND_SECONDS:
            self._failing_since, self._retry_seconds = now, RETRY_SECONDS_FIRST
        give_up_at = self._failing_since + self._limits.reconnect_seconds
        if now + self._retry_seconds > give_up_at:
            if not isinstance(cause, _TEMPORARY):
                raise cause
            raise ConnectionLost(
                f"{self._name}: lost the stream at offset {self._next_received} and could not come "
                f"back within {self._limits.reconnect_seconds:g} s: {cause}"
            )
        await asyncio.sleep(self._retry_seconds)
        self._retry_seconds = min(self._retry_seconds * 2, RETRY_SECONDS_MAX)

    async def _reopen(self) -> None:
        try:
            await self._open(await self._bounds())
        except _TEMPORARY as error:
            self._started_at = self._loop.time()
            await self._recover(error)

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
