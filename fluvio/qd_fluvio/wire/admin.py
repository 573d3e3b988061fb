"""The SC's calls: API versions, create, delete, list and watch objects.

Objects travel with the name of their kind. Of kinds without a layout here a server reads
the name only, and answers about them without understanding them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any

from qd_fluvio.wire.codec import (
    I16,
    I32,
    I64,
    STRING,
    U8,
    U16,
    U32,
    Bool,
    Labelled,
    LabelledCodec,
    Rest,
    Since,
    Str,
    Tagged,
)
from qd_fluvio.wire.failures import OK, Error
from qd_fluvio.wire.frames import Api
from qd_fluvio.wire.metadata import (
    CUSTOM_SPU,
    MIRROR,
    PARTITION,
    SPU,
    SPU_GROUP,
    TABLE_FORMAT,
    TOPIC,
    CustomSpuMetadata,
    PartitionMetadata,
    SpuMetadata,
    TopicMetadata,
    TopicSpec,
)
from qd_fluvio.wire.modules import SMARTMODULE, ModuleMetadata, ModuleSpec


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
class CreateModule:
    """A new SmartModule."""

    name: Str
    dry_run: Bool
    timeout_ms: Annotated[U32 | None, Since(7)]
    spec: ModuleSpec


@dataclass(frozen=True, slots=True)
class CreateOther:
    """A new object of a kind whose spec has no layout here."""

    name: Str
    dry_run: Bool
    timeout_ms: Annotated[U32 | None, Since(7)]
    spec: Rest


_CREATES = {
    TOPIC: CreateTopic,
    SMARTMODULE: CreateModule,
    **dict.fromkeys((CUSTOM_SPU, SPU_GROUP, TABLE_FORMAT, MIRROR), CreateOther),
}


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """Create one object."""

    object: Annotated[Labelled, LabelledCodec(_CREATES)]


@dataclass(frozen=True, slots=True)
class DeleteByName:
    """The object to delete."""

    name: Str
    force: Annotated[Bool, Since(13)] = False


@dataclass(frozen=True, slots=True)
class SpuName:
    """An SPU told by its name."""

    name: Str


@dataclass(frozen=True, slots=True)
class SpuNumber:
    """An SPU told by its number."""

    spu_id: I32


@dataclass(frozen=True, slots=True)
class DeleteSpu:
    """The SPU to take out of the cluster."""

    key: Annotated[SpuName | SpuNumber, Tagged({"Name": SpuName, "Id": SpuNumber}, STRING)]
    force: Annotated[Bool, Since(13)] = False


_DELETES = {
    **dict.fromkeys((TOPIC, SMARTMODULE, SPU_GROUP, TABLE_FORMAT, MIRROR), DeleteByName),
    CUSTOM_SPU: DeleteSpu,
}


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """Delete one object."""

    object: Annotated[Labelled, LabelledCodec(_DELETES)]


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


@dataclass(frozen=True, slots=True)
class CustomSpuList:
    """SPUs that were registered by hand."""

    objects: tuple[CustomSpuMetadata, ...]


@dataclass(frozen=True, slots=True)
class ModuleList:
    """SmartModules."""

    objects: tuple[ModuleMetadata, ...]


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
class ModuleChange:
    """One SmartModule came, changed or went."""

    kind: U8
    object: ModuleMetadata


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


@dataclass(frozen=True, slots=True)
class ModuleUpdate:
    """Changes of SmartModules since the last update, or all SmartModules."""

    epoch: I64
    changes: tuple[ModuleChange, ...] = ()
    all: tuple[ModuleMetadata, ...] = ()


@dataclass(frozen=True, slots=True)
class EmptyUpdate:
    """An update of any kind without an object."""

    epoch: I64
    changes: tuple[U8, ...] = ()
    all: tuple[U8, ...] = ()


# Kinds that can be listed, and of these the kinds that can be watched.
LISTED = (TOPIC, PARTITION, SPU, CUSTOM_SPU, SMARTMODULE, SPU_GROUP, TABLE_FORMAT, MIRROR)
WATCHED = (TOPIC, PARTITION, SPU, SMARTMODULE, SPU_GROUP, TABLE_FORMAT)


@dataclass(frozen=True, slots=True)
class ListRequest:
    """List objects of one kind."""

    object: Annotated[Labelled, LabelledCodec(dict.fromkeys(LISTED, ListObjects))]


_LISTS = {
    TOPIC: TopicList,
    PARTITION: PartitionList,
    SPU: SpuList,
    CUSTOM_SPU: CustomSpuList,
    SMARTMODULE: ModuleList,
}


@dataclass(frozen=True, slots=True)
class ListResponse:
    """Objects of one kind."""

    object: Annotated[Labelled, LabelledCodec(_LISTS)]


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Watch objects of one kind."""

    object: Annotated[Labelled, LabelledCodec(dict.fromkeys(WATCHED, WatchObjects))]


_UPDATES = {
    TOPIC: TopicUpdate,
    PARTITION: PartitionUpdate,
    SPU: SpuUpdate,
    SMARTMODULE: ModuleUpdate,
}


@dataclass(frozen=True, slots=True)
class WatchResponse:
    """What changed in one kind; comes again and again."""

    object: Annotated[Labelled, LabelledCodec(_UPDATES)]


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
