"""A connection to one cluster through the official client.

It owns every worker process and makes sure that none outlives it: leaving it takes no longer
than `close_seconds` and a moment, whatever the cluster does.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable

from qd_fluvio.api import Consumer, Fluvio, Offset, Producer, TopicInfo, TopicSettings
from qd_fluvio.errors import (
    ClusterUnreachable,
    ConnectionLost,
    InvalidTopicName,
    TopicExists,
    TopicNotFound,
)
from qd_fluvio.limits import TOPIC_NAME_BYTES_MAX, Limits
from qd_fluvio.lookup import Lookup
from qd_fluvio.official.consumer import OfficialConsumer
from qd_fluvio.official.deadline import deadline
from qd_fluvio.official.hosts import AdminHost, ProduceHost
from qd_fluvio.official.process import Worker, WorkerProcess, uninterrupted
from qd_fluvio.worker.frames import Frame

POLL_SECONDS = 0.02  # between looks at a topic that is being made or deleted
_NAME = re.compile(rf"[a-z0-9-]{{1,{TOPIC_NAME_BYTES_MAX}}}")


@contextlib.asynccontextmanager
async def open_connection(endpoint: str, limits: Limits) -> AsyncIterator[Fluvio]:
    """See `qd_fluvio.connect`."""
    fluvio = OfficialFluvio(endpoint, limits)
    try:
        await fluvio.start()
        yield fluvio
        await fluvio.flush()
    finally:
        await fluvio.kill()


class OfficialFluvio:
    """See `qd_fluvio.api.Fluvio`."""

    def __init__(self, endpoint: str, limits: Limits) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._lookup = Lookup(endpoint)
        self._processes: list[WorkerProcess] = []
        self._warm: list[WorkerProcess] = []
        self._admin = AdminHost(endpoint, self._start_worker)
        self._hosts: list[ProduceHost] = []
        self._hosting = asyncio.Lock()

    @property
    def endpoint(self) -> str:
        """``host:port`` of the cluster's SC."""
        return self._endpoint

    async def start(self) -> None:
        """Make sure that a cluster answers, while the first workers start."""
        self._warm = [self._new_process() for _ in range(self._limits.warm_workers)]
        async with deadline(
            self._limits.connect_seconds, "connect", self._endpoint, ClusterUnreachable
        ):
            await self._lookup.platform_version()

    async def flush(self) -> None:
        """Close all producers that are open, giving what they sent a last chance."""
        producers = [producer for host in self._hosts for producer in host.producers]
        closed = await asyncio.gather(*(p.aclose() for p in producers), return_exceptions=True)
        for error in closed:
            if error is not None:
                raise error

    async def kill(self) -> None:
        """End all workers and wait until nothing is left of them."""
        self._admin.kill()
        for host in self._hosts:
            host.kill()
        processes, self._processes, self._warm = self._processes, [], []
        for process in processes:
            process.kill()
        await uninterrupted(*(asyncio.ensure_future(p.reaped()) for p in processes))

    async def create_topic(
        self, name: str, settings: TopicSettings | None = None, *, exist_ok: bool = False
    ) -> None:
        """See `qd_fluvio.api.Fluvio.create_topic`."""
        if not _NAME.fullmatch(name):
            raise InvalidTopicName(
                f"topic name {name!r}; use 1 to {TOPIC_NAME_BYTES_MAX} of a-z, 0-9 and hyphens"
            )
        settings = settings or TopicSettings()
        doing = f"create topic {name!r}"
        async with self._deadline(doing):
            try:
                await self._admin.call(
                    "create",
                    doing,
                    topic=name,
                    partitions=settings.partitions,
                    replication=settings.replication,
                    retention_s=settings.retention_s,
                    segment_bytes=settings.segment_bytes,
                    max_partition_bytes=settings.max_partition_bytes,
                )
            except TopicExists:
                if not exist_ok:
                    raise
            await self._until_usable(name)

    async def delete_topic(self, name: str, *, missing_ok: bool = False) -> None:
        """See `qd_fluvio.api.Fluvio.delete_topic`."""
        doing = f"delete topic {name!r}"
        async with self._deadline(doing):
            try:
                await self._admin.call("delete", doing, topic=name)
            except TopicNotFound:
                if not missing_ok:
                    raise
            await self._until_gone(name)

    async def topics(self) -> list[TopicInfo]:
        """See `qd_fluvio.api.Fluvio.topics`."""
        async with self._deadline("list topics"):
            return await self._lookup.topics()

    async def describe_topic(self, name: str) -> TopicInfo:
        """See `qd_fluvio.api.Fluvio.describe_topic`."""
        for topic in await self.topics():
            if topic.name == name:
                return topic
        raise TopicNotFound(f"topic {name!r} is not on the cluster {self._endpoint}; create it")

    async def producer(self, topic: str, *, partition: int = 0) -> Producer:
        """See `qd_fluvio.api.Fluvio.producer`."""
        doing = f"open a producer for topic {topic!r}"
        async with self._deadline(doing):
            await self._lookup.bounds(topic, partition)
            while True:
                try:
                    return await (await self._host()).open(topic, partition, doing)
                except (TopicNotFound, ConnectionLost):
                    # The worker may not know yet what the cluster knows: a new topic, or that
                    # it was restarted.
                    await self._lookup.bounds(topic, partition)
                    await asyncio.sleep(POLL_SECONDS)

    async def consumer(
        self, topic: str, *, partition: int = 0, offset: Offset | None = None
    ) -> Consumer:
        """See `qd_fluvio.api.Fluvio.consumer`."""
        consumer = OfficialConsumer(
            topic,
            partition,
            lookup=self._lookup,
            start_worker=self._start_worker,
            limits=self._limits,
            endpoint=self._endpoint,
        )
        await consumer.start(offset or Offset.beginning())
        return consumer

    async def end_offset(self, topic: str, partition: int = 0) -> int:
        """See `qd_fluvio.api.Fluvio.end_offset`."""
        async with self._deadline(f"ask for the end of topic {topic!r}"):
            return (await self._lookup.bounds(topic, partition)).end

    def _deadline(self, doing: str) -> contextlib.AbstractAsyncContextManager[None]:
        return deadline(self._limits.call_seconds, doing, self._endpoint)

    async def _until_usable(self, name: str) -> None:
        """Wait until each partition's leader serves it."""
        partition, partitions = 0, 1
        while partition < partitions:
            try:
                partitions = (await self.describe_topic(name)).partitions
                await self._lookup.bounds(name, partition)
                partition += 1
            except (TopicNotFound, ConnectionLost):
                await asyncio.sleep(POLL_SECONDS)

    async def _until_gone(self, name: str) -> None:
        """Wait until the cluster lists a topic no more."""
        while True:
            if all(topic.name != name for topic in await self._lookup.topics()):
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _host(self) -> ProduceHost:
        """The worker for the next producer."""
        async with self._hosting:
            for host in self._hosts:
                if host.usable:
                    return host
            host = ProduceHost(self._endpoint, self._limits)
            await host.start(self._start_worker)
            self._hosts = [other for other in self._hosts if other.producers]
            self._hosts.append(host)
            return host

    async def _start_worker(self, on_frame: Callable[[Frame], None]) -> Worker:
        process = self._warm.pop() if self._warm else self._new_process()
        try:
            return await process.open(on_frame)
        except BaseException:
            process.kill()
            raise

    def _new_process(self) -> WorkerProcess:
        process = WorkerProcess()
        self._processes = [other for other in self._processes if not other.gone]
        self._processes.append(process)
        return process
