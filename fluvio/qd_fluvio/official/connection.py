"""A connection to one cluster through the official client.

It owns every worker process and makes sure that none outlives it: leaving it takes no longer
than `close_seconds` and a moment, whatever the cluster does.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace

from qd_fluvio.administration import POLL_SECONDS, Administration
from qd_fluvio.api import Compression, Consumer, Fluvio, Isolation, Offset, Producer
from qd_fluvio.closing import close_all
from qd_fluvio.deadline import deadline
from qd_fluvio.errors import ClusterUnreachable, ConnectionLost, FluvioError, TopicNotFound
from qd_fluvio.limits import Limits
from qd_fluvio.official.consumer import OfficialConsumer
from qd_fluvio.official.hosts import ProduceHost
from qd_fluvio.official.process import Worker, WorkerProcess, uninterrupted
from qd_fluvio.official.producer import OfficialProducer
from qd_fluvio.official.reach import Reach
from qd_fluvio.official.spreading import SpreadingProducer
from qd_fluvio.worker.frames import Frame
from qd_schemas.errors import SettingError
from qd_schemas.specs import FluvioSettings

# The client's names; without one it does as the topic says, and leaves batches as they are where
# the topic leaves the choice.
_COMPRESSIONS = {
    Compression.GZIP: "Gzip",
    Compression.SNAPPY: "Snappy",
    Compression.LZ4: "Lz4",
    Compression.ZSTD: "Zstd",
}


@contextlib.asynccontextmanager
async def open_connection(cluster: FluvioSettings, limits: Limits) -> AsyncIterator[Fluvio]:
    """See `qd_fluvio.connect`."""
    fluvio = OfficialFluvio(cluster, limits)
    try:
        await fluvio.start()
        yield fluvio
        await fluvio.flush()
    finally:
        await fluvio.kill()


class OfficialFluvio(Administration):
    """See `qd_fluvio.api.Fluvio`."""

    def __init__(self, cluster: FluvioSettings, limits: Limits) -> None:
        super().__init__(cluster, limits)
        self._reach = Reach(cluster)
        self._processes: list[WorkerProcess] = []
        self._warm: list[WorkerProcess] = []
        self._hosts: list[ProduceHost] = []
        self._hosting = asyncio.Lock()
        self._consumers: weakref.WeakSet[OfficialConsumer] = weakref.WeakSet()
        self._closed = False

    async def start(self) -> None:
        """Make sure that a cluster answers, while the first workers start."""
        self._warm = [self._new_process() for _ in range(self._limits.warm_workers)]
        async with deadline(
            self._limits.connect_seconds, "connect", self._endpoint, ClusterUnreachable
        ):
            await self._control.platform_version()

    async def flush(self) -> None:
        """Close all producers that are open, giving what they sent a last chance."""
        producers = [producer for host in self._hosts for producer in host.producers]
        await close_all(producers)

    async def kill(self) -> None:
        """End all workers and wait until nothing is left of them."""
        self._closed = True
        self._control.servers.close()
        for consumer in self._consumers:
            consumer.close()
        for host in self._hosts:
            host.kill()
        processes, self._processes, self._warm = self._processes, [], []
        for process in processes:
            process.kill()
        await uninterrupted(*(asyncio.ensure_future(p.reaped()) for p in processes))

    async def producer(
        self,
        topic: str,
        *,
        partition: int | None = 0,
        compression: Compression = Compression.NONE,
    ) -> Producer:
        """See `qd_fluvio.api.Fluvio.producer`."""
        doing = f"open a producer for topic {topic!r}"
        name = _COMPRESSIONS.get(compression)
        async with self._deadline(doing):
            if name is not None:
                allowed = (await self.describe_topic(topic)).compression
                if allowed not in (Compression.ANY, compression):
                    raise SettingError(
                        f"compression {compression.value} for topic {topic!r}, which allows "
                        f"{allowed.value} only; use that"
                    )
            if partition is not None:
                return await self._producer(topic, partition, name, self._limits, doing)
            count = (await self.describe_topic(topic)).partitions
            share = replace(
                self._limits, in_flight_bytes_max=self._limits.in_flight_bytes_max // count
            )
            return SpreadingProducer(
                await _all_open(
                    self._producer(topic, number, name, share, doing) for number in range(count)
                )
            )

    async def _producer(
        self, topic: str, partition: int, compression: str | None, limits: Limits, doing: str
    ) -> OfficialProducer:
        async def look() -> None:
            await self._control.bounds(topic, partition)

        await look()
        while True:
            try:
                host = await self._host()
                return await host.open(
                    topic, partition, look, doing, limits=limits, compression=compression
                )
            except (TopicNotFound, ConnectionLost):
                # The worker may not know yet what the cluster knows: a new topic, or that it
                # was restarted.
                await look()
                await asyncio.sleep(POLL_SECONDS)

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
        consumer = OfficialConsumer(
            topic,
            partition,
            control=self._control,
            start_worker=self._start_worker,
            limits=self._limits,
            reach=self._reach,
            consumer_id=consumer_id,
            isolation=isolation,
        )
        self._consumers.add(consumer)
        await consumer.start(offset or Offset.beginning())
        return consumer

    async def _host(self) -> ProduceHost:
        """The worker for the next producer."""
        async with self._hosting:
            for host in self._hosts:
                host.retire(self._limits.worker_bytes_max)
                if host.usable:
                    return host
            host = ProduceHost(self._reach)
            await host.start(self._start_worker)
            self._hosts = [other for other in self._hosts if other.in_use]
            self._hosts.append(host)
            return host

    async def _start_worker(self, on_frame: Callable[[Frame], None]) -> Worker:
        if self._closed:
            raise FluvioError(f"the connection to {self._endpoint} is closed; open another")
        process = self._warm.pop() if self._warm else self._new_process()
        try:
            return await process.open(on_frame)
        except BaseException:
            process.kill()
            raise

    def _new_process(self) -> WorkerProcess:
        try:
            process = WorkerProcess()
        except OSError as error:
            raise FluvioError(
                f"no worker process of the Fluvio client can be started ({error}): are the limits "
                "of processes, open files or memory reached? Raise them, or hold fewer producers "
                "and consumers"
            ) from error
        self._processes = [other for other in self._processes if not other.gone]
        self._processes.append(process)
        return process


async def _all_open(opening: Iterable[Awaitable[OfficialProducer]]) -> list[OfficialProducer]:
    """All producers, or none: those that opened are closed where another does not."""
    tasks = [asyncio.ensure_future(one) for one in opening]
    try:
        await asyncio.gather(*tasks, return_exceptions=True)  # cancelled, too, it ends with all
        return [task.result() for task in tasks]
    except BaseException:
        for task in tasks:
            if not task.cancelled() and task.exception() is None:
                task.result().close()
        raise
