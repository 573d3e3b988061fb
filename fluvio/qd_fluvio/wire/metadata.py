"""What a cluster says about itself: topics, partitions, SPUs; specs and states.

Layouts only. The SC sends them in lists and watches; a topic's spec also comes in the
request that creates it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from qd_fluvio.wire.codec import (
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
    PairsCodec,
    Since,
    Str,
    Tagged,
)

TOPIC = "Topic"
PARTITION = "Partition"
SPU = "SPU"
CUSTOM_SPU = "CustomSpu"
SPU_GROUP = "SpuGroup"
TABLE_FORMAT = "TableFormat"
MIRROR = "Mirror"


class Compression(IntEnum):
    """How a topic's batches may be compressed."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ANY = 4
    ZSTD = 5


class TopicResolution(IntEnum):
    """A topic's life."""

    INIT = 0
    PENDING = 1
    INSUFFICIENT_RESOURCES = 2
    INVALID_CONFIG = 3
    PROVISIONED = 4
    DELETING = 5


class PartitionResolution(IntEnum):
    """A partition's life."""

    OFFLINE = 0
    ONLINE = 1


@dataclass(frozen=True, slots=True)
class RemoteMirror:
    """A partition that mirrors another cluster's."""

    home_cluster: Str
    home_spu_key: Str
    home_spu_id: I32
    home_spu_endpoint: Str
    target: Annotated[Bool, Since(18)] = False


@dataclass(frozen=True, slots=True)
class HomeMirror:
    """A partition that another cluster mirrors."""

    remote_cluster: Str
    remote_replica: Str
    source: Annotated[Bool, Since(18)] = False


PartitionMirror = Annotated[RemoteMirror | HomeMirror, Tagged({0: RemoteMirror, 1: HomeMirror})]


@dataclass(frozen=True, slots=True)
class AssignedPartition:
    """One partition placed by hand."""

    partition: U32
    replicas: tuple[I32, ...]
    mirror: Annotated[PartitionMirror | None, Since(14)] = None


@dataclass(frozen=True, slots=True)
class AssignedReplicas:
    """Partitions placed by hand."""

    partitions: tuple[AssignedPartition, ...]


@dataclass(frozen=True, slots=True)
class ComputedReplicas:
    """Partitions that the cluster places."""

    partitions: U32
    replication_factor: U32 = 1
    ignore_rack: Bool = False


Replicas = Annotated[
    AssignedReplicas | ComputedReplicas, Tagged({0: AssignedReplicas, 1: ComputedReplicas})
]


@dataclass(frozen=True, slots=True)
class SegmentCleanup:
    """Whole segments are deleted when older than this."""

    retention_s: U32


Cleanup = Annotated[SegmentCleanup, Tagged({0: SegmentCleanup})]


@dataclass(frozen=True, slots=True)
class Storage:
    """Sizes of a topic's files."""

    segment_bytes: U32 | None = None
    partition_bytes_max: U64 | None = None


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds and nanoseconds."""

    seconds: U64
    nanoseconds: U32


@dataclass(frozen=True, slots=True)
class DeduplicationBounds:
    """How far back duplicates are looked for."""

    count: U64
    age: Duration | None = None


@dataclass(frozen=True, slots=True)
class DeduplicationTransform:
    """The SmartModule that finds duplicates."""

    uses: Str
    parameters: Annotated[tuple[tuple[str, str], ...], PairsCodec(Str, Str)] = ()


@dataclass(frozen=True, slots=True)
class Deduplication:
    """How a topic drops duplicates."""

    bounds: DeduplicationBounds
    transform: DeduplicationTransform


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic shall be."""

    replicas: Replicas
    cleanup: Annotated[Cleanup | None, Since(3)] = None
    storage: Annotated[Storage | None, Since(4)] = None
    compression: Annotated[U8, Since(6)] = Compression.ANY
    deduplication: Annotated[Deduplication | None, Since(12)] = None
    system: Annotated[Bool, Since(13)] = False


@dataclass(frozen=True, slots=True)
class ReplicaPlace:
    """The SPUs of one partition."""

    spus: tuple[I32, ...]


@dataclass(frozen=True, slots=True)
class TopicStatus:
    """What a topic is."""

    resolution: U8
    replica_map: Annotated[tuple[tuple[int, ReplicaPlace], ...], PairsCodec(U32, ReplicaPlace)]
    mirror_map: Annotated[
        tuple[tuple[int, RemoteMirror | HomeMirror], ...],
        PairsCodec(U32, PartitionMirror),
        Since(14),
    ] = ()
    reason: Str = ""


@dataclass(frozen=True, slots=True)
class TopicMetadata:
    """A topic by its name."""

    name: Str
    spec: TopicSpec
    status: TopicStatus


@dataclass(frozen=True, slots=True)
class PartitionSpec:
    """What a partition shall be; most of it is its topic's."""

    leader: I32
    replicas: tuple[I32, ...]
    cleanup: Annotated[Cleanup | None, Since(4)] = None
    storage: Annotated[Storage | None, Since(4)] = None
    compression: Annotated[U8, Since(6)] = Compression.ANY
    deduplication: Annotated[Deduplication | None, Since(12)] = None
    system: Annotated[Bool, Since(13)] = False
    mirror: Annotated[PartitionMirror | None, Since(14)] = None


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """How far one replica is; -1 is unknown."""

    spu: I32 = -1
    high_watermark: I64 = -1
    end_offset: I64 = -1


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """What a partition is."""

    resolution: U8
    leader: ReplicaStatus
    live_replicas: U32 = 0
    replicas: tuple[ReplicaStatus, ...] = ()
    size_bytes: Annotated[I64, Since(5)] = 0
    being_deleted: Bool = False
    base_offset: Annotated[I64, Since(16)] = 0


@dataclass(frozen=True, slots=True)
class PartitionMetadata:
    """A partition by its name, which is `topic-number`."""

    name: Str
    spec: PartitionSpec
    status: PartitionStatus


@dataclass(frozen=True, slots=True)
class IngressAddress:
    """One way to a host."""

    hostname: Str | None = None
    ip: Str | None = None


@dataclass(frozen=True, slots=True)
class Ingress:
    """Where clients reach an SPU."""

    port: U16
    addresses: tuple[IngressAddress, ...]
    encryption: U8 = 0


@dataclass(frozen=True, slots=True)
class SpuEndpoint:
    """Where SPUs reach each other."""

    port: U16
    host: Str
    encryption: U8 = 0


@dataclass(frozen=True, slots=True)
class SpuSpec:
    """What an SPU shall be; kind 1 is one that was registered by hand."""

    spu_id: I32
    kind: U8
    public: Ingress
    private: SpuEndpoint
    rack: Str | None = None
    public_local: Annotated[SpuEndpoint | None, Since(1)] = None


@dataclass(frozen=True, slots=True)
class SpuStatus:
    """What an SPU is; 0 is online."""

    resolution: U8 = 0


@dataclass(frozen=True, slots=True)
class SpuMetadata:
    """An SPU by its name."""

    name: Str
    spec: SpuSpec
    status: SpuStatus


@dataclass(frozen=True, slots=True)
class CustomSpuSpec:
    """The spec of an SPU that was registered by hand."""

    spu_id: I32
    public: Ingress
    private: SpuEndpoint
    rack: Str | None = None
    public_local: SpuEndpoint | None = None


@dataclass(frozen=True, slots=True)
class CustomSpuMetadata:
    """An SPU that was registered by hand, by its name."""

    name: Str
    spec: CustomSpuSpec
    status: SpuStatus
