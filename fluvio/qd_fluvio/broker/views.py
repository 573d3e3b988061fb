"""Topics, partitions and the one SPU as the SC shows them to clients.

Pure: from the broker's objects to wire messages.
"""

from __future__ import annotations

from qd_fluvio.broker.catalog import SYSTEM_TOPIC, Topic
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.settings import SPU_ID, SPU_NAME
from qd_fluvio.wire.metadata import (
    ComputedReplicas,
    CustomSpuMetadata,
    CustomSpuSpec,
    Ingress,
    IngressAddress,
    PartitionMetadata,
    PartitionResolution,
    PartitionSpec,
    PartitionStatus,
    ReplicaPlace,
    ReplicaStatus,
    SpuEndpoint,
    SpuMetadata,
    SpuSpec,
    SpuStatus,
    TopicMetadata,
    TopicResolution,
    TopicSpec,
    TopicStatus,
)

_PLAIN, _TLS = 0, 1  # how an endpoint is encrypted
_CUSTOM = 1  # an SPU that was registered by hand
_SYSTEM_SPEC = TopicSpec(ComputedReplicas(1), system=True)


def topic_view(name: str, spec: TopicSpec, partitions: int) -> TopicMetadata:
    """One topic, ready for use."""
    place = ReplicaPlace((SPU_ID,))
    replica_map = tuple((number, place) for number in range(partitions))
    return TopicMetadata(name, spec, TopicStatus(TopicResolution.PROVISIONED, replica_map))


def partition_view(
    name: str, spec: TopicSpec, number: int, log: PartitionLog | None
) -> PartitionMetadata:
    """One partition, led by the one SPU."""
    end = log.end_offset if log else 0
    return PartitionMetadata(
        f"{name}-{number}",
        PartitionSpec(
            SPU_ID,
            (SPU_ID,),
            spec.cleanup,
            spec.storage,
            spec.compression,
            spec.deduplication,
            spec.system,
        ),
        PartitionStatus(
            PartitionResolution.ONLINE,
            ReplicaStatus(SPU_ID, end, end),
            size_bytes=log.size_bytes if log else 0,
            base_offset=log.start_offset if log else 0,
        ),
    )


def topic_views(topics: list[Topic]) -> tuple[TopicMetadata, ...]:
    """All topics, and the system's own, which clients look for before they commit offsets.

    So that the list is never empty: a client takes an empty one for none and waits.
    """
    own = topic_view(SYSTEM_TOPIC, _SYSTEM_SPEC, 1)
    return (own, *(topic_view(topic.name, topic.spec, len(topic.logs)) for topic in topics))


def partition_views(topics: list[Topic]) -> tuple[PartitionMetadata, ...]:
    """All partitions of all topics, and the system's own."""
    own = partition_view(SYSTEM_TOPIC, _SYSTEM_SPEC, 0, None)
    return (own, *(view for topic in topics for view in partitions_of(topic)))


def partitions_of(topic: Topic) -> tuple[PartitionMetadata, ...]:
    """The partitions of one topic."""
    return tuple(
        partition_view(topic.name, topic.spec, number, log) for number, log in enumerate(topic.logs)
    )


def spu_view(host: str, port: int, *, tls: bool) -> SpuMetadata:
    """The one SPU and where clients reach it."""
    encryption = _TLS if tls else _PLAIN
    return SpuMetadata(
        SPU_NAME,
        SpuSpec(
            SPU_ID,
            _CUSTOM,
            Ingress(port, (IngressAddress(hostname=host),), encryption),
            SpuEndpoint(port, host, encryption),
        ),
        SpuStatus(),
    )


def custom_spu_view(spu: SpuMetadata) -> CustomSpuMetadata:
    """The one SPU as one that was registered by hand."""
    spec = spu.spec
    return CustomSpuMetadata(
        spu.name,
        CustomSpuSpec(spec.spu_id, spec.public, spec.private, spec.rack, spec.public_local),
        spu.status,
    )
