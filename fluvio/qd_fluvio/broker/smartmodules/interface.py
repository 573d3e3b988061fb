"""What a SmartModule is given in its memory, and what it answers there.

Bytes only: who puts them there is `engine`. Every call takes one input, laid out for the
version that the request was made in, and gives a status: negative ones are faults of the
module, others are followed by an output. The layouts are those of Fluvio's own engine.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from qd_fluvio.broker.smartmodules.records import Block, take_block
from qd_fluvio.wire.codec import (
    BYTES,
    I64,
    STRING,
    U8,
    Buffer,
    Option,
    PairsCodec,
    Reader,
    Since,
    Str,
    encode,
    struct_of,
)
from qd_fluvio.wire.failures import ErrorCode, Failure, RecordData
from qd_fluvio.wire.smartmodules import Lookback

_HEAD = struct.Struct(">qi")  # base offset, size of the records
_TIMESTAMP = struct.Struct(">q")
# Which versions have which fields of an input.
_PARAMETERS_UNTIL = 22
_LOOKBACK_FROM = 20
_JOINED_FROM = 16
_TIMESTAMP_FROM = 22
_ACCUMULATOR_OUT_FROM = 16


class Export(StrEnum):
    """Functions that a module may have; of the transforms, the first that is there counts."""

    FILTER = "filter"
    MAP = "map"
    FILTER_MAP = "filter_map"
    ARRAY_MAP = "array_map"
    AGGREGATE = "aggregate"
    INIT = "init"
    LOOK_BACK = "look_back"


TRANSFORMS = (
    Export.FILTER,
    Export.MAP,
    Export.FILTER_MAP,
    Export.ARRAY_MAP,
    Export.AGGREGATE,
)

_UNKNOWN_STATUS = "encountered unknown error during SmartModule processing"
_TRANSFORM_STATUS = {
    -11: "failed to decode SmartModule base input",
    -22: "failed to decode SmartModule record input",
    -33: "failed to encode SmartModule output",
    -44: "failed to parse SmartModule extra params",
    -55: "undefined right record in Join SmartModule",
}
_INIT_STATUS = {
    -10: "failed to decode SmartModule init input",
    -11: "failed to encode SmartModule init output",
}
_LOOK_BACK_STATUS = {
    -66: "failed to decode SmartModule look_back input",
    -77: "failed to decode SmartModule look_back record input",
    -88: "failed to encode SmartModule look_back output",
}
# Statuses that say the module's own error is in its output.
INIT_REFUSED = -2
LOOK_BACK_REFUSED = -99
_STATUS: Mapping[Export, Mapping[int, str]] = {
    Export.INIT: _INIT_STATUS,
    Export.LOOK_BACK: _LOOK_BACK_STATUS,
}


@dataclass(frozen=True, slots=True)
class ModuleInput:
    """One batch's records on their way through a chain."""

    base_offset: int
    timestamp_ms: int
    records: Block


@dataclass(frozen=True, slots=True)
class ModuleOutput:
    """What a module made of its input: the records before its own error, if it has one."""

    records: Block
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Parameters:
    values: Annotated[tuple[tuple[str, str], ...], PairsCodec(Str, Str)] = ()
    lookback: Annotated[Lookback | None, Since(_LOOKBACK_FROM)] = None


@dataclass(frozen=True, slots=True)
class _TransformError:
    hint: Str
    offset: I64
    kind: U8
    key: RecordData | None
    value: RecordData


@dataclass(frozen=True, slots=True)
class _LookBackError:
    hint: Str
    offset: I64
    key: RecordData | None
    value: RecordData


_TRANSFORM_ERROR = Option(struct_of(_TransformError))


def encode_input(value: ModuleInput, version: int) -> bytearray:
    """What transforms and `look_back` are called with."""
    records = value.records.packed()
    out = bytearray(_HEAD.pack(value.base_offset, len(records)))
    out += records
    if version <= _PARAMETERS_UNTIL:
        out += encode(_Parameters(), version)
        if version >= _JOINED_FROM:
            BYTES.write(out, b"", version)
    if version >= _TIMESTAMP_FROM:
        out += _TIMESTAMP.pack(value.timestamp_ms)
    return out


def encode_aggregate_input(value: ModuleInput, accumulator: Buffer, version: int) -> bytearray:
    """What `aggregate` is called with."""
    out = encode_input(value, version)
    BYTES.write(out, accumulator, version)
    return out


def encode_init_input(
    parameters: tuple[tuple[str, str], ...], lookback: Lookback | None, version: int
) -> bytearray:
    """What `init` is called with; the last value of a name counts."""
    values = tuple(sorted(dict(parameters).items()))
    return bytearray(encode(_Parameters(values, lookback), version))


def decode_output(data: Buffer, version: int) -> ModuleOutput:
    """What a transform other than `aggregate` gave."""
    return _read_output(Reader(data), version)


def decode_aggregate_output(data: Buffer, version: int) -> tuple[ModuleOutput, bytes]:
    """What `aggregate` gave: its output and the new accumulator."""
    source = Reader(data)
    output = _read_output(source, version)
    accumulator = b""
    if version >= _ACCUMULATOR_OUT_FROM:
        accumulator = bytes(BYTES.read(source, version))
    return output, accumulator


def decode_init_error(data: Buffer, version: int) -> str:
    """What `init` says against its parameters, in the words that clients are shown."""
    hint: str = STRING.read(Reader(data), version)
    return f"{hint}\n\nSmartModule Init Error: \n"


def decode_look_back_error(data: Buffer, version: int) -> str:
    """What `look_back` says against a record, in the words that clients are shown."""
    error = struct_of(_LookBackError).read(Reader(data), version)
    key = "NULL" if error.key is None else _shown(error.key)
    return (
        f"{error.hint}\n\nSmartModule Lookback Error: \n    Offset: {error.offset}\n"
        f"    Key: {key}\n    Value: {_shown(error.value)}"
    )


def status_text(export: Export, status: int) -> str:
    """What a negative status of that function means."""
    return _STATUS.get(export, _TRANSFORM_STATUS).get(status, _UNKNOWN_STATUS)


def _read_output(source: Reader, version: int) -> ModuleOutput:
    records, source.position = take_block(source.data, source.position)
    error = _TRANSFORM_ERROR.read(source, version)
    if error is None:
        return ModuleOutput(records)
    details = (error.hint, error.offset, error.kind, error.key, error.value)
    return ModuleOutput(records, Failure(ErrorCode.SMARTMODULE_RUNTIME_ERROR, details))


def _shown(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"Binary: {len(data)} bytes"
