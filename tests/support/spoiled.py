"""A cluster of one topic whose SPU a test makes misbehave, over real TCP.

Its SC answers as a cluster does. Its SPU greets and tells offsets; what it does with a produce
request or a stream fetch is the test's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from qd_fluvio.wire import admin, data, metadata
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.failures import OK, ErrorCode, Failure
from qd_fluvio.wire.frames import Request, decode_request, encode_response

TOPIC = "spoiled"


@dataclass
class Peer:
    """One connection to the SPU."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    cluster: Spoiled

    def answer(self, request: Request, body: object) -> None:
        header = request.header
        self.raw(encode_response(header.correlation_id, body, header.api_version))

    def raw(self, frame: bytes) -> None:
        self.writer.write(frame)

    def close(self) -> None:
        self.writer.transport.abort()

    def produced(self, request: Request, failure: Failure = OK) -> None:
        """Say how a produce request went."""
        ((item,),) = (topic.partitions for topic in request.body.topics)
        partition = data.ProducedPartition(item.partition, failure, base_offset=self.cluster.end)
        self.answer(request, data.ProduceResponse((data.ProducedTopic(TOPIC, (partition,)),)))

    def portion(self, request: Request, records: bytes = b"", failure: Failure = OK) -> None:
        """Send a portion of a stream."""
        partition = data.FetchedPartition(0, failure, records=records)
        self.answer(request, data.StreamFetchResponse(TOPIC, 1, partition))


Behaviour = Callable[[Peer, Request], Awaitable[None]]


@dataclass
class Spoiled:
    """What the cluster has, and what was asked of it."""

    on_produce: Behaviour
    on_stream: Behaviour
    on_update: Behaviour
    on_offsets: Behaviour
    partitions: int = 1
    replicas: int = 1
    unlisted: int = 0
    """So many of the last partitions the SC does not list yet."""
    start: int = 0
    end: int = 1_000
    is_there: bool = True
    endpoint: str = ""
    spu_port: int = 0
    requests: list[Request] = field(default_factory=list)

    def asked(self, api: Any) -> list[Any]:
        """The bodies of all requests for one API so far."""
        return [found.body for found in self.requests if found.header.api_key == api.key]


async def ignore(peer: Peer, request: Request) -> None:
    """Say nothing."""


async def confirm(peer: Peer, request: Request) -> None:
    """Take what a stream's client says about its offset."""
    (update,) = request.body.offsets
    peer.answer(request, data.UpdateOffsetsResponse((data.OffsetUpdated(update.stream_id),)))


async def tell(peer: Peer, request: Request) -> None:
    """Say where partitions begin and end."""
    cluster = peer.cluster
    (topic,) = request.body.topics
    failure = OK if cluster.is_there else Failure(ErrorCode.PARTITION_NOT_LEADER)
    ends = tuple(
        data.PartitionOffsets(failure, number, cluster.start, cluster.end)
        for number in topic.partitions
    )
    peer.answer(request, data.FetchOffsetsResponse((data.TopicOffsets(TOPIC, ends),)))


@asynccontextmanager
async def spoiled(
    *,
    on_produce: Behaviour = ignore,
    on_stream: Behaviour = ignore,
    on_update: Behaviour = confirm,
    on_offsets: Behaviour = tell,
    **fields: Any,
) -> AsyncIterator[Spoiled]:
    """Run such a cluster while the block runs."""
    cluster = Spoiled(on_produce, on_stream, on_update, on_offsets, **fields)
    writers: list[asyncio.StreamWriter] = []
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(
        apis: dict[int, Any],
        handle: Callable[[Peer, Request], Awaitable[None]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        writers.append(writer)
        serving.add(asyncio.current_task())
        peer = Peer(reader, writer, cluster)
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(4))
                await handle(peer, decode_request(await reader.readexactly(length), apis))
        except (OSError, EOFError):
            writer.transport.abort()

    async def sc(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(admin.SC_APIS, _sc, reader, writer)

    async def spu(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(data.SPU_APIS, _spu, reader, writer)

    servers = [await asyncio.start_server(each, "127.0.0.1", 0) for each in (sc, spu)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    cluster.endpoint, cluster.spu_port = f"127.0.0.1:{ports[0]}", ports[1]
    try:
        yield cluster
    finally:
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*filter(None, serving))
        for server in servers:
            server.close()
            await server.wait_closed()


def _greeting(peer: Peer, request: Request, apis: dict[int, Any]) -> None:
    peer.answer(request, admin.ApiVersionsResponse(OK, admin.versions_of(apis), "0.18.1"))


async def _sc(peer: Peer, request: Request) -> None:
    if request.header.api_key == admin.API_VERSIONS.key:
        _greeting(peer, request, admin.SC_APIS)
        return
    label = request.body.object.label
    found = _objects(peer.cluster, label)
    peer.answer(request, admin.ListResponse(Labelled(label, found)))


def _objects(cluster: Spoiled, label: str) -> object:
    if label == metadata.SPU:
        way = metadata.IngressAddress("127.0.0.1", None)
        ingress = metadata.Ingress(cluster.spu_port, (way,))
        private = metadata.SpuEndpoint(1, "127.0.0.1")
        spec = metadata.SpuSpec(1, 1, ingress, private)
        return admin.SpuList((metadata.SpuMetadata("spu-1", spec, metadata.SpuStatus()),))
    if label == metadata.TOPIC:
        place = metadata.ReplicaPlace(tuple(range(1, cluster.replicas + 1)))
        topic = metadata.TopicMetadata(
            TOPIC,
            metadata.TopicSpec(metadata.ComputedReplicas(cluster.partitions)),
            metadata.TopicStatus(
                metadata.TopicResolution.PROVISIONED,
                tuple((number, place) for number in range(cluster.partitions)),
            ),
        )
        return admin.TopicList((topic,) * cluster.is_there)
    status = metadata.PartitionStatus(
        metadata.PartitionResolution.ONLINE, metadata.ReplicaStatus(1)
    )
    placed = metadata.PartitionSpec(1, tuple(range(1, cluster.replicas + 1)))
    listed = cluster.partitions - cluster.unlisted
    names = [f"{TOPIC}-{number}" for number in range(listed * cluster.is_there)]
    return admin.PartitionList(
        tuple(metadata.PartitionMetadata(name, placed, status) for name in names)
    )


async def _spu(peer: Peer, request: Request) -> None:
    cluster = peer.cluster
    cluster.requests.append(request)
    key = request.header.api_key
    if key == admin.API_VERSIONS.key:
        _greeting(peer, request, data.SPU_APIS)
    elif key == data.FETCH_OFFSETS.key:
        await cluster.on_offsets(peer, request)
    elif key == data.PRODUCE.key:
        await cluster.on_produce(peer, request)
    elif key == data.STREAM_FETCH.key:
        await cluster.on_stream(peer, request)
    elif key == data.UPDATE_OFFSETS.key:
        await cluster.on_update(peer, request)
