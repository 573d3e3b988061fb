"""Fluvio's error codes, and the error field of responses.

A failure is a code and, for some codes, what went wrong in its words. This module names
them; what to do about one is its reader's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any

from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import I64, STRING, U8, U32, U64, Int, Option, Reader, codec_of
from qd_fluvio.wire.records import read_varint, varint


class ErrorCode(IntEnum):
    """Codes that the broker answers with or understands; others stay plain numbers."""

    UNKNOWN_SERVER_ERROR = -1
    NONE = 0
    OFFSET_OUT_OF_RANGE = 1
    OTHER = 2
    NOT_LEADER_FOR_PARTITION = 6
    REQUEST_TIMED_OUT = 7
    MESSAGE_TOO_LARGE = 10
    PERMISSION_DENIED = 13
    STORAGE_ERROR = 56
    INVALID_CREATE_REQUEST = 60
    INVALID_DELETE_REQUEST = 61
    OFFSET_EVICTED = 71
    PARTITION_FULL = 72
    PARTITION_SHORT_CIRCUITED = 73
    SPU_ERROR = 1000
    SPU_REGISTRATION_FAILED = 1001
    SPU_NOT_FOUND = 1003
    TOPIC_ERROR = 2000
    TOPIC_NOT_FOUND = 2001
    TOPIC_ALREADY_EXISTS = 2002
    TOPIC_INVALID_CONFIGURATION = 2004
    TOPIC_NOT_PROVISIONED = 2005
    TOPIC_INVALID_NAME = 2006
    TOPIC_DELETED = 2007
    PARTITION_NOT_LEADER = 3001
    FETCH_SESSION_NOT_FOUND = 3002
    SMARTMODULE_ERROR = 6000
    SMARTMODULE_NOT_FOUND = 6001
    SMARTMODULE_INVALID = 6002
    SMARTMODULE_RUNTIME_ERROR = 6004
    SMARTMODULE_CHAIN_INIT_ERROR = 6005
    SMARTMODULE_LOOKBACK_ERROR = 6007
    SMARTMODULE_MEMORY_LIMIT_EXCEEDED = 6008
    TABLE_FORMAT_ERROR = 7000
    TABLE_FORMAT_NOT_FOUND = 7001
    COMPRESSION_ERROR = 9000
    DEDUPLICATION_NOT_LOADED = 10000
    DEDUPLICATION_NAME_INVALID = 10001
    MIRROR_NOT_FOUND = 11001
    MIRROR_INVALID_TYPE = 11005
    SYSTEM_DELETE_ATTEMPT = 12001


_I64, _U64, _U32, _U8 = codec_of(I64), codec_of(U64), codec_of(U32), codec_of(U8)


class RecordDataCodec:
    """A record's key or value, after its length as records count."""

    def read(self, source: Reader, version: int) -> bytes:
        """Take the bytes."""
        length, source.position = read_varint(source.data, source.position)
        return bytes(source.take(length))

    def write(self, out: bytearray, value: bytes, version: int) -> None:
        """Append the bytes."""
        out += varint(len(value)) + value


_RECORD_DATA = RecordDataCodec()
RecordData = Annotated[bytes, _RECORD_DATA]
# What follows a code on the wire. Codes that are absent here have nothing after them.
_DETAILS = {
    2: (STRING,),
    7: (_U64, _U8),  # milliseconds, and which request; 0 is produce
    71: (_I64, _I64),
    72: (STRING, _U32),
    3003: (STRING,),
    6001: (STRING,),
    6002: (STRING, Option(STRING)),
    6003: (STRING, STRING),
    # Hint, offset, kind of SmartModule, the record's key and value.
    6004: (STRING, _I64, _U8, Option(_RECORD_DATA), _RECORD_DATA),
    6005: (STRING,),
    6006: (STRING,),
    6007: (STRING,),
    6008: (_U64, _U64),
    8001: (STRING,),
    8003: (STRING,),
    10001: (STRING,),
    12001: (STRING, STRING),
    12002: (STRING, STRING),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """The error field of a response; code 0 is no failure."""

    code: int
    details: tuple[Any, ...] = ()

    def __bool__(self) -> bool:
        return self.code != 0

    def __str__(self) -> str:
        try:
            name = ErrorCode(self.code).name
        except ValueError:
            name = f"error {self.code}"
        return f"{name} {self.details}" if self.details else name


OK = Failure(ErrorCode.NONE)


class FailureCodec:
    """An i16 code, then the details of that code."""

    _code = Int("h")

    def read(self, source: Reader, version: int) -> Failure:
        """Take the code and its details."""
        code = self._code.read(source, version)
        details = tuple(codec.read(source, version) for codec in _DETAILS.get(code, ()))
        return Failure(code, details)

    def write(self, out: bytearray, value: Failure, version: int) -> None:
        """Append the code and its details."""
        codecs = _DETAILS.get(value.code, ())
        if len(codecs) != len(value.details):
            raise WireError(
                f"found {len(value.details)} details for error code {value.code}, "
                f"expected {len(codecs)}"
            )
        self._code.write(out, value.code, version)
        for codec, detail in zip(codecs, value.details, strict=True):
            codec.write(out, detail, version)


Error = Annotated[Failure, FailureCodec()]


def other(text: str) -> Failure:
    """A failure that only has words."""
    return Failure(ErrorCode.OTHER, (text,))
