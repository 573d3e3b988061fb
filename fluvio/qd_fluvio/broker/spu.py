"""The SPU's port: produce, fetch, streams, offsets, consumers' offsets.

One session a connection. Each call answers every part of a request by itself, with
Fluvio's own error codes; only bytes that are not the protocol end the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from qd_fluvio.broker.answers import failure_of, spu_failure_of
from qd_fluvio.broker.catalog import Catalog
from qd_fluvio.broker.connection import Connection
from qd_fluvio.broker.consumers import ConsumerOffsets
from qd_fluvio.broker.deduplication import is_native
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.settings import (
    REQUEST_ELEMENTS_MAX,
    STREAMS_PER_CONNECTION_MAX,
    Durability,
    Faults,
)
from qd_fluvio.broker.smartmodules.filters import TopicFilters
from qd_fluvio.broker.smartmodules.lookback import look_back
from qd_fluvio.broker.smartmodules.runner import ModuleRunner
from qd_fluvio.broker.smartmodules.transform import stored
from qd_fluvio.broker.stream import FetchStream, fetch_bytes, now_ms
from qd_fluvio.errors import FluvioError, TopicNotFound, WireError
from qd_fluvio.wire import data
from qd_fluvio.wire.admin import API_VERSIONS, ApiVersionsResponse, versions_of
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.failures import OK, ErrorCode, Failure, other
from qd_fluvio.wire.frames import Request, decode_request, encode_response

_SPU_VERSION = "0.0.0"  # what real SPUs say
_log = logging.getLogger("broker.spu")


class SpuSession:
    """What the SPU does for one client."""

    def __init__(
        self,
        connection: Connection,
        *,
        catalog: Catalog,
        consumers: ConsumerOffsets,
        runner: ModuleRunner,
        filters: TopicFilters,
        durability: Durability,
        faults: Faults,
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._consumers = consumers
        self._runner = runner
        self._filters = filters
        self._durability = durability
        self._faults = faults
        self._streams: dict[int, FetchStream] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._last_stream_id = 0
        self._handlers: dict[int, Callable[[Request], Awaitable[Any]]] = {
            API_VERSIONS.key: self._api_versions,
            data.PRODUCE.key: self._produce,
            data.FETCH.key: self._fetch,
            data.FETCH_OFFSETS.key: self._fetch_offsets,
            data.STREAM_FETCH.key: self._stream_fetch,
            data.UPDATE_OFFSETS.key: self._update_offsets,
            data.UPDATE_CONSUMER.key: self._update_consumer,
            data.DELETE_CONSUMER.key: self._delete_consumer,
            data.FETCH_CONSUMERS.key: self._fetch_consumers,
        }

    async def handle(self, payload: bytearray) -> None:
        """Answer one request."""
        request = decode_request(payload, data.SPU_APIS, elements_max=REQUEST_ELEMENTS_MAX)
        answer = await self._handlers[request.header.api_key](request)
        if answer is not None:
            header = request.header
            await self._connection.send(
                encode_response(header.correlation_id, answer, header.api_version)
            )

    def close(self) -> None:
        """End the connection's streams."""
        for task in self._tasks.values():
            task.cancel()

    async def _api_versions(self, request: Request) -> ApiVersionsResponse:
        return ApiVersionsResponse(OK, versions_of(data.SPU_APIS), _SPU_VERSION)

    async def _produce(self, request: Request) -> data.ProduceResponse:
        body: data.ProduceRequest = request.body
        written: set[PartitionLog] = set()
        topics = tuple(
            [await self._produce_topic(topic, request, written) for topic in body.topics]
        )
        if self._durability is Durability.POWER:
            try:
                await asyncio.gather(*(log.sync() for log in written))
            except FluvioError as error:
                _log.error("%s", error)
                topics = tuple(_unsure(topic, failure_of(error)) for topic in topics)
        return data.ProduceResponse(topics)

    async def _produce_topic(
        self, topic: data.ProduceTopic, request: Request, written: set[PartitionLog]
    ) -> data.ProducedTopic:
        results = [
            await self._append(topic.name, item, request, written) for item in topic.partitions
        ]
        return data.ProducedTopic(topic.name, tuple(results))

    async def _append(
        self,
        topic: str,
        item: data.ProducePartition,
        request: Request,
        written: set[PartitionLog],
    ) -> data.ProducedPartition:
        records = memoryview(item.records)
        if item is not request.body.topics[0].partitions[0]:
            await asyncio.sleep(0)  # a request of many parts must not hold up the others
        try:
            log = self._catalog.log(topic, item.partition)
            if request.body.smartmodules:
                records = await self._transformed(records, log, request)
                if not records:
                    return data.ProducedPartition(item.partition)  # as real SPUs say it
                log = self._catalog.log(topic, item.partition)  # it may be gone by now
            base_offset = await self._write(topic, log, records)
        except FluvioError as error:
            _log.warning("refusing batches for %s-%d: %s", topic, item.partition, error)
            failure = spu_failure_of(error, topic=topic, partition=item.partition)
            return data.ProducedPartition(item.partition, failure)
        written.add(log)
        return data.ProducedPartition(item.partition, base_offset=base_offset)

    async def _write(self, topic: str, log: PartitionLog, records: memoryview) -> int:
        found = self._catalog.find(topic)
        wanted = None if found is None else found.spec.deduplication
        if wanted is None or is_native(wanted):
            return await log.write(records)
        return await self._filters.append(log, wanted, records)

    async def _transformed(
        self, records: memoryview, log: PartitionLog, request: Request
    ) -> memoryview:
        """What a producer's SmartModules make of its batches."""
        chain = await self._runner.open(request.body.smartmodules, request.header.api_version)
        try:
            await look_back(chain, log, now_ms)
            return memoryview(await chain.run(partial(stored, data=records)))
        finally:
            chain.close()

    async def _fetch(self, request: Request) -> data.FetchResponse:
        body: data.FetchRequest = request.body
        left = fetch_bytes(body.max_bytes, self._connection.fetch_bytes_max)
        topics = []
        for topic in body.topics:
            partitions = []
            for item in topic.partitions:
                partitions.append(await self._read(topic.name, item, body, left))
                left -= len(partitions[-1].records)
                await asyncio.sleep(0)  # the others' turn
            topics.append(data.FetchedTopic(topic.name, tuple(partitions)))
        return data.FetchResponse(0, OK, 0, tuple(topics))

    async def _read(
        self, topic: str, item: data.FetchPartition, request: data.FetchRequest, max_bytes: int
    ) -> data.FetchedPartition:
        committed = request.isolation == data.READ_COMMITTED
        records: Buffer = b""
        try:
            log = self._catalog.log(topic, item.partition)
            log.check_offset(item.fetch_offset)
            if max_bytes > 0:  # all partitions of a request share what it allows
                await log.prepare(item.fetch_offset)
                cut = self._faults.cut_batches
                records = log.read(
                    item.fetch_offset, max_bytes, cut=cut, committed=committed
                ).records
        except FluvioError as error:
            return data.FetchedPartition(item.partition, spu_failure_of(error, topic=topic))
        return data.FetchedPartition(
            item.partition,
            high_watermark=log.committed_offset,
            log_start_offset=log.start_offset,
            records=records,
        )

    async def _fetch_offsets(self, request: Request) -> data.FetchOffsetsResponse:
        body: data.FetchOffsetsRequest = request.body
        return data.FetchOffsetsResponse(
            tuple(
                data.TopicOffsets(
                    topic.name, tuple(self._ends(topic.name, number) for number in topic.partitions)
                )
                for topic in body.topics
            )
        )

    def _ends(self, topic: str, partition: int) -> data.PartitionOffsets:
        try:
            log = self._catalog.log(topic, partition)
        except TopicNotFound:
            return data.PartitionOffsets(Failure(ErrorCode.PARTITION_NOT_LEADER), partition)
        return data.PartitionOffsets(OK, partition, log.start_offset, log.committed_offset)

    async def _stream_fetch(self, request: Request) -> data.StreamFetchResponse | None:
        body: data.StreamFetchRequest = request.body
        try:
            log = self._catalog.log(body.topic, body.partition)
        except FluvioError as error:
            return _refused(body, spu_failure_of(error))
        if len(self._streams) >= STREAMS_PER_CONNECTION_MAX:
            self._drop_stream()
        self._start(request, log)
        return None

    def _start(self, request: Request, log: PartitionLog) -> None:
        self._last_stream_id += 1
        stream_id = self._last_stream_id
        stream = FetchStream(
            self._connection,
            request.header,
            request.body,
            stream_id=stream_id,
            log=log,
            runner=self._runner,
            cut=self._faults.cut_batches,
        )
        run = stream.run(request.body.smartmodules)
        task = asyncio.get_running_loop().create_task(run)
        self._streams[stream_id] = stream
        self._tasks[stream_id] = task
        task.add_done_callback(lambda done: self._ended(stream_id, done))

    def _ended(self, stream_id: int, task: asyncio.Task[None]) -> None:
        self._streams.pop(stream_id, None)
        self._tasks.pop(stream_id, None)
        if not task.cancelled() and (error := task.exception()):
            _log.error("a stream of %s ended by a defect", self._connection.peer, exc_info=error)
            self._connection.abort()

    def _drop_stream(self) -> None:
        """End the stream whose client has likely gone: the oldest that was not answered.

        Clients do not say when they stop reading a stream.
        """
        idle = [number for number, stream in self._streams.items() if not stream.is_sending]
        if not idle:
            raise WireError(
                f"found more than {STREAMS_PER_CONNECTION_MAX} streams on one connection, whose "
                "answers all wait for the client"
            )
        stale = (number for number in idle if self._streams[number].awaiting_client)
        stream_id = next(stale, idle[0])
        _log.info("ending stream %d of %s: too many", stream_id, self._connection.peer)
        del self._streams[stream_id]
        self._tasks[stream_id].cancel()

    async def _update_offsets(self, request: Request) -> data.UpdateOffsetsResponse:
        body: data.UpdateOffsetsRequest = request.body
        return data.UpdateOffsetsResponse(tuple(self._update(item) for item in body.offsets))

    def _update(self, item: data.OffsetUpdate) -> data.OffsetUpdated:
        stream = self._streams.get(item.stream_id)
        if stream is None:
            return data.OffsetUpdated(item.stream_id, _NO_STREAM)
        stream.update(item.offset)
        return data.OffsetUpdated(item.stream_id)

    async def _update_consumer(self, request: Request) -> data.UpdateConsumerResponse:
        body: data.UpdateConsumerRequest = request.body
        stream = self._streams.get(body.stream_id)
        if stream is None or stream.is_over:  # the offset would be another topic's of this name
            return data.UpdateConsumerResponse(0, _NO_STREAM)
        consumer_id = stream.request.consumer_id
        if consumer_id is None:
            return data.UpdateConsumerResponse(0, other("stream without consumer id"))
        try:
            self._consumers.commit(
                stream.request.topic, stream.request.partition, consumer_id, body.offset
            )
            await self._keep_consumers()
        except FluvioError as error:
            return data.UpdateConsumerResponse(0, failure_of(error))
        return data.UpdateConsumerResponse(body.offset)

    async def _delete_consumer(self, request: Request) -> data.DeleteConsumerResponse:
        body: data.DeleteConsumerRequest = request.body
        try:
            self._consumers.delete(body.replica.topic, body.replica.partition, body.consumer_id)
            await self._keep_consumers()
        except FluvioError as error:
            return data.DeleteConsumerResponse(failure_of(error))
        return data.DeleteConsumerResponse()

    async def _keep_consumers(self) -> None:
        if self._durability is Durability.POWER:
            await self._consumers.sync()

    async def _fetch_consumers(self, request: Request) -> data.FetchConsumersResponse:
        body: data.FetchConsumersRequest = request.body
        return data.FetchConsumersResponse(OK, self._consumers.find(body.filter))


_NO_STREAM = Failure(ErrorCode.FETCH_SESSION_NOT_FOUND)


def _unsure(topic: data.ProducedTopic, failure: Failure) -> data.ProducedTopic:
    """The same answer, without a promise: what was written may not be on the disk."""
    return data.ProducedTopic(
        topic.name,
        tuple(data.ProducedPartition(item.partition, failure) for item in topic.partitions),
    )


def _refused(request: data.StreamFetchRequest, failure: Failure) -> data.StreamFetchResponse:
    return data.StreamFetchResponse(
        request.topic, 0, data.FetchedPartition(request.partition, failure)
    )
