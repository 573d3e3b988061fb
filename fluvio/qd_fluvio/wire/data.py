"""The SPU's calls: produce, fetch, stream fetch, offsets, consumers' offsets.

Records stay bytes here (see `records` for what is inside them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from qd_fluvio.wire.admin import API_VERSIONS
from qd_fluvio.wire.codec import (
    I16,
    I32,
    I64,
    U8,
    U32,
    U64,
    Bytes,
    Since,
    Str,
)
from qd_fluvio.wire.failures import OK, Error
from qd_fluvio.wire.frames import Api
from qd_fluvio.wire.smartmodules import Invocation

# The isolation of a fetch: only records that survive what the cluster promises, or all.
READ_UNCOMMITTED = 0
READ_COMMITTED = 1


@dataclass(frozen=True, slots=True)
class ProducePartition:
    """Batches for one partition."""

    partition: U32
    records: Bytes


@dataclass(frozen=True, slots=True)
class ProduceTopic:
    """Batches for one topic; a partition may come more than once."""

    name: Str
    partitions: tuple[ProducePartition, ...]


@dataclass(frozen=True, slots=True)
class ProduceRequest:
    """Append batches. `acks` is -1 for committed, 1 for written."""

    transactional_id: Annotated[Str | None, Since(3)]
    acks: I16
    timeout_ms: I32
    topics: tuple[ProduceTopic, ...]
    smartmodules: tuple[Invocation, ...] = ()


@dataclass(frozen=True, slots=True)
class ProducedPartition:
    """Where one partition's batches went."""

    partition: U32
    error: Error = OK
    base_offset: I64 = 0
    log_append_time_ms: Annotated[I64, Since(2)] = 0
    log_start_offset: Annotated[I64, Since(5)] = 0


@dataclass(frozen=True, slots=True)
class ProducedTopic:
    """Where one topic's batches went."""

    name: Str
    partitions: tuple[ProducedPartition, ...]


@dataclass(frozen=True, slots=True)
class ProduceResponse:
    """Where all batches went, in the request's order."""

    topics: tuple[ProducedTopic, ...]
    throttle_ms: Annotated[I32, Since(1)] = 0


@dataclass(frozen=True, slots=True)
class FetchPartition:
    """From where to read one partition."""

    partition: U32
    leader_epoch: Annotated[I32, Since(9)]
    fetch_offset: I64
    log_start_offset: Annotated[I64, Since(5)]
    max_bytes: I32


@dataclass(frozen=True, slots=True)
class FetchTopic:
    """From where to read one topic."""

    name: Str
    partitions: tuple[FetchPartition, ...]


@dataclass(frozen=True, slots=True)
class ForgottenTopic:
    """What an incremental fetch leaves out."""

    name: Str
    partitions: tuple[I32, ...]


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Read once."""

    max_wait_ms: I32
    min_bytes: I32
    max_bytes: Annotated[I32, Since(3)]
    isolation: Annotated[U8, Since(4)]
    topics: tuple[FetchTopic, ...]
    forgotten: Annotated[tuple[ForgottenTopic, ...], Since(7)] = ()


@dataclass(frozen=True, slots=True)
class AbortedTransaction:
    """A transaction whose records do not count."""

    producer_id: I64
    first_offset: I64


@dataclass(frozen=True, slots=True)
class FetchedPartition:
    """Batches of one partition, the first of which may begin before the asked offset."""

    partition: U32
    error: Error = OK
    high_watermark: I64 = 0
    next_filter_offset: Annotated[I64, Since(11)] = 0
    log_start_offset: I64 = 0
    aborted: tuple[AbortedTransaction, ...] | None = None
    records: Bytes = b""


@dataclass(frozen=True, slots=True)
class FetchedTopic:
    """Batches of one topic."""

    name: Str
    partitions: tuple[FetchedPartition, ...]


@dataclass(frozen=True, slots=True)
class FetchResponse:
    """Batches."""

    throttle_ms: I32
    error: Error
    session_id: I32
    topics: tuple[FetchedTopic, ...]


@dataclass(frozen=True, slots=True)
class StreamFetchRequest:
    """Read one partition from an offset, and go on as records come."""

    topic: Str
    partition: U32
    fetch_offset: I64
    max_bytes: I32
    isolation: U8 = READ_UNCOMMITTED
    smartmodules: tuple[Invocation, ...] = ()
    consumer_id: Annotated[Str | None, Since(23)] = None


@dataclass(frozen=True, slots=True)
class StreamFetchResponse:
    """One portion of a stream. The client then says by UpdateOffsets how far it is."""

    topic: Str
    stream_id: U32
    partition: FetchedPartition


@dataclass(frozen=True, slots=True)
class OffsetsTopic:
    """Partitions whose ends are asked."""

    name: Str
    partitions: tuple[U32, ...]


@dataclass(frozen=True, slots=True)
class FetchOffsetsRequest:
    """Ask where partitions begin and end."""

    topics: tuple[OffsetsTopic, ...]


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """Where one partition begins, and the next offset to be written."""

    error: Error
    partition: U32
    start_offset: I64 = 0
    end_offset: I64 = 0


@dataclass(frozen=True, slots=True)
class TopicOffsets:
    """Where one topic's partitions begin and end."""

    name: Str
    partitions: tuple[PartitionOffsets, ...]


@dataclass(frozen=True, slots=True)
class FetchOffsetsResponse:
    """Where partitions begin and end."""

    topics: tuple[TopicOffsets, ...]


@dataclass(frozen=True, slots=True)
class OffsetUpdate:
    """The next offset that one stream's client wants."""

    offset: I64
    stream_id: U32


@dataclass(frozen=True, slots=True)
class UpdateOffsetsRequest:
    """Say how far streams were read; the server may then send more."""

    offsets: tuple[OffsetUpdate, ...]


@dataclass(frozen=True, slots=True)
class OffsetUpdated:
    """Whether the stream is known."""

    stream_id: U32
    error: Error = OK


@dataclass(frozen=True, slots=True)
class UpdateOffsetsResponse:
    """Whether the streams are known."""

    offsets: tuple[OffsetUpdated, ...]


@dataclass(frozen=True, slots=True)
class UpdateConsumerRequest:
    """Commit the last offset that a stream's named consumer has read."""

    offset: I64
    stream_id: U32


@dataclass(frozen=True, slots=True)
class UpdateConsumerResponse:
    """The offset that is now committed."""

    offset: I64
    error: Error = OK


@dataclass(frozen=True, slots=True)
class ReplicaKey:
    """A partition of a topic."""

    topic: Str
    partition: U32


@dataclass(frozen=True, slots=True)
class DeleteConsumerRequest:
    """Forget a consumer's offset."""

    replica: ReplicaKey
    consumer_id: Str


@dataclass(frozen=True, slots=True)
class DeleteConsumerResponse:
    """How that went."""

    error: Error = OK


@dataclass(frozen=True, slots=True)
class ConsumerFilter:
    """Which consumers; None is any."""

    replica: ReplicaKey | None = None
    consumer_id: Str | None = None


@dataclass(frozen=True, slots=True)
class FetchConsumersRequest:
    """Ask for committed offsets."""

    filter: Annotated[ConsumerFilter | None, Since(24)] = None


@dataclass(frozen=True, slots=True)
class ConsumerOffset:
    """The last offset that a consumer has read of a partition."""

    consumer_id: Str
    replica: ReplicaKey
    offset: I64
    modified_time_s: U64


@dataclass(frozen=True, slots=True)
class FetchConsumersResponse:
    """Committed offsets."""

    error: Error
    consumers: tuple[ConsumerOffset, ...] = ()


PRODUCE = Api("Produce", 0, 18, 25, ProduceRequest, ProduceResponse)
FETCH = Api("Fetch", 1, 18, 25, FetchRequest, FetchResponse)
FETCH_OFFSETS = Api("FetchOffsets", 1002, 24, 25, FetchOffsetsRequest, FetchOffsetsResponse)
STREAM_FETCH = Api("StreamFetch", 1003, 19, 25, StreamFetchRequest, StreamFetchResponse)
UPDATE_OFFSETS = Api("UpdateOffsets", 1005, 0, 0, UpdateOffsetsRequest, UpdateOffsetsResponse)
UPDATE_CONSUMER = Api(
    "UpdateConsumerOffset", 1006, 23, 25, UpdateConsumerRequest, UpdateConsumerResponse
)
DELETE_CONSUMER = Api(
    "DeleteConsumerOffset", 1007, 23, 25, DeleteConsumerRequest, DeleteConsumerResponse
)
FETCH_CONSUMERS = Api(
    "FetchConsumerOffsets", 1008, 24, 25, FetchConsumersRequest, FetchConsumersResponse
)

SPU_APIS: dict[int, Api[Any, Any]] = {
    api.key: api
    for api in (
        API_VERSIONS,
        PRODUCE,
        FETCH,
        FETCH_OFFSETS,
        STREAM_FETCH,
        UPDATE_OFFSETS,
        UPDATE_CONSUMER,
        DELETE_CONSUMER,
        FETCH_CONSUMERS,
    )
}
