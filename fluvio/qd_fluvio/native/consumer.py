"""A consumer as a service holds it: records in order, each once, across lost connections.

It opens a stream at an absolute offset, proves by each batch's header and checksum that
nothing is missing, and opens another at the next offset when the stream breaks. What the
cluster says then (topic gone, offset gone, not reachable) becomes a typed error.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager

from qd_fluvio.api import Isolation, Offset, Position, Record
from qd_fluvio.commits import Commits
from qd_fluvio.control import Bounds, ControlPlane
from qd_fluvio.deadline import deadline
from qd_fluvio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    FluvioError,
    RecordsMissing,
    TopicDeleted,
    TopicNotFound,
    WireError,
)
from qd_fluvio.limits import Limits
from qd_fluvio.native.link import Link
from qd_fluvio.native.links import Links
from qd_fluvio.native.opening import Opener
from qd_fluvio.native.stream import Stream
from qd_fluvio.reading import Reading
from qd_fluvio.recovery import TEMPORARY, Recovery, outside
from qd_fluvio.refusals import refusal
from qd_fluvio.wire import data
from qd_fluvio.wire.failures import ErrorCode
from qd_schemas.errors import SettingError

# Given out before other tasks may run: there may always be more.
YIELD_BYTES = 256 * 1024
_ISOLATION = {Isolation.READ_UNCOMMITTED: 0, Isolation.READ_COMMITTED: 1}


class NativeConsumer(Reading):
    """One partition's records; see `qd_fluvio.api.Consumer`.

    Parameters
    ----------
    topic, partition
        What to read.
    control, links
        How the partition's leader is found and reached.
    limits : Limits
        Deadlines and sizes.
    endpoint : str
        The cluster, for messages.
    consumer_id : str or None
        Under which name `commit` keeps how far it is.
    isolation : Isolation
        Which records may be seen.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        control: ControlPlane,
        links: Links,
        limits: Limits,
        endpoint: str,
        consumer_id: str | None,
        isolation: Isolation,
    ) -> None:
        super().__init__(topic)
        self._partition = partition
        self._control = control
        self._links = links
        self._limits = limits
        self._endpoint = endpoint
        self._commits = (
            None if consumer_id is None else Commits(control, topic, partition, consumer_id)
        )
        self._isolation = isolation
        self._name = f"partition {partition} of topic {topic!r}"
        self._loop = asyncio.get_running_loop()
        self._stream: Stream | None = None
        self._fetch_bytes = min(limits.fetch_bytes_max, max(limits.queue_bytes_max // 2, 1))
        self._arrived = asyncio.Event()
        self._opener = Opener(self._name, 0)
        self._started_at = 0
        self._closed = self._receiving = False
        self._recovery = Recovery(self._name, limits.reconnect_seconds, self._loop.time)
        self._refills = 0
        self._behind_at: int | None = None
        self._idle_since = 0.0
        self._idle_due = False
        self._idle_timer: asyncio.TimerHandle | None = None
        self._deleted = False
        self._end_lags = False  # records may be read before all replicas have them
        self._given_bytes = 0  # since other tasks could last run

    async def commit(self) -> None:
        """Keep how far this consumer is; see `qd_fluvio.api.Consumer.commit`."""
        if self._commits is None:
            raise SettingError(
                f"a consumer of topic {self._topic!r} without a consumer id cannot commit; "
                "open it with one"
            )
        last_offset = self.next_offset - 1
        if last_offset < self._started_at:
            return
        async with self._deadline(f"commit offset {last_offset} of {self._name}"):
            await self._commits.commit(last_offset)

    async def aclose(self) -> None:
        """Stop reading."""
        self.close()

    def close(self) -> None:
        """Stop reading at once; who waits for a record sees the end."""
        self._closed = True
        self._arrived.set()
        self._drop_stream()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._commits is not None:
            self._commits.close()

    def __del__(self) -> None:
        """Free the stream of a consumer that was dropped, and not closed."""
        if stream := getattr(self, "_stream", None):
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                self._loop.call_soon_threadsafe(_leave, stream, self._links)

    async def start(self, offset: Offset) -> None:
        """Find the offset, after the committed one where there is one, and open a stream."""
        resumed = None
        if self._commits is not None:
            async with self._deadline(f"ask for the committed offset of {self._name}"):
                resumed = await self._commits.resume()
        bounds = await self._bounds()
        if resumed is not None:
            first = resumed
            self._end_lags = self._may_lag(bounds)
        elif offset.position is Position.ABSOLUTE:
            first = offset.value
        else:
            first = bounds.start if offset.position is Position.BEGINNING else bounds.end
        self._started_at = self._opener.next_offset = first
        await self._open(bounds)

    async def _bounds(self) -> Bounds:
        async with self._deadline(f"ask for the offsets of {self._name}"):
            return await self._control.bounds(self._topic, self._partition)

    def _deadline(self, doing: str) -> AbstractAsyncContextManager[None]:
        return deadline(self._limits.call_seconds, doing, self._endpoint)

    async def _open(self, bounds: Bounds) -> None:
        """Open a stream at the next offset, which the partition must have."""
        self._require_within(bounds.start, bounds.end)
        self._end_lags = self._may_lag(bounds)
        async with self._deadline(f"open a stream of {self._name}"):
            link = await self._links.take(bounds.leader)
        if self._closed:
            self._links.give_back(link)
            return
        self._recovery.opened()
        request = data.StreamFetchRequest(
            self._topic,
            self._partition,
            self._next_received,
            self._fetch_bytes,
            isolation=_ISOLATION[self._isolation],
        )
        try:
            self._stream = Stream(link, request, self._limits.queue_bytes_max, self._arrived.set)
        except FluvioError:
            self._links.give_back(link)
            raise

    @property
    def _next_received(self) -> int:
        """The offset of the record that the cluster is to send next."""
        return self._opener.next_offset

    def _may_lag(self, bounds: Bounds) -> bool:
        return bounds.replicas > 1 and self._isolation is Isolation.READ_UNCOMMITTED

    def _require_within(self, start: int, end: int) -> None:
        beyond = self._next_received > end and not self._end_lags  # else the stream says so
        if self._next_received < start or beyond:
            raise outside(self._name, start, end, self._next_received)

    async def _receive(self) -> list[Record] | None:
        """The next records; None once this consumer is closed.

        Nothing is awaited between taking records and returning them, so that a cancelled
        call loses none.
        """
        if self._receiving:
            raise FluvioError(
                f"two tasks read {self._name} with one consumer; open a consumer for each"
            )
        self._receiving = True
        try:
            return await self._received()
        except FluvioError:
            if self._closed:
                return None
            raise
        finally:
            self._receiving = False

    async def _received(self) -> list[Record] | None:
        while not self._closed:
            stream = self._stream
            if self._given_bytes >= YIELD_BYTES:
                self._given_bytes = 0
                await asyncio.sleep(0)
            elif stream is None:
                await self._reopen()
            elif stream.batches:
                if records := self._take(stream):
                    return records
            elif stream.ended or stream.wanted_bytes:
                await self._broken(stream)
            else:
                await self._wait(stream)
        return None

    def _take(self, stream: Stream) -> list[Record]:
        """The records that have arrived, up to a sensible amount."""
        records: list[Record] = []
        while stream.batches and self._given_bytes < YIELD_BYTES:
            portion, batch = stream.batches[0]
            try:
                records += self._opener.open(portion, batch)
            except (RecordsMissing, WireError) as error:
                if not records:  # else next time
                    self._refill(error)
                break
            stream.take()
            self._given_bytes += self._opener.opened_bytes
        if records:
            self._refills = 0
            self._recovery.well()
        return records

    def _refill(self, error: FluvioError) -> None:
        """Ask for the next offset again, unless that was done too often."""
        self._drop_stream()
        self._refills += 1
        if self._refills > self._limits.refill_tries_max:
            raise RecordsMissing(
                f"{self._name}: offset {self._next_received} does not come whole, asked for "
                f"{self._refills} times: {error}"
            ) from None

    async def _wait(self, stream: Stream) -> None:
        """Wait for news; after a while without any, see whether there should be some."""
        self._arrived.clear()
        self._idle_since = self._loop.time()
        if self._idle_timer is None:
            self._look_later(self._limits.idle_check_seconds)
        await self._arrived.wait()
        if self._idle_due:
            self._idle_due = False
            if not (stream.batches or stream.ended):
                await self._check_idle(stream)

    def _look_later(self, seconds: float) -> None:
        # One timer for many waits: to start and stop one for each takes as long as a record.
        self._idle_timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Wake the reader if it has waited for so long; else look again when it would have."""
        self._idle_timer = None
        if self._arrived.is_set():
            return
        left = self._idle_since + self._limits.idle_check_seconds - self._loop.time()
        if left > 0:
            self._look_later(left)
        else:
            self._idle_due = True
            self._arrived.set()

    async def _check_idle(self, stream: Stream) -> None:
        """A stream may be dead without an end: its cluster gone, its topic deleted, or stuck."""
        try:
            found = await self._ends(stream.link)
        except TEMPORARY as error:
            await self._recover(error, silent=True)
            return
        if stream.batches or stream.ended:
            return
        self._require_within(found.start_offset, found.end_offset)
        if self._next_received > found.end_offset:
            # Replicas lag, or the records here are others: the answer to a new stream tells.
            self._drop_stream()
            return
        behind = found.end_offset > self._next_received
        stuck = behind and self._behind_at == self._next_received
        self._behind_at = self._next_received if behind else None
        if not behind:
            self._recovery.well()
        if stuck:
            await self._recover(
                ConnectionLost(
                    f"{self._name}: the stream brings nothing since offset {self._next_received} "
                    f"though there are records up to {found.end_offset}"
                ),
                silent=True,
            )

    async def _ends(self, link: Link) -> data.PartitionOffsets:
        """Where the partition begins and ends, asked on the stream's own connection."""
        request = data.FetchOffsetsRequest((data.OffsetsTopic(self._topic, (self._partition,)),))
        try:
            async with self._deadline(f"ask for the offsets of {self._name}"):
                answer = await link.ask(data.FETCH_OFFSETS, request)
        except DeadlineExceeded:
            link.suspect = True
            raise
        for topic in answer.topics:
            for found in topic.partitions:
                if found.error:
                    raise ConnectionLost(f"{self._name}: its leader answers {found.error}")
                return found
        raise ConnectionLost(f"{self._name}: its leader says nothing of its offsets")

    async def _broken(self, stream: Stream) -> None:
        """Nothing more comes of this stream: see why, and whether to try again."""
        if stream.error is not None:
            await self._recover(stream.error)
        elif stream.failure is not None:
            self._deleted |= stream.failure.code == ErrorCode.TOPIC_DELETED
            await self._recover(refusal(stream.failure, f"read {self._name} on {self._endpoint}"))
        else:
            self._fetch_more(stream.wanted_bytes)

    def _fetch_more(self, wanted_bytes: int) -> None:
        """Open the next stream with room for the batch that did not fit."""
        self._drop_stream()
        most = self._limits.fetch_bytes_max
        if self._fetch_bytes >= most:
            raise RecordsMissing(
                f"{self._name}: the batch at offset {self._next_received} takes {wanted_bytes} "
                f"bytes and does not come whole; raise fetch_bytes_max, which is {most}"
            )
        self._fetch_bytes = min(max(wanted_bytes, 2 * self._fetch_bytes), most)

    async def _recover(self, cause: FluvioError, *, silent: bool = False) -> None:
        """Wait a little before `_receive` opens again, unless it has failed for too long."""
        self._drop_stream()
        await asyncio.sleep(self._recovery.failed(cause, self._next_received, silent=silent))

    async def _reopen(self) -> None:
        try:
            bounds = await self._bounds()
            if self._deleted:
                self._require_within(bounds.start, bounds.end)
                raise TopicDeleted(f"{self._name} was deleted and made anew; open a new consumer")
            await self._open(bounds)
        except TEMPORARY as error:
            await self._recover(error)
        except TopicDeleted:
            raise
        except TopicNotFound as error:
            raise TopicDeleted(f"{error}; it was deleted while it was read") from None

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            _leave(stream, self._links)


def _leave(stream: Stream, links: Links) -> None:
    stream.close()
    links.give_back(stream.link)
