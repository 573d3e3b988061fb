"""What a topic's spec asks of its partitions' logs, checked and with Fluvio's defaults.

Values and rules only: nothing here opens a file or a socket.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qd_fluvio.broker.errors import CompressionRefused, InvalidTopicSettings
from qd_fluvio.broker.settings import (
    BATCH_BYTES_MAX,
    DEDUPLICATION_RECORDS_MAX,
    PARTITION_BYTES_DEFAULT,
    PARTITION_BYTES_MIN,
    PARTITIONS_PER_TOPIC_MAX,
    RETENTION_S_DEFAULT,
    RETENTION_S_MIN,
    SEGMENT_BYTES_DEFAULT,
    SEGMENT_BYTES_FLUVIO,
    SEGMENT_BYTES_MIN,
)
from qd_fluvio.errors import RecordTooLarge
from qd_fluvio.wire import compression
from qd_fluvio.wire.compression import COMPRESSION_MASK
from qd_fluvio.wire.metadata import AssignedReplicas, Compression, Deduplication, TopicSpec
from qd_fluvio.wire.records import Batch

# A batch's codecs have other numbers than a topic's policies.
_ALLOWED = {
    Compression.ANY: frozenset(compression.Compression),
    Compression.NONE: frozenset({compression.Compression.NONE}),
    Compression.GZIP: frozenset({compression.Compression.GZIP}),
    Compression.SNAPPY: frozenset({compression.Compression.SNAPPY}),
    Compression.LZ4: frozenset({compression.Compression.LZ4}),
    Compression.ZSTD: frozenset({compression.Compression.ZSTD}),
}


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """What one partition's log does with its records.

    Attributes
    ----------
    segment_bytes : int
        A file ends before it would grow over this; no batch is larger.
    retention_s : int
        A file goes when its newest record is older.
    partition_bytes_max : int
        The oldest full files go while all together are larger.
    compression : Compression
        The only one that batches may have, or `ANY`.
    """

    segment_bytes: int = SEGMENT_BYTES_DEFAULT
    retention_s: int = RETENTION_S_DEFAULT
    partition_bytes_max: int = PARTITION_BYTES_DEFAULT
    compression: Compression = Compression.ANY

    def check(self, batches: Iterable[Batch]) -> None:
        """Refuse batches that the topic does not take.

        Raises
        ------
        CompressionRefused
            If the policy does not allow a batch's compression.
        RecordTooLarge
            If one batch is over the limit.
        """
        limit = min(BATCH_BYTES_MAX, self.segment_bytes)
        for batch in batches:
            code = batch.attributes & COMPRESSION_MASK
            if code not in _ALLOWED[self.compression]:
                names = " or ".join(sorted(kind.name for kind in _ALLOWED[self.compression]))
                raise CompressionRefused(
                    f"found a batch of compression {code}, but its topic takes {names} only: "
                    "change the producer's compression"
                )
            if batch.end - batch.start > limit:
                raise RecordTooLarge(
                    f"found a batch of {batch.end - batch.start} bytes, "
                    f"expected at most {limit}: send smaller records or batches"
                )


def partition_count(spec: TopicSpec) -> int:
    """How many partitions a topic of this spec has."""
    if isinstance(spec.replicas, AssignedReplicas):
        return len(spec.replicas.partitions)
    return spec.replicas.partitions


def policy_of(spec: TopicSpec) -> LogPolicy:
    """What the logs of a topic of this spec do; the spec was checked."""
    storage = spec.storage
    segment_bytes = storage.segment_bytes if storage else None
    partition_bytes = storage.partition_bytes_max if storage else None
    return LogPolicy(
        SEGMENT_BYTES_DEFAULT if segment_bytes is None else segment_bytes,
        RETENTION_S_DEFAULT if spec.cleanup is None else spec.cleanup.retention_s,
        PARTITION_BYTES_DEFAULT if partition_bytes is None else partition_bytes,
        Compression(spec.compression),
    )


def check_spec(spec: TopicSpec) -> None:
    """Refuse no partitions, too many, and limits that make no sense.

    Raises
    ------
    InvalidTopicSettings
        If the topic cannot be made.
    """
    count = partition_count(spec)
    if not 0 < count <= PARTITIONS_PER_TOPIC_MAX:
        raise InvalidTopicSettings(
            f"found {count} partitions, expected 1 to {PARTITIONS_PER_TOPIC_MAX}"
        )
    if spec.cleanup is not None and spec.cleanup.retention_s < RETENTION_S_MIN:
        raise InvalidTopicSettings(
            f"found a retention of {spec.cleanup.retention_s} s, expected {RETENTION_S_MIN} or more"
        )
    if spec.compression not in _ALLOWED:
        raise InvalidTopicSettings(
            f"found compression {spec.compression}, expected 0 to {max(_ALLOWED)}"
        )
    _check_sizes(spec)
    if spec.deduplication is not None:
        _check_bounds(spec.deduplication)


def _check_sizes(spec: TopicSpec) -> None:
    if spec.storage is None:
        return
    segment_bytes, partition_bytes = spec.storage.segment_bytes, spec.storage.partition_bytes_max
    if segment_bytes is not None and segment_bytes < SEGMENT_BYTES_MIN:
        raise InvalidTopicSettings(
            f"found segments of {segment_bytes} bytes, expected {SEGMENT_BYTES_MIN} or more"
        )
    least = max(
        PARTITION_BYTES_MIN, SEGMENT_BYTES_FLUVIO if segment_bytes is None else segment_bytes
    )
    if partition_bytes is not None and partition_bytes < least:
        raise InvalidTopicSettings(
            f"found partitions of {partition_bytes} bytes at most, expected {least} or more, "
            "the size of one segment"
        )


def _check_bounds(wanted: Deduplication) -> None:
    if not 0 < wanted.bounds.count <= DEDUPLICATION_RECORDS_MAX:
        raise InvalidTopicSettings(
            f"found {wanted.bounds.count} records to find duplicates among, "
            f"expected 1 to {DEDUPLICATION_RECORDS_MAX}"
        )
