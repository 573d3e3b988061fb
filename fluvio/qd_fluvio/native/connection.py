"""A connection to one cluster through the native client.

It owns every link, producer and consumer made from it: leaving it takes no longer than
`close_seconds`, whatever the cluster does.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Callable

from qd_fluvio.administration import POLL_SECONDS, Administration
from qd_fluvio.api import Compression, Consumer, Fluvio, Isolation, Offset, Producer
from qd_fluvio.closing import close_all
from qd_fluvio.deadline import deadline
from qd_fluvio.errors import ClusterUnreachable, ConnectionLost, FluvioError, TopicNotFound
from qd_fluvio.limits import Limits
from qd_fluvio.native.consumer import NativeConsumer
from qd_fluvio.native.lane import Lane
from qd_fluvio.native.links import Links
from qd_fluvio.native.producer import NativeProducer
from qd_fluvio.wire.compression import Compression as BatchCompression
from qd_schemas.errors import SettingError
from qd_schemas.specs import FluvioSettings


@contextlib.asynccontextmanager
async def open_connection(cluster: FluvioSettings, limits: Limits) -> AsyncIterator[Fluvio]:
    """See `qd_fluvio.connect`."""
    fluvio = NativeFluvio(cluster, limits)
    try:
        await fluvio.start()
        yield fluvio
        await fluvio.flush()
    finally:
        fluvio.close()


class NativeFluvio(Administration):
    """See `qd_fluvio.api.Fluvio`."""

    def __init__(self, cluster: FluvioSettings, limits: Limits) -> None:
        super().__init__(cluster, limits)
        self._links = Links(self._control.servers, limits)
        self._producers: set[NativeProducer] = set()
        self._consumers: weakref.WeakSet[NativeConsumer] = weakref.WeakSet()
        self._closed = False

    async def start(self) -> None:
        """Make sure that a cluster answers."""
        async with deadline(
            self._limits.connect_seconds, "connect", self._endpoint, ClusterUnreachable
        ):
            await self._control.platform_version()

    async def flush(self) -> None:
        """Close all producers that are open, giving what they sent a last chance."""
        await close_all(self._producers)

    def close(self) -> None:
        """End everything at once."""
        self._closed = True
        for consumer in list(self._consumers):
            consumer.close()
        for producer in list(self._producers):
            producer.close()
        self._links.close()
        self._control.servers.close()

    async def producer(
        self,
        topic: str,
        *,
        partition: int | None = 0,
        compression: Compression = Compression.NONE,
    ) -> Producer:
        """See `qd_fluvio.api.Fluvio.producer`."""
        self._require_open()
        async with self._deadline(f"open a producer for topic {topic!r}"):
            info = await self.describe_topic(topic)
            used = batch_compression(compression, info.compression, topic)
            if partition is not None and not 0 <= partition < info.partitions:
                raise TopicNotFound(
                    f"partition {partition} of topic {topic!r} is not on the cluster "
                    f"{self._endpoint}; it has partitions 0 to {info.partitions - 1}"
                )
            partitions = range(info.partitions) if partition is None else (partition,)
            while True:
                producer = NativeProducer(
                    topic,
                    self._limits,
                    self._lanes(topic, used),
                    partitions,
                    self._producers.discard,
                )
                self._producers.add(producer)
                try:
                    # One question for many partitions: each lane would list all of them again.
                    many = len(partitions) > 1
                    await producer.open(await self._control.leaders(topic) if many else None)
                    return producer
                except ConnectionLost:
                    # The leader may not know yet what the cluster knows.
                    await asyncio.sleep(POLL_SECONDS)
                finally:
                    if not producer.is_open:
                        producer.close()

    def _lanes(
        self, topic: str, compression: BatchCompression
    ) -> Callable[[int, Callable[[int, int], None], Callable[[FluvioError], None]], Lane]:
        def make(
            partition: int,
            on_acked: Callable[[int, int], None],
            on_failed: Callable[[FluvioError], None],
        ) -> Lane:
            return Lane(
                topic,
                partition,
                control=self._control,
                links=self._links,
                limits=self._limits,
                compression=compression,
                on_acked=on_acked,
                on_failed=on_failed,
            )

        return make

    async def consumer(
        self,
        topic: str,
        *,
        partition: int = 0,
        offset: Offset | None = None,
        consumer_id: str | None = None,
        isolation: Isolation = Isolation.READ_UNCOMMITTED,
    ) -> Consumer:
        """See `qd_fluvio.api.Fluvio.consumer`."""
        self._require_open()
        consumer = NativeConsumer(
            topic,
            partition,
            control=self._control,
            links=self._links,
            limits=self._limits,
            endpoint=self._endpoint,
            consumer_id=consumer_id,
            isolation=isolation,
        )
        self._consumers.add(consumer)
        await consumer.start(offset or Offset.beginning())
        return consumer

    def _require_open(self) -> None:
        if self._closed:
            raise FluvioError(f"the connection to {self._endpoint} is closed; open another")


def batch_compression(asked: Compression, allowed: Compression, topic: str) -> BatchCompression:
    """How batches are compressed: as asked, if the topic allows it.

    A topic that demands one codec gets it from producers that ask for none, as with Fluvio's
    own clients.
    """
    if allowed is Compression.ANY:
        used = Compression.NONE if asked is Compression.ANY else asked
    elif asked in (allowed, Compression.ANY, Compression.NONE):
        used = allowed
    else:
        raise SettingError(
            f"compression {asked.value} for topic {topic!r}, which allows {allowed.value} only; "
            "use that"
        )
    return BatchCompression[used.name]
