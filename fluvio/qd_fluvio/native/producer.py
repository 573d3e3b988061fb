"""A producer as a service holds it: a window of unacknowledged records over its lanes.

It bounds what is under way, keeps order, and keeps the first error for ever: after it nobody
knows which later records the cluster has.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import accumulate

from qd_fluvio.errors import FluvioError
from qd_fluvio.limits import RECORD_BYTES_MAX, RECORD_OVERHEAD_BYTES, Limits
from qd_fluvio.native.lane import BATCH_BYTES_MAX, Lane
from qd_fluvio.partitioning import Partitioner
from qd_fluvio.producing import Keys, Producing, checked_keys, record_sizes, too_large
from qd_fluvio.servers import Address
from qd_fluvio.wire.packing import BATCH_RECORDS_MAX


class NativeProducer(Producing):
    """Writes to one topic; see `qd_fluvio.api.Producer`.

    Parameters
    ----------
    topic : str
        Its topic, for messages.
    limits : Limits
        Deadlines and sizes.
    make_lane : callable
        Makes the way to the partition of a number; told what to do with news.
    partitions : sequence of int
        One: all records go there. More: they are spread.
    on_closed : callable
        Called once.
    """

    def __init__(
        self,
        topic: str,
        limits: Limits,
        make_lane: Callable[[int, Callable[[int, int], None], Callable[[FluvioError], None]], Lane],
        partitions: Sequence[int],
        on_closed: Callable[[NativeProducer], None],
    ) -> None:
        super().__init__(topic, limits)
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._partitions = partitions
        self._lanes = [make_lane(number, self._acked, self._failed) for number in partitions]
        self._partitioner = Partitioner(len(partitions)) if len(partitions) > 1 else None
        self._in_flight_bytes = 0  # with the overhead of each record
        self._progress = asyncio.Event()
        self._turn = asyncio.Lock()  # senders go on in the order in which they came
        self._queued = 0  # of them
        self._watch: asyncio.TimerHandle | None = None
        self.is_open = False

    async def open(self, leaders: Mapping[int, Address] | None = None) -> None:
        """Reach the leaders of all partitions, of which some may be known, by number."""
        known = leaders or {}
        opening = [
            asyncio.ensure_future(lane.open(known.get(number)))
            for number, lane in zip(self._partitions, self._lanes, strict=True)
        ]
        try:
            await asyncio.gather(*opening)
        finally:  # where one failed, the others may still be waiting
            for task in opening:
                task.cancel()
            await asyncio.gather(*opening, return_exceptions=True)
        self.is_open = True

    @property
    def is_usable(self) -> bool:
        """See `qd_fluvio.api.Producer.is_usable`."""
        return not self._closed and self._error is None

    async def send(self, payload: bytes, key: bytes | None = None) -> None:
        """Take one record; see `qd_fluvio.api.Producer.send`."""
        key = key or None
        size = len(payload) if key is None else len(payload) + len(key)
        if size > RECORD_BYTES_MAX:
            raise too_large(size)
        cost = size + RECORD_OVERHEAD_BYTES
        if self._queued or not self._has_room(cost):
            async with self._my_turn():
                await self._until_room(cost)
                shipped = self._add(payload, key, size)
        else:
            shipped = self._add(payload, key, size)
        if shipped:
            await asyncio.sleep(0)  # a loop of sends must not keep other tasks from running

    async def send_many(self, payloads: Sequence[bytes], keys: Keys | None = None) -> None:
        """Take many records; see `qd_fluvio.api.Producer.send_many`."""
        keys = checked_keys(payloads, keys)
        sizes = record_sizes(payloads, keys)
        if not sizes:
            return
        async with self._my_turn():
            if self._partitioner is not None:
                await self._spread(payloads, keys, sizes)
                return
            ends = list(accumulate(sizes))
            start = before = 0
            while start < len(sizes):
                end = bisect_right(ends, before + BATCH_BYTES_MAX, start)
                end = max(start + 1, min(end, start + BATCH_RECORDS_MAX))
                size = ends[end - 1] - before
                cost = size + (end - start) * RECORD_OVERHEAD_BYTES
                await self._until_room(cost)
                part = None if keys is None else keys[start:end]
                self._sent += end - start
                self._in_flight_bytes += cost
                self._lanes[0].extend(payloads[start:end], part, size)
                self._watch_progress()
                start, before = end, ends[end - 1]
                await asyncio.sleep(0)

    async def flush(self) -> None:
        """Return when all records so far are acknowledged, or raise."""
        self._raise_error()
        for lane in self._lanes:
            lane.ship()
        # Not by the sum: records that others send meanwhile may be acknowledged before these.
        for lane, shipped in [(lane, lane.shipped) for lane in self._lanes]:
            while lane.acknowledged < shipped:
                await self._wait_for_progress()
        self._raise_error()

    def close(self) -> None:
        """Close at once, whatever is unacknowledged."""
        if self._closed:
            return
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        for lane in self._lanes:
            lane.close()
        self._progress.set()
        self._on_closed(self)

    @contextlib.asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        """After all senders that came before; those that come now queue."""
        self._queued += 1
        try:
            async with self._turn:
                yield
        finally:
            self._queued -= 1

    async def _spread(self, payloads: Sequence[bytes], keys: Keys | None, sizes: list[int]) -> None:
        for number, payload in enumerate(payloads):
            cost = sizes[number] + RECORD_OVERHEAD_BYTES
            if not self._has_room(cost):
                await self._until_room(cost)
            if self._add(payload, None if keys is None else keys[number], sizes[number]):
                await asyncio.sleep(0)

    def _add(self, payload: bytes, key: bytes | None, size: int) -> bool:
        number = 0 if self._partitioner is None else self._partitioner.choose(key)
        self._sent += 1
        self._in_flight_bytes += size + RECORD_OVERHEAD_BYTES
        if self._watch is None:
            self._watch_progress()
        return self._lanes[number].add(payload, key, size)

    def _watch_progress(self) -> None:
        if self._watch is None:
            self._watch = self._loop.call_later(self._limits.send_seconds, self._check_progress)

    def _has_room(self, cost: int) -> bool:
        if self._error is not None or self._closed:
            self._raise_error()
        in_flight = self._in_flight_bytes
        return not in_flight or in_flight + cost <= self._limits.in_flight_bytes_max

    async def _until_room(self, cost: int) -> None:
        while not self._has_room(cost):
            for lane in self._lanes:
                lane.ship()
            await self._wait_for_progress()

    async def _wait_for_progress(self) -> None:
        self._raise_error()
        self._progress.clear()
        await self._progress.wait()
        self._raise_error()

    def _acked(self, records: int, cost_bytes: int) -> None:
        self._acknowledged += records
        self._in_flight_bytes -= cost_bytes
        self._progress.set()

    def _failed(self, error: FluvioError) -> None:
        """Keep the first error, and stop."""
        self._fail(type(error)(self._unacknowledged(f"are not acknowledged: {error}")))

    def _fail(self, error: FluvioError) -> None:
        if self._error is None and not self._closed:
            self._error = error
            for lane in self._lanes:
                lane.close()
            self._progress.set()

    def _check_progress(self) -> None:
        """Fail if the oldest batch waits for too long; look again when it would."""
        self._watch = None
        if self._acknowledged == self._sent or not self.is_usable:
            return
        since = [lane.waiting_since for lane in self._lanes]
        oldest = min((at for at in since if at is not None), default=self._loop.time())
        due = oldest + self._limits.send_seconds
        if due > self._loop.time():
            self._watch = self._loop.call_at(due, self._check_progress)
        else:
            self._fail(self._overdue())

    def _raise_error(self) -> None:
        if self._error is not None:
            self.error_was_raised = True
            raise self._error.with_traceback(None)
        if self._closed:
            raise self._after_close()
