"""A broker process and a raw connection to it, for tests of the protocol itself."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from qd_fluvio.wire import admin, data
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.failures import Failure
from qd_fluvio.wire.frames import Api, decode_response, encode_request
from qd_fluvio.wire.metadata import TOPIC, ComputedReplicas, Storage, TopicSpec
from qd_fluvio.wire.records import decode_records, encode_batch, iter_batches

Q = TypeVar("Q")
R = TypeVar("R")
VERSION = {data.UPDATE_OFFSETS.key: 0, admin.API_VERSIONS.key: 2}
SC_VERSION, SPU_VERSION = 19, 24
ANSWER_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Ports:
    """Where a broker process listens, and its log."""

    sc: str
    spu: str
    log: Path


class WireClient:
    """One connection that speaks whatever a test tells it to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._correlation_id = 0
        self._apis: dict[int, tuple[Api[Any, Any], int]] = {}
        self._answers: defaultdict[int, deque[Any]] = defaultdict(deque)

    def pause(self) -> None:
        """Take nothing that the broker sends, until `resume`."""
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    def resume(self) -> None:
        """Take what the broker sends."""
        cast(asyncio.Transport, self.writer.transport).resume_reading()

    def send(self, api: Api[Q, R], body: Q, version: int | None = None) -> int:
        """Send one request; gives its correlation id."""
        self._correlation_id += 1
        if version is None:
            default = SC_VERSION if api.key in admin.SC_APIS and api.response else SPU_VERSION
            default = SPU_VERSION if api is data.SPU_APIS.get(api.key) else default
            version = VERSION.get(api.key, default)
        self._apis[self._correlation_id] = (api, version)
        self.writer.write(
            encode_request(
                api, body, version=version, correlation_id=self._correlation_id, client_id="test"
            )
        )
        return self._correlation_id

    async def answer(self, correlation_id: int) -> Any:
        """The next answer to that request."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while not self._answers[correlation_id]:
                (length,) = struct.unpack(">i", await self.reader.readexactly(4))
                payload = await self.reader.readexactly(length)
                (found,) = struct.unpack_from(">i", payload)
                api, version = self._apis[found]
                self._answers[found].append(decode_response(payload, api, version)[1])
        return self._answers[correlation_id].popleft()

    async def call(self, api: Api[Q, R], body: Q) -> R:
        """Send one request and wait for its answer."""
        answer: R = await self.answer(self.send(api, body))
        return answer

    async def closed(self) -> bytes:
        """Wait until the broker closes the connection; gives what still came."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await self.reader.read(-1)

    # Short forms of common calls.

    async def create(
        self, name: str, partitions: int = 1, *, segment_bytes: int | None = None
    ) -> admin.StatusResponse:
        storage = None if segment_bytes is None else Storage(segment_bytes)
        spec = TopicSpec(ComputedReplicas(partitions), storage=storage)
        return await self.create_spec(name, spec)

    async def create_spec(self, name: str, spec: TopicSpec) -> admin.StatusResponse:
        wanted = admin.CreateTopic(name, False, None, spec)
        return await self.call(admin.CREATE, admin.CreateRequest(Labelled(TOPIC, wanted)))

    async def delete(self, name: str) -> admin.StatusResponse:
        wanted = Labelled(TOPIC, admin.DeleteByName(name))
        return await self.call(admin.DELETE, admin.DeleteRequest(wanted))

    async def objects(self, label: str, *names: str, system: bool = False) -> Any:
        wanted = admin.ListObjects(names, system=system)
        answer = await self.call(admin.LIST, admin.ListRequest(Labelled(label, wanted)))
        return answer.object.body

    async def produce(
        self, topic: str, *batches: bytes, partition: int = 0
    ) -> list[data.ProducedPartition]:
        items = tuple(data.ProducePartition(partition, batch) for batch in batches)
        request = data.ProduceRequest(None, 1, 1_500, (data.ProduceTopic(topic, items),))
        answer = await self.call(data.PRODUCE, request)
        return list(answer.topics[0].partitions)

    async def ends(self, topic: str, partition: int = 0) -> data.PartitionOffsets:
        request = data.FetchOffsetsRequest((data.OffsetsTopic(topic, (partition,)),))
        answer = await self.call(data.FETCH_OFFSETS, request)
        return answer.topics[0].partitions[0]

    def stream(
        self, topic: str, offset: int, *, max_bytes: int = 1_000_000, consumer: str | None = None
    ) -> int:
        """Start a stream fetch; gives its correlation id."""
        request = data.StreamFetchRequest(topic, 0, offset, max_bytes, consumer_id=consumer)
        return self.send(data.STREAM_FETCH, request)

    async def acknowledge(self, stream_id: int, offset: int) -> Failure:
        update = data.UpdateOffsetsRequest((data.OffsetUpdate(offset, stream_id),))
        answer = await self.call(data.UPDATE_OFFSETS, update)
        return answer.offsets[0].error


@asynccontextmanager
async def connected(
    address: str, context: ssl.SSLContext | None = None
) -> AsyncIterator[WireClient]:
    """A connection to ``host:port`` while the block runs."""
    host, _, port = address.rpartition(":")
    name = "localhost" if context else None
    reader, writer = await asyncio.open_connection(
        host, int(port), limit=1 << 26, ssl=context, server_hostname=name
    )
    try:
        yield WireClient(reader, writer)
    finally:
        writer.transport.abort()


def batch_of(*values: bytes, key: bytes | None = None) -> bytes:
    """One batch with these values."""
    return encode_batch([(key, value) for value in values], timestamp_ms=1_700_000_000_000)


def values_in(records: Any) -> list[bytes]:
    """The values of all whole batches."""
    return [item.value for item in opened(records)]


def opened(records: Any) -> list[Any]:
    """The records of all whole batches."""
    return [record for batch in iter_batches(records) for record in decode_records(records, batch)]
