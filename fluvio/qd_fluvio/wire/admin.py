"""The SC's calls: API versions, create, delete, list and watch objects.

Objects travel with the name of their kind. Kinds without a layout here stay bytes, so
that a server can answer about them without understanding them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any

from qd_fluvio.wire.codec import (
    I16,
    I64,
    U8,
    U16,
    U32,
    Bool,
    Labelled,
    LabelledCodec,
    Since,
    Str,
)
from qd_fluvio.wire.failures import OK, Error
from qd_fluvio.wire.frames import Api
from qd_fluvio.wire.metadata import (
    PARTITION,
    SPU,
    TOPIC,
    PartitionMetadata,
    SpuMetadata,
    TopicMetadata,
    TopicSpec,
)


@dataclass(frozen=True, slots=True)
class ApiVersionsRequest:
    """Ask what the server speaks."""

    client_version: Annotated[Str, Since(1)] = ""
    client_os: Annotated[Str, Since(1)] = ""
    client_arch: Annotated[Str, Since(1)] = ""


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """One API and its versions."""

    api_key: U16
    version_min: I16
    version_max: I16


@dataclass(frozen=True, slots=True)
class ApiVersionsResponse:
    """What the server speaks."""

    error: Error
    apis: tuple[ApiVersion, ...]
    platform_version: Str


@dataclass(frozen=True, slots=True)
class CreateTopic:
    """A new topic."""

    name: Str
    dry_run: Bool
    timeout_ms: Annotated[U32 | None, Since(7)]
    spec: TopicSpec


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """Create one object."""

    object: Annotated[Labelled, LabelledCodec({TOPIC: CreateTopic})]


@dataclass(frozen=True, slots=True)
class DeleteByName:
    """The object to delete."""

    name: Str
    force: Annotated[Bool, Since(13)] = False


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """Delete one object."""

    object: Annotated[Labelled, LabelledCodec({TOPIC: DeleteByName, "SmartModule": DeleteByName})]


@dataclass(frozen=True, slots=True)
class StatusResponse:
    """How a create or delete went."""

    name: Str
    error: Error = OK
    message: Str | None = None


@dataclass(frozen=True, slots=True)
class ListObjects:
    """Which objects; no names means all."""

    names: tuple[Str, ...]
    summary: Annotated[Bool, Since(10)] = False
    system: Annotated[Bool, Since(13)] = False


@dataclass(frozen=True, slots=True)
class WatchObjects:
    """Tell of objects from now on."""

    epoch: I64
    summary: Annotated[Bool, Since(10)] = False


@dataclass(frozen=True, slots=True)
class ObjectList:
    """Any kind's list, empty."""

    objects: tuple[U8, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicList:
    """Topics."""

    objects: tuple[TopicMetadata, ...]


@dataclass(frozen=True, slots=True)
class PartitionList:
    """Partitions."""

    objects: tuple[PartitionMetadata, ...]


@dataclass(frozen=True, slots=True)
class SpuList:
    """SPUs."""

    objects: tuple[SpuMetadata, ...]


class ChangeKind(IntEnum):
    """What a change does to its object."""

    UPDATE = 0
    DELETE = 1


@dataclass(frozen=True, slots=True)
class TopicChange:
    """One topic came, changed or went."""

    kind: U8
    object: TopicMetadata


@dataclass(frozen=True, slots=True)
class PartitionChange:
    """One partition came, changed or went."""

    kind: U8
    object: PartitionMetadata


@dataclass(frozen=True, slots=True)
class SpuChange:
    """One SPU came, changed or went."""

    kind: U8
    object: SpuMetadata


@dataclass(frozen=True, slots=True)
class TopicUpdate:
    """Changes of topics since the last update, or all topics."""

    epoch: I64
    changes: tuple[TopicChange, ...] = ()
    all: tuple[TopicMetadata, ...] = ()


@dataclass(frozen=True, slots=True)
class PartitionUpdate:
    """Changes of partitions since the last update, or all partitions."""

    epoch: I64
    changes: tuple[PartitionChange, ...] = ()
    all: tuple[PartitionMetadata, ...] = ()


@dataclass(frozen=True, slots=True)
class SpuUpdate:
    """Changes of SPUs since the last update, or all SPUs."""

    epoch: I64
    changes: tuple[SpuChange, ...] = ()
    all: tuple[SpuMetadata, ...] = ()


_KINDS = (TOPIC, PARTITION, SPU, "SmartModule", "SpuGroup", "TableFormat", "Mirror")


@dataclass(frozen=True, slots=True)
class ListRequest:
    """List objects of one kind."""

    object: Annotated[Labelled, LabelledCodec(dict.fromkeys(_KINDS, ListObjects))]


@dataclass(frozen=True, slots=True)
class ListResponse:
    """Objects of one kind."""

    object: Annotated[
        Labelled, LabelledCodec({TOPIC: TopicList, PARTITION: PartitionList, SPU: SpuList})
    ]


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Watch objects of one kind."""

    object: Annotated[Labelled, LabelledCodec(dict.fromkeys(_KINDS, WatchObjects))]


@dataclass(frozen=True, slots=True)
class WatchResponse:
    """What changed in one kind; comes again and again."""

    object: Annotated[
        Labelled, LabelledCodec({TOPIC: TopicUpdate, PARTITION: PartitionUpdate, SPU: SpuUpdate})
    ]


API_VERSIONS = Api("ApiVersions", 18, 0, 2, ApiVersionsRequest, ApiVersionsResponse)
CREATE = Api("Create", 1001, 15, 19, CreateRequest, StatusResponse)
DELETE = Api("Delete", 1002, 15, 19, DeleteRequest, StatusResponse)
LIST = Api("List", 1003, 15, 19, ListRequest, ListResponse)
WATCH = Api("Watch", 1004, 15, 19, WatchRequest, WatchResponse)

SC_APIS: dict[int, Api[Any, Any]] = {
    api.key: api for api in (API_VERSIONS, CREATE, DELETE, LIST, WATCH)
}


def versions_of(apis: dict[int, Api[Any, Any]]) -> tuple[ApiVersion, ...]:
    """The table that an ApiVersions response carries."""
    return tuple(
        ApiVersion(api.key, api.version_min, api.version_max)
        for api in apis.values()
        if api is not API_VERSIONS
    )
