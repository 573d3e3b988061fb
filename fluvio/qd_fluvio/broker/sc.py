"""The SC's port: create, delete, list and watch.

One session a connection. Objects that a local broker does not have (SmartModules, SPU
groups, mirrors) list as none and cannot be created.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from qd_fluvio.broker.answers import failure_of
from qd_fluvio.broker.catalog import Catalog, Topic
from qd_fluvio.broker.connection import Connection
from qd_fluvio.broker.consumers import ConsumerOffsets
from qd_fluvio.broker.settings import (
    CREATE_SETTLE_S,
    PLATFORM_VERSION,
    WATCHES_PER_CONNECTION_MAX,
    Faults,
)
from qd_fluvio.broker.views import (
    partition_views,
    partitions_of,
    spu_view,
    topic_view,
    topic_views,
)
from qd_fluvio.broker.watch import Watcher, Watchers
from qd_fluvio.errors import FluvioError, TopicNotFound, WireError
from qd_fluvio.wire import admin
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.failures import OK, ErrorCode, Failure
from qd_fluvio.wire.frames import Request, decode_request, encode_response
from qd_fluvio.wire.metadata import PARTITION, SPU, TOPIC


class Cluster:
    """What all SC sessions share: topics, who watches them, where the SPU is."""

    def __init__(
        self, catalog: Catalog, consumers: ConsumerOffsets, *, spu: tuple[str, int], faults: Faults
    ) -> None:
        self.watchers = Watchers(self.snapshot)
        self._catalog = catalog
        self._consumers = consumers
        self._spu = spu_view(*spu)
        self._faults = faults
        self._unannounced: set[str] = set()

    def snapshot(self, label: str) -> tuple[Any, ...]:
        """All objects of one kind, the system's own too."""
        topics = [item for item in self._catalog.topics() if item.name not in self._unannounced]
        if label == TOPIC:
            return topic_views(topics)
        if label == PARTITION:
            return partition_views(topics)
        return (self._spu,) if label == SPU else ()

    def select(self, label: str, wanted: admin.ListObjects) -> tuple[Any, ...]:
        """The objects that a list asks for: the system's own, or all others."""
        return tuple(
            item
            for item in self.snapshot(label)
            if _matches(item.name, wanted.names)
            and getattr(item.spec, "system", False) == wanted.system
        )

    async def create(self, request: admin.CreateTopic) -> None:
        """Make a topic; watching clients know it when this returns."""
        self._catalog.check_new(request.name, request.spec)
        if request.dry_run:
            return
        late_s = self._faults.late_topics_s
        if late_s:
            self._unannounced.add(request.name)
        topic = await self._catalog.create(request.name, request.spec)
        if late_s:
            asyncio.get_running_loop().call_later(late_s, self._announce_late, topic)
            return
        self._announce(topic, admin.ChangeKind.UPDATE)
        await asyncio.sleep(CREATE_SETTLE_S)

    async def delete(self, name: str) -> None:
        """Delete a topic and all that belongs to it."""
        topic = await self._catalog.delete(name)
        self._consumers.delete_topic(name)
        self._announce(topic, admin.ChangeKind.DELETE)

    def _announce_late(self, topic: Topic) -> None:
        self._unannounced.discard(topic.name)
        if self._catalog.find(topic.name) is topic:
            self._announce(topic, admin.ChangeKind.UPDATE)

    def _announce(self, topic: Topic, kind: admin.ChangeKind) -> None:
        # Partitions first: clients take a topic that they see for usable.
        self.watchers.publish(PARTITION, kind, partitions_of(topic))
        view = topic_view(topic.name, topic.spec, len(topic.logs))
        self.watchers.publish(TOPIC, kind, (view,))


class ScSession:
    """What the SC does for one client."""

    def __init__(self, connection: Connection, cluster: Cluster) -> None:
        self._connection = connection
        self._cluster = cluster
        self._watches: list[Watcher] = []
        self._handlers: dict[int, Callable[[Request], Awaitable[Any]]] = {
            admin.API_VERSIONS.key: self._api_versions,
            admin.CREATE.key: self._create,
            admin.DELETE.key: self._delete,
            admin.LIST.key: self._list,
            admin.WATCH.key: self._watch,
        }

    async def handle(self, payload: bytearray) -> None:
        """Answer one request."""
        await self._connection.drained()
        request = decode_request(payload, admin.SC_APIS)
        answer = await self._handlers[request.header.api_key](request)
        if answer is not None and not self._connection.closing:
            header = request.header
            self._connection.push(
                encode_response(header.correlation_id, answer, header.api_version)
            )

    def close(self) -> None:
        """End the connection's watches."""
        for watcher in self._watches:
            self._cluster.watchers.remove(watcher)

    async def _api_versions(self, request: Request) -> admin.ApiVersionsResponse:
        return admin.ApiVersionsResponse(OK, admin.versions_of(admin.SC_APIS), PLATFORM_VERSION)

    async def _create(self, request: Request) -> admin.StatusResponse:
        wanted: Labelled = request.body.object
        if not isinstance(wanted.body, admin.CreateTopic):
            return admin.StatusResponse(
                "",
                Failure(ErrorCode.INVALID_CREATE_REQUEST),
                f"the local broker has no objects of kind {wanted.label!r}, only topics",
            )
        try:
            await self._cluster.create(wanted.body)
        except FluvioError as error:
            return admin.StatusResponse(wanted.body.name, failure_of(error), str(error))
        return admin.StatusResponse(wanted.body.name)

    async def _delete(self, request: Request) -> admin.StatusResponse:
        wanted: Labelled = request.body.object
        name = wanted.body.name if isinstance(wanted.body, admin.DeleteByName) else ""
        try:
            if wanted.label != TOPIC:
                raise TopicNotFound("not found")
            await self._cluster.delete(name)
        except FluvioError as error:
            return admin.StatusResponse(name, failure_of(error), str(error))
        return admin.StatusResponse(name)

    async def _list(self, request: Request) -> admin.ListResponse:
        wanted: Labelled = request.body.object
        layout = _LISTS.get(wanted.label)
        if layout is None:
            return admin.ListResponse(Labelled(wanted.label, _EMPTY_LIST))
        objects = self._cluster.select(wanted.label, wanted.body)
        return admin.ListResponse(Labelled(wanted.label, layout(objects)))

    async def _watch(self, request: Request) -> None:
        if len(self._watches) >= WATCHES_PER_CONNECTION_MAX:
            raise WireError(
                f"found more than {WATCHES_PER_CONNECTION_MAX} watches on one connection"
            )
        watcher = Watcher(
            request.body.object.label,
            self._connection,
            request.header.correlation_id,
            request.header.api_version,
        )
        self._watches.append(watcher)
        self._cluster.watchers.add(watcher)


_LISTS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    TOPIC: admin.TopicList,
    PARTITION: admin.PartitionList,
    SPU: admin.SpuList,
}
_EMPTY_LIST = bytes(4)


def _matches(name: str, wanted: tuple[str, ...]) -> bool:
    """Fluvio's filter: any of the texts is part of the name; no texts let all through."""
    return not wanted or any(text in name for text in wanted)
