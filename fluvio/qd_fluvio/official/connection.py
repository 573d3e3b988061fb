"""A connection to one cluster through the official client.

It owns every worker process and makes sure that none outlives it: leaving it takes no longer
than `close_seconds` and a moment, whatever the cluster does.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import weakref
from collections.abc import AsyncIterator, Callable

from qd_fluvio.api import Consumer, Fluvio, Offset, Producer, TopicInfo, TopicSettings
from qd_fluvio.control import ControlPlane
from qd_fluvio.errors import (
    ClusterUnreachable,
    ConnectionLost,
    FluvioError,
    InvalidTopicName,
    TopicExists,
    TopicNotFound,
)
from qd_fluvio.limits import TOPIC_NAME_BYTES_MAX, Limits
from qd_fluvio.official.consumer import OfficialConsumer
from qd_fluvio.official.deadline import deadline
from qd_fluvio.official.hosts import ProduceHost
from qd_fluvio.official.process import Worker, WorkerProcess, uninterrupted
from qd_fluvio.worker.frames import Frame

CREATE_SECONDS = 0.5  # the SC answers sooner, or late
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
        self._control = ControlPlane(endpoint)
        self._processes: list[WorkerProcess] = []
        self._warm: list[WorkerProcess] = []
        self._hosts: list[ProduceHost] = []
        self._hosting = asyncio.Lock()
        self._consumers: weakref.WeakSet[OfficialConsumer] = weakref.WeakSet()
        self._closed = False

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
            await self._control.platform_version()

    async def flush(self) -> None:
        """Close all producers that are open, giving what they sent a last chance."""
        producers = [producer for host in self._hosts for producer in host.producers]
        unheard = [producer for producer in producers if not producer.error_was_raised]
        closed = await asyncio.gather(*(p.aclose() for p in unheard), return_exceptions=True)
        for error in closed:
            if error is not None:
                raise error

    async def kill(self) -> None:
        """End all workers and wait until nothing is left of them."""
        self._closed = True
        for consumer in self._consumers:
            consumer.close()
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
        async with self._deadline(f"create topic {name!r}"):
            existed = any(topic.name == name for topic in await self._control.topics())
            if not (existed and exist_ok):
                with contextlib.suppress(*((TopicExists,) if exist_ok else ())):
                    await self._create(name, settings or TopicSettings(), existed=existed)
            await self._until_usable(name)

    async def delete_topic(self, name: str, *, missing_ok: bool = False) -> None:
        """See `qd_fluvio.api.Fluvio.delete_topic`."""
        async with self._deadline(f"delete topic {name!r}"):
            try:
                await self._control.delete_topic(name)
            except TopicNotFound:
                if not missing_ok:
                    raise
            await self._until_gone(name)

    async def topics(self) -> list[TopicInfo]:
        """See `qd_fluvio.api.Fluvio.topics`."""
        async with self._deadline("list topics"):
            return await self._control.topics()

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
            await self._control.bounds(topic, partition)
            while True:
                try:
                    return await (await self._host()).open(topic, partition, doing)
                except (TopicNotFound, ConnectionLost):
                    # The worker may not know yet what the cluster knows: a new topic, or that
                    # it was restarted.
                    await self._control.bounds(topic, partition)
                    await asyncio.sleep(POLL_SECONDS)

    async def consumer(
        self, topic: str, *, partition: int = 0, offset: Offset | None = None
    ) -> Consumer:
        """See `qd_fluvio.api.Fluvio.consumer`."""
        consumer = OfficialConsumer(
            topic,
            partition,
            control=self._control,
            start_worker=self._start_worker,
            limits=self._limits,
            endpoint=self._endpoint,
        )
        self._consumers.add(consumer)
        await consumer.start(offset or Offset.beginning())
        return consumer

    async def end_offset(self, topic: str, partition: int = 0) -> int:
        """See `qd_fluvio.api.Fluvio.end_offset`."""
        async with self._deadline(f"ask for the end of topic {topic!r}"):
            return (await self._control.bounds(topic, partition)).end

    def _deadline(self, doing: str) -> contextlib.AbstractAsyncContextManager[None]:
        return deadline(self._limits.call_seconds, doing, self._endpoint)

    async def _create(self, name: str, settings: TopicSettings, *, existed: bool) -> None:
        """Have the topic created. A refusal comes at once, but the SC can miss that it is done.

        It waits for a partition's change that may have happened already, and then answers a
        minute later: after a while, a topic that can be used is answer enough.
        """
        tasks = {asyncio.ensure_future(self._control.create_topic(name, settings))}
        try:
            done, _ = await asyncio.wait(tasks, timeout=None if existed else CREATE_SECONDS)
            if not done:
                tasks.add(asyncio.ensure_future(self._until_usable(name)))
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_usable(self, name: str) -> None:
        """Wait until each partition's leader serves it."""
        partitions: int | None = None
        partition = 0
        while partitions is None or partition < partitions:
            try:
                if partitions is None:
                    partitions = (await self.describe_topic(name)).partitions
                await self._control.bounds(name, partition)
                partition += 1
            except (TopicNotFound, ConnectionLost):
                await asyncio.sleep(POLL_SECONDS)

    async def _until_gone(self, name: str) -> None:
        """Wait until the cluster lists a topic no more."""
        while True:
            if all(topic.name != name for topic in await self._control.topics()):
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
        if self._closed:
            raise FluvioError(f"the connection to {self._endpoint} is closed; open another")
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
