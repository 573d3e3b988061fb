"""A consumer as a service holds it: gives records out, and commits how far it has given them.

Records come from a `Feed`; nothing here knows of workers and lost connections.
"""

from __future__ import annotations

import asyncio

from qd_fluvio.administration import POLL_SECONDS
from qd_fluvio.api import Isolation, Offset, Position, Record
from qd_fluvio.commits import Commits
from qd_fluvio.control import Bounds, ControlPlane
from qd_fluvio.deadline import deadline
from qd_fluvio.errors import FluvioError
from qd_fluvio.limits import Limits
from qd_fluvio.official.feed import Feed, StartWorker
from qd_fluvio.official.reach import Reach
from qd_fluvio.reading import Reading
from qd_fluvio.recovery import TEMPORARY
from qd_schemas.errors import SettingError


class OfficialConsumer(Reading):
    """One partition's records; see `qd_fluvio.api.Consumer`.

    Parameters
    ----------
    topic, partition
        What to read.
    control, start_worker, limits, reach
        See `Feed`.
    consumer_id : str or None
        Its name for committed offsets.
    isolation : Isolation
        Which records may be given out.
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
        consumer_id: str | None,
        isolation: Isolation,
    ) -> None:
        super().__init__(topic)
        self._limits = limits
        self._endpoint = reach.cluster.endpoint
        self._isolation = isolation
        self._feed = Feed(
            topic,
            partition,
            control=control,
            start_worker=start_worker,
            limits=limits,
            reach=reach,
        )
        self._consumer_id = consumer_id
        self._commits = Commits(control, topic, partition, consumer_id) if consumer_id else None
        self._started_at = 0
        self._withheld: list[Record] = []  # received, but not on all replicas yet
        self._safe_end: int | None = None  # before it all replicas have all; None asks nobody

    @property
    def _next_received(self) -> int:
        """The offset of the record that is given out after those in hand."""
        return self._withheld[0].offset if self._withheld else self._feed.next_offset

    async def commit(self) -> None:
        """Have the cluster remember what was read; see `qd_fluvio.api.Consumer.commit`."""
        if self._commits is None:
            raise SettingError(
                f"the consumer of {self._feed.name} has no id under which the cluster could keep "
                "its offset; open it with consumer_id"
            )
        if self.next_offset > self._started_at:
            doing = f"commit the offset of consumer {self._consumer_id!r}"
            async with deadline(self._limits.call_seconds, doing, self._endpoint):
                await self._commits.commit(self.next_offset - 1)

    async def aclose(self) -> None:
        """Stop reading and free everything."""
        self.close()
        await self._feed.aclose()

    def close(self) -> None:
        """Stop reading at once; who waits for a record sees the end."""
        if self._commits is not None:
            self._commits.close()
        self._feed.close()

    async def start(self, offset: Offset) -> None:
        """Find where to start, and start there."""
        bounds = await self._feed.bounds()
        if self._isolation is Isolation.READ_COMMITTED and bounds.replicas > 1:
            self._safe_end = bounds.end
        first, why = await self._first(offset, bounds)
        self._started_at = first
        await self._feed.start(first, bounds, why=why)

    async def _first(self, offset: Offset, bounds: Bounds) -> tuple[int, str]:
        """The offset to start at, and why it is this one where the caller did not give it."""
        if self._commits is not None:
            doing = f"look for the committed offset of consumer {self._consumer_id!r}"
            async with deadline(self._limits.call_seconds, doing, self._endpoint):
                committed = await self._commits.resume()
            if committed is not None:
                return committed, f" after what consumer {self._consumer_id!r} has committed"
        if offset.position is Position.ABSOLUTE:
            return offset.value, ""
        return bounds.start if offset.position is Position.BEGINNING else bounds.end, ""

    async def _receive(self) -> list[Record] | None:
        """The next records that may be given out; None once this consumer is closed.

        Nothing is awaited between taking records and returning them, so that a cancelled
        call loses none.
        """
        try:
            return await self._received()
        except FluvioError:
            if self._feed.closed:
                return None
            raise

    async def _received(self) -> list[Record] | None:
        if self._safe_end is None:
            return await self._feed.receive()
        while not self._feed.closed:
            if self._withheld and self._withheld[0].offset < self._safe_end:
                count = self._safe_end - self._withheld[0].offset
                given, self._withheld = self._withheld[:count], self._withheld[count:]
                return given
            if self._withheld:
                await self._ask_safe_end()
            else:
                self._withheld = await self._feed.receive() or []
        return None

    async def _ask_safe_end(self) -> None:
        """Learn how far all replicas are: the client has no isolation levels for consumers."""
        try:
            self._safe_end = (await self._feed.bounds()).end
        except TEMPORARY as error:
            await self._feed.recover(error)
        else:
            if self._withheld[0].offset >= self._safe_end:
                await asyncio.sleep(POLL_SECONDS)
