"""The SC's port: create, delete, list and watch.

One session a connection. Kinds that a local broker has no objects of (SPU groups, table
formats, mirrors) list as none, and are neither created nor found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from qd_fluvio.broker.answers import failure_of
from qd_fluvio.broker.cluster import Cluster
from qd_fluvio.broker.connection import Connection
from qd_fluvio.broker.settings import (
    LIST_NAMES_MAX,
    PLATFORM_VERSION,
    REQUEST_ELEMENTS_MAX,
    SPU_ID,
    WATCHES_PER_CONNECTION_MAX,
)
from qd_fluvio.broker.watch import Watcher
from qd_fluvio.errors import FluvioError, WireError
from qd_fluvio.wire import admin, metadata
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.failures import OK, ErrorCode, Failure, other
from qd_fluvio.wire.frames import Request, decode_request, encode_response
from qd_fluvio.wire.modules import SMARTMODULE


class ScSession:
    """What the SC does for one client."""

    def __init__(self, connection: Connection, cluster: Cluster) -> None:
        self._connection = connection
        self._cluster = cluster
        self._watches: list[Watcher] = []
        self._handlers: dict[int, Callable[[Request], Awaitable[Any]]] = {
            admin.API_VERSIONS.key: self._api_versions,
            admin.CREATE.key: self._create,
            admin.DELETE.key: self._delete,
            admin.LIST.key: self._list,
            admin.WATCH.key: self._watch,
        }

    async def handle(self, payload: bytearray) -> None:
        """Answer one request."""
        await self._connection.drained()
        request = decode_request(payload, admin.SC_APIS, elements_max=REQUEST_ELEMENTS_MAX)
        answer = await self._handlers[request.header.api_key](request)
        await self._connection.delayed()
        if answer is not None and not self._connection.closing:
            header = request.header
            self._connection.push(
                encode_response(header.correlation_id, answer, header.api_version)
            )

    def close(self) -> None:
        """End the connection's watches."""
        for watcher in self._watches:
            self._cluster.watchers.remove(watcher)

    async def _api_versions(self, request: Request) -> admin.ApiVersionsResponse:
        return admin.ApiVersionsResponse(OK, admin.versions_of(admin.SC_APIS), PLATFORM_VERSION)

    async def _create(self, request: Request) -> admin.StatusResponse:
        wanted: Labelled = request.body.object
        body = wanted.body
        try:
            if isinstance(body, admin.CreateTopic):
                await self._cluster.create_topic(body)
                return admin.StatusResponse(body.name)
            if isinstance(body, admin.CreateModule):
                module = await self._cluster.create_module(body)
                return admin.StatusResponse(module.name)
        except FluvioError as error:
            return admin.StatusResponse(body.name, failure_of(error), str(error))
        return _refused(wanted)

    async def _delete(self, request: Request) -> admin.StatusResponse:
        wanted: Labelled = request.body.object
        body = wanted.body
        try:
            if wanted.label == metadata.TOPIC:
                await self._cluster.delete_topic(body.name)
            elif wanted.label == SMARTMODULE:
                await self._cluster.delete_module(body.name)
            elif isinstance(body, admin.DeleteSpu):
                return _spu_kept(body, self._cluster.spu_name)
            else:
                return _not_found(wanted)
        except FluvioError as error:
            return admin.StatusResponse(body.name, failure_of(error), str(error))
        return admin.StatusResponse(body.name)

    async def _list(self, request: Request) -> admin.ListResponse:
        wanted: Labelled = request.body.object
        if wanted.label not in admin.LISTED:
            raise WireError(f"found a list of {wanted.label!r}, expected one of {admin.LISTED}")
        if len(wanted.body.names) > LIST_NAMES_MAX:
            raise WireError(
                f"found {len(wanted.body.names)} names in a list's filter, "
                f"expected at most {LIST_NAMES_MAX}"
            )
        layout = _LISTS.get(wanted.label)
        if layout is None:
            return admin.ListResponse(Labelled(wanted.label, _EMPTY_LIST))
        objects = self._cluster.select(wanted.label, wanted.body)
        return admin.ListResponse(Labelled(wanted.label, layout(objects)))

    async def _watch(self, request: Request) -> None:
        wanted: Labelled = request.body.object
        if wanted.label not in admin.WATCHED:
            raise WireError(f"found a watch of {wanted.label!r}, expected one of {admin.WATCHED}")
        if len(self._watches) >= WATCHES_PER_CONNECTION_MAX:
            raise WireError(
                f"found more than {WATCHES_PER_CONNECTION_MAX} watches on one connection"
            )
        header = request.header
        watcher = Watcher(
            wanted.label,
            self._connection,
            header.correlation_id,
            header.api_version,
            summary=wanted.body.summary,
        )
        self._watches.append(watcher)
        self._cluster.watchers.add(watcher)


_LISTS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    metadata.TOPIC: admin.TopicList,
    metadata.PARTITION: admin.PartitionList,
    metadata.SPU: admin.SpuList,
    metadata.CUSTOM_SPU: admin.CustomSpuList,
    SMARTMODULE: admin.ModuleList,
}
_EMPTY_LIST = bytes(4)


@dataclass(frozen=True, slots=True)
class _Absent:
    """The codes for a kind of which there are no objects here."""

    refused: ErrorCode
    not_found: ErrorCode


_ABSENT = {
    metadata.CUSTOM_SPU: _Absent(ErrorCode.SPU_REGISTRATION_FAILED, ErrorCode.SPU_NOT_FOUND),
    metadata.SPU_GROUP: _Absent(ErrorCode.SPU_ERROR, ErrorCode.SPU_NOT_FOUND),
    metadata.TABLE_FORMAT: _Absent(ErrorCode.TABLE_FORMAT_ERROR, ErrorCode.TABLE_FORMAT_NOT_FOUND),
    metadata.MIRROR: _Absent(ErrorCode.MIRROR_INVALID_TYPE, ErrorCode.MIRROR_NOT_FOUND),
}
# What Fluvio's SC answers about a kind that it does not know.
_UNKNOWN_KIND = admin.StatusResponse("create error", other("unknown admin object type"))


def _refused(wanted: Labelled) -> admin.StatusResponse:
    codes = _ABSENT.get(wanted.label)
    if codes is None:
        return _UNKNOWN_KIND
    return admin.StatusResponse(
        wanted.body.name,
        Failure(codes.refused),
        f"the local broker keeps no objects of kind {wanted.label!r}, only topics and SmartModules",
    )


def _not_found(wanted: Labelled) -> admin.StatusResponse:
    codes = _ABSENT.get(wanted.label)
    if codes is None:
        return _UNKNOWN_KIND
    return admin.StatusResponse(wanted.body.name, Failure(codes.not_found), "not found")


def _spu_kept(body: admin.DeleteSpu, own_name: str) -> admin.StatusResponse:
    if body.key in (admin.SpuName(own_name), admin.SpuNumber(SPU_ID)):
        return admin.StatusResponse(
            own_name, Failure(ErrorCode.SPU_ERROR), "the local broker cannot be without its SPU"
        )
    key = body.key
    name = key.name if isinstance(key, admin.SpuName) else f"spu-{key.spu_id}"
    return admin.StatusResponse(name, Failure(ErrorCode.SPU_NOT_FOUND), "not found")
