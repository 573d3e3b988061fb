"""Bytes of the control topic to a client's request, or why they are none. Pure."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, TypeGuard

from qd_gateway.core.actions import Ignored, IgnoreReason
from qd_schemas.codec import decode, decode_at, version_of
from qd_schemas.errors import DecodeError
from qd_schemas.messages import (
    ClientLogin,
    ClientLogout,
    Heartbeat,
    LoginProof,
    Message,
    Signed,
    StartData,
    StopAllData,
    StopData,
    StreamAck,
)
from qd_schemas.topics import CLIENT_ID_MAX, CLIENT_ID_MIN
from qd_schemas.wire import VERSION

Request = (
    ClientLogin
    | LoginProof
    | ClientLogout
    | Heartbeat
    | StreamAck
    | StartData
    | StopData
    | StopAllData
)

_LOGINS: Final = frozenset({ClientLogin, LoginProof})
_IN_SESSION: Final = frozenset(
    {ClientLogout, Heartbeat, StreamAck, StartData, StopData, StopAllData}
)
_REQUESTS: Final = _LOGINS | _IN_SESSION

# After header and messageType each request has its client id.
_CLIENT_ID: Final = struct.Struct("<10xH")
_TEMPLATE_AT: Final = slice(2, 4)
_SIGNED: Final = Signed.TEMPLATE.to_bytes(2, "little")


class Asked(NamedTuple):
    """A request, the version of its sender, and what proves who that is.

    `body` is what `signed` covers: the request's own bytes.
    """

    request: Request
    version: int
    signed: Signed | None
    body: bytes

    @property
    def opens_session(self) -> bool:
        """True for the requests that need no session, and are never signed."""
        return type(self.request) in _LOGINS


def claimed_client(payload: bytes) -> int | None:
    """The client in whose name a record is, if it is a request at all; costs no decoding."""
    if len(payload) < _CLIENT_ID.size:
        return None
    client_id: int = _CLIENT_ID.unpack_from(payload)[0]
    return client_id


def read_request(payload: bytes, bytes_max: int) -> Asked | Ignored:
    """Read a record of the control topic."""
    if len(payload) > bytes_max:
        detail = f"{len(payload)} bytes, at most {bytes_max} are read"
        return Ignored(IgnoreReason.TOO_LONG, detail)
    try:
        signed, body = _unwrap(payload)
        message, version = decode(body), version_of(body)
    except DecodeError as error:
        return Ignored(IgnoreReason.NOT_A_MESSAGE, str(error))
    if not _is_request(message, signed):
        return Ignored(IgnoreReason.NOT_A_REQUEST, _named(message, signed))
    if signed and signed.client_id != message.client_id:
        detail = f"{_named(message, signed)} of client {message.client_id}"
        return Ignored(IgnoreReason.WRONG_MAC, f"{detail}, signed by {signed.client_id}")
    if not CLIENT_ID_MIN <= message.client_id <= CLIENT_ID_MAX:
        detail = f"{_named(message, signed)} of client {message.client_id}"
        return Ignored(IgnoreReason.BAD_CLIENT_ID, detail)
    return Asked(message, min(version, VERSION), signed, body)


def _is_request(message: Message, signed: Signed | None) -> TypeGuard[Request]:
    return type(message) in (_REQUESTS if signed is None else _IN_SESSION)


def _unwrap(payload: bytes) -> tuple[Signed | None, bytes]:
    """Part a record into its signature, if it has one, and its request."""
    if payload[_TEMPLATE_AT] != _SIGNED:
        return None, payload
    signed, end = decode_at(payload, 0)
    assert isinstance(signed, Signed)
    return signed, payload[end:]


def _named(message: Message, signed: Signed | None) -> str:
    return ("signed " if signed else "") + type(message).__name__
