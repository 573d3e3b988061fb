"""Which of Fluvio's error codes says what went wrong here."""

from __future__ import annotations

from qd_fluvio.broker.errors import (
    CompressionRefused,
    DamagedRecords,
    DeduplicationNameInvalid,
    DeduplicationUnknown,
    InvalidModule,
    InvalidPackage,
    InvalidReplicas,
    InvalidTopicSettings,
    ModuleNotFound,
    OffsetBeyond,
    OffsetEvicted,
    PartitionBroken,
    ReplicasUnplaced,
    StorageFull,
    SystemTopic,
)
from qd_fluvio.broker.smartmodules.errors import ModuleFailed
from qd_fluvio.errors import (
    FluvioError,
    InvalidTopicName,
    LogError,
    RecordTooLarge,
    TopicDeleted,
    TopicExists,
    TopicNotFound,
)
from qd_fluvio.wire.failures import ErrorCode, Failure, other

_CODES: tuple[tuple[type[FluvioError], ErrorCode], ...] = (
    (TopicDeleted, ErrorCode.TOPIC_DELETED),
    (TopicNotFound, ErrorCode.TOPIC_NOT_FOUND),
    (TopicExists, ErrorCode.TOPIC_ALREADY_EXISTS),
    (InvalidTopicName, ErrorCode.TOPIC_INVALID_NAME),
    (InvalidPackage, ErrorCode.SMARTMODULE_ERROR),
    (InvalidReplicas, ErrorCode.TOPIC_ERROR),
    (ReplicasUnplaced, ErrorCode.TOPIC_NOT_PROVISIONED),
    (InvalidTopicSettings, ErrorCode.TOPIC_INVALID_CONFIGURATION),
    (DeduplicationUnknown, ErrorCode.DEDUPLICATION_NOT_LOADED),
    (CompressionRefused, ErrorCode.COMPRESSION_ERROR),
    (RecordTooLarge, ErrorCode.MESSAGE_TOO_LARGE),
    (PartitionBroken, ErrorCode.PARTITION_SHORT_CIRCUITED),
    (LogError, ErrorCode.STORAGE_ERROR),
)


def failure_of(error: FluvioError, *, topic: str = "", partition: int = 0) -> Failure:
    """The error field for `error`; errors without a code of their own keep their words."""
    if isinstance(error, ModuleFailed):
        return error.failure
    if isinstance(error, StorageFull):
        return Failure(ErrorCode.PARTITION_FULL, (topic, partition))
    if isinstance(error, OffsetEvicted):
        return Failure(ErrorCode.OFFSET_EVICTED, (error.offset, error.start_offset))
    if isinstance(error, OffsetBeyond):  # the words by which clients know it
        return other(f"start offset: {error.offset} is greater than leo: {error.end_offset}")
    if isinstance(error, DamagedRecords):
        return other(str(error))  # Fluvio has no code that says which offsets
    if isinstance(error, DeduplicationNameInvalid):
        return Failure(ErrorCode.DEDUPLICATION_NAME_INVALID, (str(error),))
    if isinstance(error, SystemTopic):
        return Failure(ErrorCode.SYSTEM_DELETE_ATTEMPT, ("topic", error.name))
    if isinstance(error, ModuleNotFound):
        return Failure(ErrorCode.SMARTMODULE_NOT_FOUND, (error.name,))
    if isinstance(error, InvalidModule):
        return Failure(ErrorCode.SMARTMODULE_INVALID, (error.reason, error.name))
    for kind, code in _CODES:
        if isinstance(error, kind):
            return Failure(code)
    return other(str(error))


def spu_failure_of(error: FluvioError, *, topic: str = "", partition: int = 0) -> Failure:
    """The error field as an SPU gives it, which knows the partitions it leads and no topics."""
    if isinstance(error, TopicNotFound):
        return Failure(ErrorCode.NOT_LEADER_FOR_PARTITION)
    return failure_of(error, topic=topic, partition=partition)
