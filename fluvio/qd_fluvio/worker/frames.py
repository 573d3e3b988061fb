"""The language between a service and its workers: bytes to frames and back, no sockets.

A frame is its body's length (u32), its kind (u8), a channel (u32) and the body, little endian.
A channel is one call or one producer. Bodies are JSON for what is rare, and arrays followed
by all payloads for records, so that a record costs next to nothing beside its bytes.
"""

from __future__ import annotations

import enum
import json
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

FRAME_BYTES_MAX = 256 * 1024 * 1024  # far over any fetch; more is a defect, not data

_HEADER = struct.Struct("<IBI")
_SEND = struct.Struct("<I?")
_RECORDS = struct.Struct("<qI")
_ACKED = struct.Struct("<QQ")
_U32, _I64 = "I", "q"  # array type codes; four and eight bytes wherever Fluvio's client runs
_NO_KEY = 0xFFFFFFFF


class Kind(enum.IntEnum):
    """What a frame is."""

    # parent to worker
    CALL = 1  # JSON: what to do, with its arguments
    SEND = 2  # payloads for a producer's channel
    CLOSE = 3  # a producer's channel is of no more use
    # worker to parent
    RESULT = 10  # JSON: what a call gave
    FAILED = 11  # JSON: {"text": the client's words}; for a call, a channel, or a stream
    ACKED = 12  # how much of a channel the cluster has acknowledged, in all
    RECORDS = 13  # records of a stream
    ENDED = 14  # the stream ended by itself


@dataclass(frozen=True, slots=True)
class Frame:
    """One message between parent and worker."""

    kind: Kind
    channel: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class FrameDecoder:
    """Puts frames together from pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes; give the frames that are whole now."""
        self._buffer += data
        start = 0
        while (end := self._frame_end(start)) <= len(self._buffer):
            _, kind, channel = _HEADER.unpack_from(self._buffer, start)
            body = bytes(memoryview(self._buffer)[start + _HEADER.size : end])
            yield Frame(Kind(kind), channel, body)
            start = end
        del self._buffer[:start]

    def _frame_end(self, start: int) -> int:
        if len(self._buffer) - start < _HEADER.size:
            return start + _HEADER.size
        length, _, _ = _HEADER.unpack_from(self._buffer, start)
        if length > FRAME_BYTES_MAX:
            raise ValueError(f"frame of {length} bytes; at most {FRAME_BYTES_MAX} are expected")
        return start + _HEADER.size + int(length)


def frame(kind: Kind, channel: int, *parts: bytes) -> bytes:
    """Bytes of one frame whose body is the parts, joined."""
    length = sum(map(len, parts))
    return b"".join((_HEADER.pack(length, kind, channel), *parts))


def json_frame(kind: Kind, channel: int, **fields: object) -> bytes:
    """Bytes of one frame whose body is a JSON object."""
    return frame(kind, channel, json.dumps(fields).encode())


def send_frame(
    channel: int, payloads: Sequence[bytes], keys: Sequence[bytes | None] | None = None
) -> bytes:
    """Payloads for a producer's channel, with as many keys or none."""
    parts = [_SEND.pack(len(payloads), keys is not None)]
    if keys is not None:
        parts += [_key_lengths(keys), *(key for key in keys if key)]
    parts += [array(_U32, map(len, payloads)).tobytes(), *payloads]
    return frame(Kind.SEND, channel, *parts)


def read_send(body: bytes) -> tuple[list[bytes], list[bytes | None] | None]:
    """The payloads of a SEND frame, and their keys if they have any."""
    count, keyed = _SEND.unpack_from(body)
    start, keys = _SEND.size, None
    if keyed:
        key_lengths, start = _array(_U32, body, start, count)
        keys, start = _cut_keys(body, start, key_lengths)
    lengths, start = _array(_U32, body, start, count)
    return _cut(body, start, lengths), keys


def acked_frame(channel: int, records: int, cost_bytes: int) -> bytes:
    """How many records, and what they cost in the bound of bytes in flight, in all."""
    return frame(Kind.ACKED, channel, _ACKED.pack(records, cost_bytes))


def read_acked(body: bytes) -> tuple[int, int]:
    """Records and bytes of an ACKED frame."""
    records, cost_bytes = _ACKED.unpack(body)
    return int(records), int(cost_bytes)


def records_frame(
    channel: int,
    first_offset: int,
    timestamps_ms: Sequence[int],
    keys: Sequence[bytes | None] | None,
    values: Sequence[bytes],
) -> bytes:
    """Records with contiguous offsets from `first_offset`, with as many keys or none."""
    return frame(
        Kind.RECORDS,
        channel,
        _RECORDS.pack(first_offset, len(values)),
        array(_I64, timestamps_ms).tobytes(),
        _no_keys(len(values)) if keys is None else _key_lengths(keys),
        array(_U32, map(len, values)).tobytes(),
        *(key for key in keys or () if key),
        *values,
    )


@dataclass(frozen=True, slots=True)
class Records:
    """The columns of a RECORDS frame."""

    first_offset: int
    timestamps_ms: list[int]
    keys: list[bytes | None]
    values: list[bytes]


def read_records(body: bytes) -> Records:
    """The records of a RECORDS frame."""
    first_offset, count = _RECORDS.unpack_from(body)
    timestamps, start = _array(_I64, body, _RECORDS.size, count)
    key_lengths, start = _array(_U32, body, start, count)
    lengths, start = _array(_U32, body, start, count)
    keys: list[bytes | None] = [None] * count
    if key_lengths.tobytes() != _no_keys(count):
        keys, start = _cut_keys(body, start, key_lengths)
    return Records(first_offset, timestamps.tolist(), keys, _cut(body, start, lengths))


def _key_lengths(keys: Sequence[bytes | None]) -> bytes:
    return array(_U32, (_NO_KEY if key is None else len(key) for key in keys)).tobytes()


def _no_keys(count: int) -> bytes:
    return _NO_KEY.to_bytes(4) * count  # alike in either byte order


def _cut_keys(body: bytes, start: int, lengths: array[int]) -> tuple[list[bytes | None], int]:
    """The keys from `start`, and where they end."""
    widths = array(_U32, (0 if length == _NO_KEY else length for length in lengths))
    found = _cut(body, start, widths)
    keys = [None if length == _NO_KEY else key for length, key in zip(lengths, found, strict=True)]
    return keys, start + sum(widths)


def _array(code: str, body: bytes, start: int, count: int) -> tuple[array[int], int]:
    found: array[int] = array(code)
    end = start + count * found.itemsize
    found.frombytes(body[start:end])
    return found, end


def _cut(body: bytes, start: int, lengths: array[int]) -> list[bytes]:
    ends = list(accumulate(lengths, initial=start))
    return [body[a:b] for a, b in pairwise(ends)]
