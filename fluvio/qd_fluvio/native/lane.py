"""One partition's way to the cluster: records gather, batches go out, answers come in order.

A record goes out at once when nothing is under way, and gathers while something is, so that a
lone record waits for nothing and many cost little. A batch that the cluster may have written
is never sent again: if it is not answered, this lane has failed. Only what certainly was not
written (nothing was under way when the connection broke, or the server said that it does not
lead the partition) goes to the partition's new leader.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from qd_fluvio.control import ControlPlane
from qd_fluvio.errors import (
    ClusterUnreachable,
    ConnectionLost,
    FluvioError,
    TopicDeleted,
    TopicNotFound,
    WireError,
)
from qd_fluvio.limits import RECORD_OVERHEAD_BYTES, Limits
from qd_fluvio.native.link import Link
from qd_fluvio.native.links import Links
from qd_fluvio.refusals import refusal
from qd_fluvio.servers import CLIENT_ID, Address
from qd_fluvio.wire import data
from qd_fluvio.wire.compression import Compression
from qd_fluvio.wire.failures import OK, ErrorCode, Failure
from qd_fluvio.wire.frames import decode_response
from qd_fluvio.wire.packing import BATCH_RECORDS_MAX, pack_columns
from qd_fluvio.wire.quick import ProduceFrames

# Of a batch's values. Well under what other consumers fetch at once: one that is cut costs them
# a second fetch, and the official client its records.
BATCH_BYTES_MAX = 256 * 1024
RETRY_SECONDS_FIRST = 0.05
RETRY_SECONDS_MAX = 1.0
_NOT_LEADER = (ErrorCode.NOT_LEADER_FOR_PARTITION, ErrorCode.PARTITION_NOT_LEADER)


@dataclass(slots=True, eq=False)
class Shipment:
    """One batch on its way."""

    lane: Lane
    head: bytes
    body: bytes
    records: int
    cost_bytes: int
    number: int = 0
    sent_at: float = 0.0

    def answered(self, payload: bytearray) -> None:
        """The cluster's answer; see `link.Asker`."""
        self.lane.answered(self, payload)

    def lost(self, error: FluvioError) -> None:
        """There will be no answer; see `link.Asker`."""
        self.lane.lost(error)


@dataclass(slots=True)
class Gathering:
    """Records that wait to become a batch."""

    values: list[bytes] = field(default_factory=list)
    keys: list[bytes | None] | None = None
    value_bytes: int = 0  # with their keys

    def has_room(self, records: int, value_bytes: int) -> bool:
        """Whether so many more fit into the batch."""
        return not self.values or (
            len(self.values) + records <= BATCH_RECORDS_MAX
            and self.value_bytes + value_bytes <= BATCH_BYTES_MAX
        )

    @property
    def full(self) -> bool:
        """Whether to wait for more makes no sense."""
        return self.value_bytes >= BATCH_BYTES_MAX or len(self.values) >= BATCH_RECORDS_MAX

    def extend(
        self,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None,
        value_bytes: int,
    ) -> None:
        """Take many records."""
        if keys is not None and self.keys is None:
            self.keys = [None] * len(self.values)
        self.values += values
        if self.keys is not None:
            self.keys += keys if keys is not None else [None] * len(values)
        self.value_bytes += value_bytes

    def add_key(self, key: bytes | None) -> None:
        """Take the key of the record that was added last."""
        if self.keys is None:
            self.keys = [None] * (len(self.values) - 1)
        self.keys.append(key)


class Lane:
    """The records of one producer for one partition.

    Parameters
    ----------
    topic, partition
        Where they go.
    control, links
        How the partition's leader is found and reached.
    limits : Limits
        Deadlines.
    compression : Compression
        Of batches.
    on_acked : callable
        Told how many records, of which cost, the cluster has now.
    on_failed : callable
        Told the error after which nothing is sent any more.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        control: ControlPlane,
        links: Links,
        limits: Limits,
        compression: Compression,
        on_acked: Callable[[int, int], None],
        on_failed: Callable[[FluvioError], None],
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._name = f"partition {partition} of topic {topic!r}"
        self._control = control
        self._links = links
        self._limits = limits
        self._compression = compression
        self._on_acked = on_acked
        self._on_failed = on_failed
        self.shipped = self.acknowledged = 0  # records
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._frames: ProduceFrames
        self._gathering = Gathering()
        self._ready: deque[Shipment] = deque()  # while there is no link
        self._under_way: deque[Shipment] = deque()
        self._refused: list[Shipment] = []  # by a server that does not lead the partition
        self._moving: asyncio.Task[None] | None = None
        self._moving_since: float | None = None
        self._retry_seconds = 0.0
        self._closed = False

    async def open(self, leader: Address | None = None) -> None:
        """Reach the partition's leader, found here unless it is known.

        Raises
        ------
        TopicNotFound
            There is no such partition.
        """
        if leader is None:
            leader = (await self._control.bounds(self._topic, self._partition)).leader
        link = await self._links.take(leader)
        if self._closed:
            self._links.give_back(link)
        else:
            self._use(link)

    @property
    def waiting_since(self) -> float | None:
        """When the oldest batch that is not answered was sent, by the loop's clock."""
        return self._under_way[0].sent_at if self._under_way else None

    def add(self, value: bytes, key: bytes | None, size: int) -> bool:
        """Take one record, which has this size with its key; whether a full batch went out."""
        found = self._gathering
        if found.value_bytes + size > BATCH_BYTES_MAX and found.values:
            self.ship()
            found = self._gathering
        values = found.values
        values.append(value)
        if key is not None or found.keys is not None:
            found.add_key(key)
        found.value_bytes += size
        room = found.value_bytes < BATCH_BYTES_MAX and len(values) < BATCH_RECORDS_MAX
        if room and self._under_way:
            return False  # the usual case
        return self._after_adding()

    def extend(
        self,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None,
        value_bytes: int,
    ) -> None:
        """Take as many records as one batch holds."""
        if not self._gathering.has_room(len(values), value_bytes):
            self.ship()
        self._gathering.extend(values, keys, value_bytes)
        self._after_adding()

    def _after_adding(self) -> bool:
        full = self._gathering.full
        if full or not (self._under_way or self._ready or self._refused):
            self.ship()
        return full

    def ship(self) -> None:
        """Send what has gathered."""
        found = self._gathering
        if not found.values or self._closed:
            return
        self._gathering = Gathering()
        try:
            head, body = pack_columns(
                found.values,
                found.keys,
                timestamp_ms=time.time_ns() // 1_000_000,
                compression=self._compression,
            )
        except TypeError as error:  # `send` has returned: it must not harm who runs this now
            self._on_failed(
                FluvioError(f"{self._name}: a record or a key is not bytes ({error}); encode it")
            )
            return
        records = len(found.values)
        self.shipped += records
        cost_bytes = found.value_bytes + records * RECORD_OVERHEAD_BYTES
        self._send(Shipment(self, head, body, records, cost_bytes))

    def close(self) -> None:
        """Give up what is not answered."""
        self._closed = True
        if self._moving is not None:
            self._moving.cancel()
        self._give_back()
        self._ready.clear()
        self._refused.clear()
        self._gathering = Gathering()

    def answered(self, shipment: Shipment, payload: bytearray) -> None:
        """A batch was written, or was not."""
        if not self._under_way or self._under_way[0] is not shipment:
            raise WireError("found the answer to a later batch before that to an earlier one")
        failure = OK if self._frames.written(payload) else self._failure(payload)
        self._under_way.popleft()
        if not failure:
            self._written(shipment)
        elif failure.code in _NOT_LEADER:
            self._refused.append(shipment)
            if not self._under_way:
                self._move(self._refused)
        else:
            doing = f"send to {self._name}"
            self._on_failed(refusal(failure, doing))

    def lost(self, error: FluvioError) -> None:
        """The connection is gone."""
        if not self._closed:
            self._on_failed(error)

    def _written(self, shipment: Shipment) -> None:
        if self._refused:
            self._on_failed(
                ConnectionLost(
                    f"{self._name}: its leader refused a batch and then took a later one; "
                    "records may be missing in between: check them, then send on a new producer"
                )
            )
            return
        self._moving_since, self._retry_seconds = None, 0.0
        self.acknowledged += shipment.records
        self._on_acked(shipment.records, shipment.cost_bytes)
        if not self._under_way:
            self.ship()

    def _failure(self, payload: bytearray) -> Failure:
        assert self._link is not None
        _, answer = decode_response(payload, data.PRODUCE, self._link.version(data.PRODUCE))
        found = [item.error for topic in answer.topics for item in topic.partitions]
        if len(found) != 1:
            raise WireError(f"found the fates of {len(found)} batches, expected that of one")
        return found[0]

    def _send(self, shipment: Shipment) -> None:
        if self._link is None or self._link.error is not None or self._refused:
            self._ready.append(shipment)
            if not self._refused:
                self._move([])
            return
        shipment.number = self._link.new_id()
        shipment.sent_at = self._loop.time()
        self._under_way.append(shipment)
        parts = self._frames.parts(shipment.number, shipment.head, shipment.body)
        self._link.send(shipment.number, shipment, parts, stream=False)

    def _use(self, link: Link) -> None:
        self._link = link
        self._frames = ProduceFrames(
            self._topic,
            self._partition,
            version=link.version(data.PRODUCE),
            client_id=CLIENT_ID,
            timeout_ms=int(self._limits.send_seconds * 1000),
        )

    def _give_back(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            for shipment in self._under_way:
                link.forget(shipment.number)
            self._links.give_back(link)
        self._under_way.clear()

    def _move(self, refused: list[Shipment]) -> None:
        """Go to the partition's leader of now, with what certainly was not written first."""
        self._refused = []
        self._ready.extendleft(reversed(refused))
        self._give_back()
        if self._moving is None and self._ready:
            self._moving = self._loop.create_task(self._find_leader())

    async def _find_leader(self) -> None:
        try:
            await self._reach_leader()
        except TopicNotFound as error:
            self._on_failed(TopicDeleted(f"{error}; it was there when the producer was opened"))
        except FluvioError as error:
            self._on_failed(error)
        finally:
            self._moving = None
        waiting, self._ready = self._ready, deque()
        while waiting:
            self._send(waiting.popleft())

    async def _reach_leader(self) -> None:
        """Open a link to the leader; tries for `send_seconds` since the last one was of use."""
        cause: FluvioError = ConnectionLost(f"{self._name}: its leader does not serve it")
        if self._moving_since is None:
            self._moving_since = self._loop.time()
        try:
            async with asyncio.timeout_at(self._moving_since + self._limits.send_seconds):
                while True:
                    await asyncio.sleep(self._retry_seconds)
                    self._retry_seconds = min(
                        max(self._retry_seconds * 2, RETRY_SECONDS_FIRST), RETRY_SECONDS_MAX
                    )
                    try:
                        await self.open()
                        return
                    except (ClusterUnreachable, ConnectionLost) as error:
                        cause = error
        except TimeoutError:
            raise cause from None
