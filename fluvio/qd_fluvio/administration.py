"""Topics, partitions and offsets: the half of `qd_fluvio.api.Fluvio` that moves no records.

Both clients inherit it, and close it. Every call has a deadline and asks the cluster itself;
nothing here is remembered between calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import re

from qd_fluvio.api import CommittedOffset, PartitionInfo, TopicInfo, TopicSettings
from qd_fluvio.control import ControlPlane
from qd_fluvio.deadline import deadline
from qd_fluvio.errors import (
    ConnectionLost,
    FluvioError,
    InvalidTopicName,
    TopicExists,
    TopicNotFound,
)
from qd_fluvio.limits import TOPIC_NAME_BYTES_MAX, Limits
from qd_schemas.specs import FluvioSettings

CREATE_SECONDS = 0.5  # the SC answers sooner, or late
POLL_SECONDS = 0.02  # between looks at a topic that is being made or deleted
_NAME = re.compile(rf"[a-z0-9-]{{1,{TOPIC_NAME_BYTES_MAX}}}")


class Administration:
    """See `qd_fluvio.api.Fluvio`.

    Parameters
    ----------
    cluster : FluvioSettings
        The cluster.
    limits : Limits
        Deadlines.
    """

    def __init__(self, cluster: FluvioSettings, limits: Limits) -> None:
        self._cluster = cluster
        self._endpoint = cluster.endpoint
        self._limits = limits
        self._control = ControlPlane(cluster, keeps=True)

    @property
    def endpoint(self) -> str:
        """``host:port`` of the cluster's SC."""
        return self._endpoint

    async def create_topic(
        self,
        name: str,
        settings: TopicSettings | None = None,
        *,
        exist_ok: bool = False,
        dry_run: bool = False,
    ) -> None:
        """See `qd_fluvio.api.Fluvio.create_topic`."""
        if not _NAME.fullmatch(name):
            raise InvalidTopicName(
                f"topic name {name!r}; use 1 to {TOPIC_NAME_BYTES_MAX} of a-z, 0-9 and hyphens"
            )
        wanted = settings or TopicSettings()
        allowed = contextlib.suppress(*((TopicExists,) if exist_ok else ()))
        async with self._deadline(f"create topic {name!r}"):
            if dry_run:
                with allowed:
                    await self._control.create_topic(name, wanted, dry_run=True)
                return
            existed = bool(await self._control.topics(name))
            if not (existed and exist_ok):
                with allowed:
                    await self._create(name, wanted, existed=existed)
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

    async def topics(self, *names: str) -> list[TopicInfo]:
        """See `qd_fluvio.api.Fluvio.topics`."""
        async with self._deadline("list topics"):
            return await self._control.topics(*names)

    async def describe_topic(self, name: str) -> TopicInfo:
        """See `qd_fluvio.api.Fluvio.describe_topic`."""
        for topic in await self.topics(name):
            return topic
        raise TopicNotFound(f"topic {name!r} is not on the cluster {self._endpoint}; create it")

    async def partitions(self, topic: str | None = None) -> list[PartitionInfo]:
        """See `qd_fluvio.api.Fluvio.partitions`."""
        async with self._deadline("list partitions"):
            found = await self._control.partitions(topic)
        if topic is not None and not found:
            raise TopicNotFound(
                f"topic {topic!r} is not on the cluster {self._endpoint}; create it"
            )
        return found

    async def committed_offsets(
        self, *, consumer_id: str | None = None, topic: str | None = None
    ) -> list[CommittedOffset]:
        """See `qd_fluvio.api.Fluvio.committed_offsets`."""
        async with self._deadline("list committed offsets"):
            found = await self._control.committed_offsets()
        return [
            offset
            for offset in found
            if consumer_id in (None, offset.consumer_id) and topic in (None, offset.topic)
        ]

    async def delete_committed_offset(
        self, consumer_id: str, topic: str, partition: int = 0
    ) -> None:
        """See `qd_fluvio.api.Fluvio.delete_committed_offset`."""
        async with self._deadline(f"delete the offset of consumer {consumer_id!r}"):
            await self._control.delete_committed_offset(consumer_id, topic, partition)

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
                await self._require_room(name)
                tasks.add(asyncio.ensure_future(self._until_usable(name)))
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _require_room(self, name: str) -> None:
        """Leave nothing of a topic that the cluster would make once it has more SPUs."""
        if await self._control.waits_for_spus(name):
            await self._control.delete_topic(name)
            raise FluvioError(
                f"create topic {name!r} on {self._endpoint}: the cluster has fewer SPUs than it "
                "would have replicas; start more, or ask for fewer replicas"
            )

    async def _until_usable(self, name: str) -> None:
        """Wait until each partition's leader serves it."""
        while True:
            with contextlib.suppress(TopicNotFound, ConnectionLost):
                if await self._control.is_served(name):
                    return
            await asyncio.sleep(POLL_SECONDS)

    async def _until_gone(self, name: str) -> None:
        """Wait until the cluster lists a topic no more."""
        while True:
            if not await self._control.topics(name):
                return
            await asyncio.sleep(POLL_SECONDS)
