"""Topics and partitions as services see them, from and to the wire's layouts.

Pure: values in, values out.
"""

from __future__ import annotations

from qd_fluvio.api import Compression, Deduplication, PartitionInfo, TopicInfo, TopicSettings
from qd_fluvio.wire import metadata


def topic_spec(settings: TopicSettings) -> metadata.TopicSpec:
    """What the SC is asked for."""
    cleanup = settings.retention_s and metadata.SegmentCleanup(settings.retention_s)
    sizes = settings.segment_bytes, settings.max_partition_bytes
    return metadata.TopicSpec(
        replicas=metadata.ComputedReplicas(
            settings.partitions, settings.replication, ignore_rack=True
        ),
        cleanup=cleanup or None,
        storage=metadata.Storage(*sizes) if any(sizes) else None,
        compression=metadata.Compression[settings.compression.name],
        deduplication=_deduplication(settings.deduplication),
    )


def _deduplication(wanted: Deduplication | None) -> metadata.Deduplication | None:
    if wanted is None:
        return None
    age = None if wanted.age_s is None else metadata.Duration(wanted.age_s, 0)
    return metadata.Deduplication(
        metadata.DeduplicationBounds(wanted.count, age),
        metadata.DeduplicationTransform(wanted.filter),
    )


def topic_info(topic: metadata.TopicMetadata) -> TopicInfo:
    """What the SC says about a topic."""
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
        compression=Compression[metadata.Compression(spec.compression).name],
        deduplication=_deduplication_info(spec.deduplication),
    )


def _deduplication_info(found: metadata.Deduplication | None) -> Deduplication | None:
    if found is None:
        return None
    age = found.bounds.age
    return Deduplication(found.bounds.count, age.seconds if age else None, found.transform.uses)


def partition_info(
    partition: metadata.PartitionMetadata, bounds: tuple[int, int] | None
) -> PartitionInfo:
    """What the SC says about a partition, with the bounds its leader told, if it did.

    The SC learns offsets now and then, so its own are some seconds old.
    """
    topic, _, number = partition.name.rpartition("-")
    start, end = bounds or (partition.status.base_offset, partition.status.leader.end_offset)
    return PartitionInfo(
        topic=topic,
        partition=int(number),
        leader=partition.spec.leader,
        replicas=partition.spec.replicas,
        start_offset=max(start, 0),
        end_offset=max(end, 0),
        size_bytes=max(partition.status.size_bytes, -1),  # -2 is an SPU's failure to tell
    )
