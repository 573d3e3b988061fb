"""Topics and offsets: what is asked of the SC and the SPUs in their own protocol.

The official client's administration blocks, hangs on a connection that died, and does not
tell a topic's settings or a partition's offsets at all. Each call here takes its own short
connection, so that nothing has to be kept alive and a dead cluster is noticed by the next
call. No records pass through this module.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeVar

from qd_fluvio.api import TopicInfo, TopicSettings
from qd_fluvio.errors import (
    ClusterUnreachable,
    ConnectionLost,
    FluvioError,
    InvalidTopicName,
    TopicExists,
    TopicNotFound,
    WireError,
)
from qd_fluvio.wire import admin, data, metadata
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.failures import ErrorCode
from qd_fluvio.wire.frames import LENGTH, Api, decode_response, encode_request

RESPONSE_BYTES_MAX = 64 * 1024 * 1024
CLIENT_ID = "qd"
# Servers refuse a greeting without a semver version: that of the official client of today.
PROTOCOL_VERSION = "0.15.2"
Q = TypeVar("Q")
R = TypeVar("R")
REFUSALS: dict[int, tuple[type[FluvioError], str]] = {
    ErrorCode.TOPIC_ALREADY_EXISTS: (TopicExists, "take another name or allow the existing one"),
    ErrorCode.TOPIC_INVALID_NAME: (InvalidTopicName, "use 1 to 63 of a-z, 0-9 and hyphens"),
    ErrorCode.TOPIC_NOT_FOUND: (TopicNotFound, "check its name, or create it"),
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The oldest offset a partition still has, and the next one it will give.

    `leader` is the SPU that says so, and `question` the bytes it was asked with.
    """

    start: int
    end: int
    leader: str = ""
    question: bytes = b""


class ControlPlane:
    """Administers one cluster. It sets no deadlines: callers do.

    Parameters
    ----------
    endpoint : str
        ``host:port`` of the SC.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    async def platform_version(self) -> str:
        """The cluster's version; proves that a Fluvio SC answers."""
        async with self._server(self._endpoint) as sc:
            return sc.platform_version

    async def create_topic(self, name: str, settings: TopicSettings) -> None:
        """Have the SC create a topic; it answers when all partitions have their places.

        Raises
        ------
        TopicExists, InvalidTopicName, FluvioError
            The SC refuses.
        """
        cleanup = settings.retention_s and metadata.SegmentCleanup(settings.retention_s)
        sizes = settings.segment_bytes, settings.max_partition_bytes
        spec = metadata.TopicSpec(
            replicas=metadata.ComputedReplicas(
                settings.partitions, settings.replication, ignore_rack=True
            ),
            cleanup=cleanup or None,
            storage=metadata.Storage(*sizes) if any(sizes) else None,
        )
        topic = admin.CreateTopic(name, dry_run=False, timeout_ms=None, spec=spec)
        async with self._server(self._endpoint) as sc:
            answer = await sc.ask(
                admin.CREATE, admin.CreateRequest(Labelled(metadata.TOPIC, topic))
            )
        self._require_done(answer, f"create topic {name!r}")

    async def delete_topic(self, name: str) -> None:
        """Have the SC delete a topic; `TopicNotFound` if there is none."""
        topic = Labelled(metadata.TOPIC, admin.DeleteByName(name))
        async with self._server(self._endpoint) as sc:
            answer = await sc.ask(admin.DELETE, admin.DeleteRequest(topic))
        self._require_done(answer, f"delete topic {name!r}")

    def _require_done(self, answer: admin.StatusResponse, doing: str) -> None:
        if answer.error:
            kind, advice = REFUSALS.get(answer.error.code, (FluvioError, "change it"))
            reason = answer.message or str(answer.error)
            raise kind(f"{doing} on {self._endpoint}: {reason}; {advice}")

    async def topics(self) -> list[TopicInfo]:
        """All topics, by name; one that is being deleted counts no more."""
        async with self._server(self._endpoint) as sc:
            found = await sc.list(metadata.TOPIC)
        deleting = metadata.TopicResolution.DELETING
        return sorted(
            (_topic_info(topic) for topic in found if topic.status.resolution != deleting),
            key=lambda info: info.name,
        )

    async def bounds(self, topic: str, partition: int) -> Bounds:
        """Where a partition begins and ends, as its leader says.

        Raises
        ------
        TopicNotFound
            The cluster knows no such partition.
        ConnectionLost
            The partition's leader cannot be reached, or does not serve it (yet).
        """
        leader = await self._leader(topic, partition)
        request = data.FetchOffsetsRequest((data.OffsetsTopic(topic, (partition,)),))
        async with self._server(leader) as spu:
            answer = await spu.ask(data.FETCH_OFFSETS, request)
            question = spu.encode(data.FETCH_OFFSETS, request)
        (found,) = (offsets for named in answer.topics for offsets in named.partitions)
        if found.error:
            raise ConnectionLost(
                f"partition {partition} of topic {topic!r}: its leader answers {found.error}; "
                "it may not be ready yet, try again"
            )
        return Bounds(found.start_offset, found.end_offset, leader, question)

    async def _leader(self, topic: str, partition: int) -> str:
        """``host:port`` of the SPU that leads a partition."""
        async with self._server(self._endpoint) as sc:
            name = f"{topic}-{partition}"
            partitions = await sc.list(metadata.PARTITION)
            leader = next((p.spec.leader for p in partitions if p.name == name), None)
            if leader is None:
                known = any(p.name.rpartition("-")[0] == topic for p in partitions)
                what = f"partition {partition} of topic {topic!r}" if known else f"topic {topic!r}"
                raise TopicNotFound(f"{what} is not on the cluster {self._endpoint}; create it")
            spus = await sc.list(metadata.SPU)
        spu = next((s.spec.public for s in spus if s.spec.spu_id == leader), None)
        if spu is None or not spu.addresses:
            raise ConnectionLost(
                f"partition {partition} of topic {topic!r} has no leader that clients can reach "
                f"(SPU {leader}); try again when the SPU is back"
            )
        host = spu.addresses[0].hostname or spu.addresses[0].ip
        return f"{host}:{spu.port}"

    @contextlib.asynccontextmanager
    async def _server(self, address: str) -> AsyncIterator[_Server]:
        """A connection to one server for some questions."""
        host, _, port = address.rpartition(":")
        lost: type[FluvioError] = (
            ClusterUnreachable if address == self._endpoint else ConnectionLost
        )
        try:
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, ValueError) as error:
            raise lost(f"nobody answers at {address} ({error}); is the cluster up?") from None
        try:
            server = _Server(reader, writer)
            await server.greet()
            yield server
        except (OSError, EOFError) as error:
            raise lost(f"{address} closed the connection ({error!r}); try again") from None
        except WireError as error:
            raise lost(f"{address} does not answer as Fluvio does: {error}") from None
        finally:
            writer.transport.abort()


class _Server:
    """One connection, one question at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._versions: dict[int, int] = {}
        self.platform_version = ""

    async def greet(self) -> None:
        """Learn which versions the server speaks."""
        answer = await self.ask(
            admin.API_VERSIONS, admin.ApiVersionsRequest(client_version=PROTOCOL_VERSION)
        )
        self._versions = {api.api_key: api.version_max for api in answer.apis}
        self.platform_version = answer.platform_version

    async def ask(self, api: Api[Q, R], request: Q) -> R:
        """Send a request and read its response."""
        self._writer.write(self.encode(api, request))
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        if not 0 <= length <= RESPONSE_BYTES_MAX:
            raise WireError(f"a response of {length} bytes; at most {RESPONSE_BYTES_MAX} expected")
        _, answer = decode_response(await self._reader.readexactly(length), api, self._version(api))
        return answer

    def encode(self, api: Api[Q, Any], request: Q) -> bytes:
        """A request's bytes, in the newest version both sides speak."""
        return encode_request(
            api, request, version=self._version(api), correlation_id=1, client_id=CLIENT_ID
        )

    def _version(self, api: Api[Any, Any]) -> int:
        return min(api.version_max, self._versions.get(api.key, api.version_max))

    async def list(self, kind: str) -> tuple[Any, ...]:
        """All objects of one kind."""
        answer = await self.ask(
            admin.LIST, admin.ListRequest(Labelled(kind, admin.ListObjects(())))
        )
        objects: tuple[Any, ...] = answer.object.body.objects
        return objects


def _topic_info(topic: metadata.TopicMetadata) -> TopicInfo:
    spec = topic.spec
    if isinstance(spec.replicas, metadata.ComputedReplicas):
        partitions = spec.replicas.partitions
        replication = spec.replicas.replication_factor
    else:
        partitions = len(spec.replicas.partitions)
        replication = max((len(p.replicas) for p in spec.replicas.partitions), default=1)
    return TopicInfo(
        name=topic.name,
        partitions=partitions,
        replication=replication,
        retention_s=spec.cleanup.retention_s if spec.cleanup else None,
        segment_bytes=spec.storage.segment_bytes if spec.storage else None,
        max_partition_bytes=spec.storage.partition_bytes_max if spec.storage else None,
    )
