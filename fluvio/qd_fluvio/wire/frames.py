"""Frames: a length, a header, a message; and where one ends in a stream of bytes.

A request starts with API key, version, correlation id and client id; its response with
the correlation id only. No sockets here: bytes in, messages out.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import ELEMENTS_MAX, I16, I32, U16, Buffer, Reader, Str, encode, struct_of

LENGTH = struct.Struct(">i")
_CORRELATION = struct.Struct(">i")
Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Api(Generic[Q, R]):
    """One call: its key, the versions spoken here, its request and its response."""

    name: str
    key: int
    version_min: int
    version_max: int
    request: type[Q]
    response: type[R]


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """What every request begins with."""

    api_key: U16
    api_version: I16
    correlation_id: I32
    client_id: Str


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was received."""

    header: RequestHeader
    api: Api[Any, Any]
    body: Any


def decode_request(
    payload: Buffer, apis: Mapping[int, Api[Any, Any]], *, elements_max: int = ELEMENTS_MAX
) -> Request:
    """Read a request's frame, without its length, if its lists have not too many elements.

    A version above the newest here is read as the newest, as Fluvio's servers do.

    Raises
    ------
    WireError
        If the bytes are not a request, or of no API in `apis`, or of too old a version.
    """
    source = Reader(payload, elements_max)
    header: RequestHeader = struct_of(RequestHeader).read(source, 0)
    api = apis.get(header.api_key)
    if api is None:
        raise WireError(f"found API key {header.api_key}, expected one of {sorted(apis)}")
    if header.api_version < api.version_min:
        raise WireError(
            f"found version {header.api_version} of {api.name}, expected {api.version_min} or newer"
        )
    body = struct_of(api.request).read(source, header.api_version)
    source.finish("the request")
    return Request(header, api, body)


def encode_request(
    api: Api[Q, Any], body: Q, *, version: int, correlation_id: int, client_id: str
) -> bytes:
    """Write a request's frame, length included."""
    header = encode(RequestHeader(api.key, version, correlation_id, client_id), 0)
    message = encode(body, version)
    return LENGTH.pack(len(header) + len(message)) + header + message


def decode_response(payload: Buffer, api: Api[Any, R], version: int) -> tuple[int, R]:
    """Read a response's frame, without its length: the correlation id and the message.

    Raises
    ------
    WireError
        If the bytes are not a response of this API.
    """
    source = Reader(payload)
    correlation_id: int = source.unpack(_CORRELATION)
    body: R = struct_of(api.response).read(source, version)
    source.finish(f"the {api.name} response")
    return correlation_id, body


def encode_response(correlation_id: int, body: object, version: int) -> bytes:
    """Write a response's frame, length included."""
    return response_of(correlation_id, encode(body, version))


def response_of(correlation_id: int, message: bytes) -> bytes:
    """The frame of a response whose body is written already."""
    return LENGTH.pack(4 + len(message)) + _CORRELATION.pack(correlation_id) + message


def encode_response_head(
    correlation_id: int, body: object, version: int, *, records_bytes: int
) -> bytes:
    """Write a response's frame up to its records, which the caller sends next.

    `body` must end in an empty bytes field: its length becomes `records_bytes`, so that
    megabytes of records go from a file to a socket without passing through here.
    """
    message = encode(body, version)
    return b"".join(
        (
            LENGTH.pack(4 + len(message) + records_bytes),
            _CORRELATION.pack(correlation_id),
            message[: -LENGTH.size],
            LENGTH.pack(records_bytes),
        )
    )


class FrameBuffer:
    """Collects received bytes into frames, reading large ones into place.

    `space` gives where the next bytes go, `received` says how many came and returns the
    frames that are now whole. Memory grows with the bytes that came, not with what a
    length claims.
    """

    _SMALL_BYTES = 1 << 16
    _GROWTH_BYTES = 1 << 20
    _GROWTH_FACTOR = 4

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._small = bytearray(self._SMALL_BYTES)
        self._filled = 0
        self._large: bytearray | None = None
        self._large_bytes = 0

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and is not whole."""
        return self._filled > 0 or self._large is not None

    @property
    def held_bytes(self) -> int:
        """Memory of the large frame being read; 0 between frames."""
        return 0 if self._large is None else len(self._large)

    @property
    def missing(self) -> int:
        """Bytes that the large frame being read still lacks; 0 between frames."""
        return 0 if self._large is None else self._large_bytes - self._filled

    def space(self) -> memoryview:
        """Where the next bytes go; never empty."""
        if self._large is None:
            return memoryview(self._small)[self._filled :]
        if self._filled == len(self._large):
            grown = bytearray(min(self._large_bytes, self._filled * self._GROWTH_FACTOR))
            grown[: self._filled] = self._large
            self._large = grown
        return memoryview(self._large)[self._filled :]

    def received(self, count: int) -> list[bytearray]:
        """Note that `count` bytes came; gives the frames that are whole, without lengths.

        Raises
        ------
        WireError
            If a frame's length is negative or above the limit.
        """
        self._filled += count
        if self._large is None:
            return self._split()
        if self._filled < self._large_bytes:
            return []
        frame, self._large, self._filled = self._large, None, 0
        return [frame]

    def _split(self) -> list[bytearray]:
        frames = []
        start = 0
        while self._filled - start >= LENGTH.size:
            length = self._checked(LENGTH.unpack_from(self._small, start)[0])
            end = start + LENGTH.size + length
            if end > self._filled:
                break
            frames.append(self._small[start + LENGTH.size : end])
            start = end
        rest = self._small[start : self._filled]
        self._filled = len(rest)
        if len(rest) >= LENGTH.size and LENGTH.unpack_from(rest)[0] > self._SMALL_BYTES // 2:
            self._begin_large(rest)
        elif start:
            self._small[: len(rest)] = rest
        return frames

    def _begin_large(self, rest: bytearray) -> None:
        self._large_bytes = LENGTH.unpack_from(rest)[0]
        self._filled = len(rest) - LENGTH.size
        # Made at its size: to extend one costs many times as much as to receive the bytes.
        self._large = bytearray(max(self._filled, min(self._large_bytes, self._GROWTH_BYTES)))
        self._large[: self._filled] = memoryview(rest)[LENGTH.size :]

    def _checked(self, length: int) -> int:
        if not 0 <= length <= self._frame_bytes_max:
            raise WireError(
                f"found a frame length of {length} bytes, expected 0 to {self._frame_bytes_max}"
            )
        return length
