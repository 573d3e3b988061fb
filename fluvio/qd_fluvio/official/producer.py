"""A producer as a service holds it: a window of unacknowledged records over a worker's channel.

It bounds what is in flight, keeps order, and keeps the first error for ever: after it nobody
knows which later records the cluster has. It retries nothing, so nothing is written twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from qd_fluvio.deadline import deadline
from qd_fluvio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    FluvioError,
    TopicDeleted,
    TopicNotFound,
)
from qd_fluvio.limits import RECORD_OVERHEAD_BYTES, Limits
from qd_fluvio.official.process import Worker
from qd_fluvio.producing import Keys, Producing, checked_keys, record_sizes
from qd_fluvio.worker.frames import Kind, frame, send_frame

SHIP_BYTES = 256 * 1024  # one frame to the worker; small records gather until the loop's next turn
EXPLAIN_SECONDS = 1.0  # for asking whether the topic is still there, after something failed


class OfficialProducer(Producing):
    """One channel of a producing worker; see `qd_fluvio.api.Producer`.

    Parameters
    ----------
    topic : str
        Its topic.
    look : callable
        Asks the cluster about its partition; raises `TopicNotFound` if there is none any more.
    channel : int
        Its number within the worker.
    worker : Worker
        The process, shared with other producers.
    limits : Limits
        Deadlines and sizes.
    on_closed : callable
        Called once, with whether the channel may hang in the worker.
    """

    def __init__(
        self,
        topic: str,
        look: Callable[[], Awaitable[object]],
        channel: int,
        worker: Worker,
        limits: Limits,
        on_closed: Callable[[OfficialProducer, bool], None],
    ) -> None:
        super().__init__(topic, limits)
        self._look = look
        self._channel = channel
        self._worker = worker
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []  # taken, not yet shipped to the worker
        self._waiting_keys: list[bytes | None] = []
        self._waiting_bytes = 0
        self._sent_bytes = self._acknowledged_bytes = 0  # with the overhead of each record
        self._explained = False  # the error is the final one
        self._progress = asyncio.Event()
        self._turn = asyncio.Lock()  # senders go on in the order in which they came

    @property
    def is_usable(self) -> bool:
        """See `qd_fluvio.api.Producer.is_usable`."""
        return not self._closed and self._error is None and self._worker.alive

    async def send(self, payload: bytes, key: bytes | None = None) -> None:
        """Take one record; see `qd_fluvio.api.Producer.send`."""
        await self.send_many([payload], None if key is None else [key])

    async def send_many(self, payloads: Sequence[bytes], keys: Keys | None = None) -> None:
        """Take many records; see `qd_fluvio.api.Producer.send_many`."""
        keys = checked_keys(payloads, keys)
        sizes = record_sizes(payloads, keys)
        keys = keys or [None] * len(sizes)
        async with self._turn:
            start = total = 0
            for end, size in enumerate(sizes, 1):
                total += size + RECORD_OVERHEAD_BYTES
                if total >= SHIP_BYTES or end == len(sizes):
                    await self._take(payloads[start:end], keys[start:end], total)
                    start, total = end, 0

    async def flush(self) -> None:
        """Return when all records so far are acknowledged, or raise."""
        target = self._sent
        await self._raise_error()
        self._ship()
        while self._acknowledged < target:
            await self._wait_for_progress()
        await self._raise_error()

    def close(self) -> None:
        """Give up the channel at once, whatever is unacknowledged."""
        if self._closed:
            return
        stuck = self._acknowledged < self._sent or self._error is not None
        self._closed = True
        self._waiting.clear()
        self._waiting_keys.clear()
        if self._worker.alive:
            self._worker.send(frame(Kind.CLOSE, self._channel))
        self._progress.set()
        self._on_closed(self, stuck)

    def acked(self, records: int, cost_bytes: int) -> None:
        """Note what the worker says is acknowledged, in all."""
        self._acknowledged = records
        self._acknowledged_bytes = cost_bytes
        self._progress.set()

    def failed(self, error: FluvioError) -> None:
        """Note the error that ends this producer; the first one stays."""
        if self._error is None:
            self._error = error
        self._progress.set()

    async def _take(self, payloads: Sequence[bytes], keys: Keys, cost: int) -> None:
        await self._raise_error()
        while self._in_flight and self._in_flight + cost > self._limits.in_flight_bytes_max:
            self._ship()
            await self._wait_for_progress()
        if not self._waiting:
            self._loop.call_soon(self._ship_quietly)
        self._waiting += payloads
        self._waiting_keys += keys
        self._waiting_bytes += cost
        self._sent += len(payloads)
        self._sent_bytes += cost
        if self._waiting_bytes >= SHIP_BYTES:
            self._ship()
            await asyncio.sleep(0)  # a loop of sends must not keep other tasks from running

    @property
    def _in_flight(self) -> int:
        return self._sent_bytes - self._acknowledged_bytes

    def _ship(self) -> None:
        if self._waiting and self._error is None:
            payloads, keys = self._waiting, self._waiting_keys
            self._waiting, self._waiting_keys, self._waiting_bytes = [], [], 0
            self._worker.send(send_frame(self._channel, payloads, keys if any(keys) else None))

    def _ship_quietly(self) -> None:
        try:
            self._ship()
        except FluvioError as error:
            self.failed(error)

    async def _wait_for_progress(self) -> None:
        """Wait for an acknowledgement; without any for too long the producer has failed."""
        await self._raise_error()
        before = self._acknowledged
        self._progress.clear()
        try:
            async with asyncio.timeout(self._limits.send_seconds):
                await self._progress.wait()
        except TimeoutError:
            if self._acknowledged == before:
                self.failed(self._overdue())
        await self._raise_error()

    async def _raise_error(self) -> None:
        if self._error is not None:
            self.error_was_raised = True
            await self._explain()
            raise self._error.with_traceback(None)
        if self._closed:
            raise self._after_close()

    async def _explain(self) -> None:
        """See whether the topic was deleted: the client then waits for its leader for ever."""
        if self._explained or not isinstance(
            self._error, (ConnectionLost, DeadlineExceeded, TopicNotFound)
        ):
            return
        self._explained = True
        try:
            async with deadline(EXPLAIN_SECONDS, "look for the topic", self._topic):
                await self._look()
        except TopicNotFound:
            self._error = TopicDeleted(
                f"topic {self._topic!r} was deleted while it was written: the last "
                f"{self._sent - self._acknowledged} of {self._sent} records were not acknowledged"
            )
        except FluvioError:
            pass  # nothing better is known
        except BaseException:
            self._explained = False
            raise
