"""Bytes to messages and back, one at a time, with precompiled structs.

Sans-IO. `encode` raises only `EncodeError`; all others raise only `DecodeError`, whatever the
bytes are. For whole arrays of trades or bars use `qd_schemas.frames`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, Final, TypeAlias

from qd_schemas.errors import DecodeError, EncodeError
from qd_schemas.messages import Message
from qd_schemas.table import LAYOUTS, Layout
from qd_schemas.wire import HEADER_BYTES, SCHEMA_ID, VERSION, VERSION_REFERENCE, Kind

Buffer: TypeAlias = bytes | bytearray | memoryview

_HEADER: Final = struct.Struct("<4H")
_VERSIONS: Final = range(VERSION_REFERENCE, VERSION + 1)


class _Codec:
    """One message's structs in one version."""

    __slots__ = (
        *("block_bytes", "codes", "layout", "pack", "prefix", "total_bytes", "unpack"),
        "values_of",
    )

    def __init__(self, layout: Layout, version: int) -> None:
        fields = layout.fields_in(version)
        codes = "".join(field.kind.struct_code for field in fields)
        self.layout = layout
        self.block_bytes = layout.block_bytes(version)
        self.total_bytes = layout.total_bytes(version)
        self.prefix = (self.block_bytes, layout.template, SCHEMA_ID, version, layout.template)
        self.pack = struct.Struct("<5H" + codes).pack
        self.unpack = struct.Struct("<H" + codes).unpack_from
        self.values_of = _values_getter([field.name for field in fields])
        # struct would cut or fill bytes of another length without a word.
        self.codes = [(field.name, field.kind.size) for field in fields if field.kind is Kind.B32]


def _values_getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that gives a message's values of `names` as a tuple."""
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda message: (get(message),)


_CODECS: Final[dict[tuple[int, int], _Codec]] = {
    (layout.template, version): _Codec(layout, version)
    for layout in LAYOUTS.values()
    for version in _VERSIONS
    if layout.since <= version
}


def encode(message: Message, version: int = VERSION) -> bytes:
    """Write one message with its header.

    Parameters
    ----------
    message : Message
        What to write.
    version : int
        2, or 1 for exactly the reference's bytes, which leave out what version 2 added.

    Raises
    ------
    EncodeError
        `version` does not have this message, or a value does not fit its field.
    """
    codec = _CODECS.get((message.TEMPLATE, version))
    if codec is None:
        raise EncodeError(_no_such_version(message, version))
    try:
        for name, size in codec.codes:
            if len(getattr(message, name)) != size:
                raise TypeError(f"{name} has {len(getattr(message, name))} bytes")
        return codec.pack(*codec.prefix, *codec.values_of(message))
    except (struct.error, OverflowError, TypeError) as error:
        raise EncodeError(
            f"{message} does not fit its fields ({error}); expected {_expected_types(codec.layout)}"
        ) from None


def _no_such_version(message: Message, version: int) -> str:
    name = type(message).__name__
    if version not in _VERSIONS:
        return f"no version {version} to encode {name} in; expected 1 or {VERSION}"
    return f"version {version} has no {name}; it came with version {message.SINCE}"


def _expected_types(layout: Layout) -> str:
    return ", ".join(f"{field.name} {field.kind.described}" for field in layout.fields)


def version_of(buffer: Buffer) -> int:
    """The version that the sender of a message speaks, from its header.

    Raises
    ------
    DecodeError
        The bytes do not begin with a header of this schema.
    """
    return _header(buffer, 0)[2]


def decode(buffer: Buffer) -> Message:
    """Read exactly one whole message.

    Fields that an older sender does not have get their defaults; what a newer sender
    added is skipped.

    Raises
    ------
    DecodeError
        The bytes are not one whole message of this schema.
    """
    message, end = decode_at(buffer, 0)
    if end != len(buffer):
        raise DecodeError(
            f"{len(buffer) - end} bytes after a whole {type(message).__name__} of {end} bytes; "
            "expected one message (a frame of many is read with iter_messages)"
        )
    return message


def iter_messages(frame: Buffer) -> Iterator[Message]:
    """Walk the messages that lie back to back in a record.

    Raises
    ------
    DecodeError
        At the first place where the bytes are not a whole message of this schema.
    """
    position = 0
    while position < len(frame):
        message, position = decode_at(frame, position)
        yield message


def decode_at(buffer: Buffer, position: int) -> tuple[Message, int]:
    """Read the message that begins at `position`; gives it and the position after it.

    Raises
    ------
    DecodeError
        No whole message of this schema begins there.
    """
    block_bytes, template, version = _header(buffer, position)
    codec = _CODECS.get((template, min(version, VERSION)))
    if codec is None:
        raise DecodeError(_unknown_template(template, version))
    if block_bytes < codec.block_bytes:
        raise DecodeError(
            f"{codec.layout.name} has a block of {block_bytes} bytes; "
            f"version {version} has at least {codec.block_bytes}"
        )
    start = position + HEADER_BYTES
    end = start + block_bytes
    if end > len(buffer):
        raise DecodeError(
            f"{codec.layout.name} is cut off: {len(buffer) - position} bytes of {end - position}"
        )
    message_type, *values = codec.unpack(buffer, start)
    if message_type != template:
        raise DecodeError(
            f"{codec.layout.name} says message type {message_type}; expected {template}"
        )
    return codec.layout.message(*values), end


def _header(buffer: Buffer, position: int) -> tuple[int, int, int]:
    """Read a header: block length, template id and version."""
    if len(buffer) - position < HEADER_BYTES:
        raise DecodeError(
            f"{len(buffer) - position} bytes where a header of {HEADER_BYTES} was expected"
        )
    block_bytes, template, schema_id, version = _HEADER.unpack_from(buffer, position)
    if schema_id != SCHEMA_ID:
        raise DecodeError(f"schema id {schema_id}; expected {SCHEMA_ID}")
    if version < VERSION_REFERENCE:
        raise DecodeError(f"schema version {version}; expected {VERSION_REFERENCE} or later")
    return block_bytes, template, version


def _unknown_template(template: int, version: int) -> str:
    layout = LAYOUTS.get(template)
    if layout is None:
        return f"template id {template} is no message of this schema"
    return f"{layout.name} came with version {layout.since}, but its header says {version}"
