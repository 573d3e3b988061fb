"""How one value becomes bytes: small codecs, and dataclasses whose hints are the layout.

A message is a frozen dataclass. Its field hints say how each field is laid out::

    @dataclass(frozen=True, slots=True)
    class ListTopics:
        names: tuple[Str, ...]                      # i32 count, then the strings
        summary: Annotated[Bool, Since(10)] = False # present from version 10 on

`tuple[X, ...]` is an array, `X | None` an option, a dataclass its fields in order, and
`Annotated[T, codec]` whatever the codec says. This module knows no message, no socket
and no clock. Reading raises `WireError` on bad bytes and nothing else.
"""

from __future__ import annotations

import dataclasses
import struct
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Protocol, TypeVar, runtime_checkable

from qd_fluvio.errors import WireError

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")


ELEMENTS_MAX = 1 << 31  # of all lists in one message: as many as its bytes allow


class Reader:
    """A position in bytes that were received; never reads past their end."""

    __slots__ = ("data", "elements_left", "position")

    def __init__(self, data: Buffer, elements_max: int = ELEMENTS_MAX) -> None:
        self.data = memoryview(data).cast("B")
        self.position = 0
        self.elements_left = elements_max

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, not copied."""
        start = self.position
        self.position = end = start + count
        if not start <= end <= len(self.data):
            raise WireError(
                f"found {len(self.data) - start} bytes where a length says {count}: "
                "the message is cut short or its length is wrong"
            )
        return self.data[start:end]

    def unpack(self, layout: struct.Struct) -> Any:
        """The next fixed-size value."""
        try:
            (value,) = layout.unpack_from(self.data, self.position)
        except struct.error:
            raise WireError(
                f"found {len(self.data) - self.position} bytes for a value of {layout.size}: "
                "the message is cut short"
            ) from None
        self.position += layout.size
        return value

    def count(self, layout: struct.Struct) -> int:
        """A number of elements that follow; each takes a byte at least."""
        count: int = self.unpack(layout)
        left = len(self.data) - self.position
        if count > left:
            raise WireError(
                f"found a count of {count} elements with {left} bytes left: "
                "the message is cut short or its count is wrong"
            )
        return max(count, 0)

    def elements(self, layout: struct.Struct) -> int:
        """A number of values that follow; a message may have so many only."""
        count = self.count(layout)
        self.elements_left -= count
        if self.elements_left < 0:
            raise WireError(f"found {count} elements in a list, more than a message may have")
        return count

    def finish(self, what: str) -> None:
        """Refuse bytes that belong to nothing."""
        if left := len(self.data) - self.position:
            raise WireError(f"found {left} bytes after {what}, expected none")


@runtime_checkable
class Codec(Protocol):
    """One value's layout."""

    def read(self, source: Reader, version: int) -> Any:
        """Take the value from `source`."""

    def write(self, out: bytearray, value: Any, version: int) -> None:
        """Append the value to `out`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Since:
    """The field is present from this version of the API on."""

    version: int


class Int:
    """A big-endian integer of a fixed size."""

    def __init__(self, letter: str) -> None:
        self._layout = struct.Struct(">" + letter)

    def read(self, source: Reader, version: int) -> int:
        """Take the integer."""
        value: int = source.unpack(self._layout)
        return value

    def write(self, out: bytearray, value: int, version: int) -> None:
        """Append the integer."""
        try:
            out += self._layout.pack(value)
        except struct.error as error:
            raise WireError(f"found {value!r} for an integer field: {error}") from None


_U8 = struct.Struct(">B")
_I16 = struct.Struct(">h")
_U16 = struct.Struct(">H")
_I32 = struct.Struct(">i")
STRING_BYTES_MAX = 0x7FFF  # its length is an i16


class BoolCodec:
    """One byte, 0 or 1."""

    def read(self, source: Reader, version: int) -> bool:
        """Take the truth value."""
        byte = source.unpack(_U8)
        if byte > 1:
            raise WireError(f"found byte {byte} for a truth value, expected 0 or 1")
        return bool(byte)

    def write(self, out: bytearray, value: bool, version: int) -> None:
        """Append the truth value."""
        out.append(1 if value else 0)


class StringCodec:
    """UTF-8 after an i16 length."""

    def read(self, source: Reader, version: int) -> str:
        """Take the text."""
        raw = source.take(max(source.unpack(_I16), 0))
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError as error:
            raise WireError(f"found text that is not UTF-8: {error}") from None

    def write(self, out: bytearray, value: str, version: int) -> None:
        """Append the text."""
        raw = value.encode("utf-8", "surrogateescape")
        if len(raw) > STRING_BYTES_MAX:
            raise WireError(f"found a text of {len(raw)} bytes, at most {STRING_BYTES_MAX} fit")
        out += _I16.pack(len(raw)) + raw


class BytesCodec:
    """Bytes after an i32 length; read without a copy."""

    def read(self, source: Reader, version: int) -> memoryview:
        """Take the bytes."""
        return source.take(source.count(_I32))

    def write(self, out: bytearray, value: Buffer, version: int) -> None:
        """Append the bytes."""
        out += _I32.pack(len(value))
        out += value


class RestCodec:
    """All bytes that are left."""

    def read(self, source: Reader, version: int) -> bytes:
        """Take the bytes."""
        return bytes(source.take(len(source.data) - source.position))

    def write(self, out: bytearray, value: Buffer, version: int) -> None:
        """Append the bytes."""
        out += value


class Array:
    """Values after an i32 count."""

    def __init__(self, item: Codec) -> None:
        self._item = item

    def read(self, source: Reader, version: int) -> tuple[Any, ...]:
        """Take all the values."""
        return tuple([self._item.read(source, version) for _ in range(source.elements(_I32))])

    def write(self, out: bytearray, value: tuple[Any, ...], version: int) -> None:
        """Append all the values."""
        out += _I32.pack(len(value))
        for item in value:
            self._item.write(out, item, version)


class Option:
    """A byte that says whether the value follows."""

    def __init__(self, item: Codec) -> None:
        self._item = item

    def read(self, source: Reader, version: int) -> Any:
        """Take the value, or None."""
        return self._item.read(source, version) if BOOL.read(source, version) else None

    def write(self, out: bytearray, value: Any, version: int) -> None:
        """Append the value, or that there is none."""
        BOOL.write(out, value is not None, version)
        if value is not None:
            self._item.write(out, value, version)


class PairsCodec:
    """A map, as pairs after a u16 count."""

    def __init__(self, key: object, value: object) -> None:
        self._key, self._value = codec_of(key), codec_of(value)

    def read(self, source: Reader, version: int) -> tuple[tuple[Any, Any], ...]:
        """Take all the pairs."""
        return tuple(
            (self._key.read(source, version), self._value.read(source, version))
            for _ in range(source.elements(_U16))
        )

    def write(self, out: bytearray, value: tuple[tuple[Any, Any], ...], version: int) -> None:
        """Append all the pairs."""
        out += _U16.pack(len(value))
        for left, right in value:
            self._key.write(out, left, version)
            self._value.write(out, right, version)


class Tagged:
    """One of several layouts, told by a tag before it: a byte where nothing else is said."""

    def __init__(self, layouts: Mapping[Any, type], tag: Codec | None = None) -> None:
        self._types = dict(layouts)
        self._tags = {layout: tag for tag, layout in layouts.items()}
        self._tag = tag or Int("B")

    def read(self, source: Reader, version: int) -> Any:
        """Take the tag and its value."""
        tag = self._tag.read(source, version)
        if tag not in self._types:
            raise WireError(f"found tag {tag!r}, expected one of {sorted(self._types)}")
        return struct_of(self._types[tag]).read(source, version)

    def write(self, out: bytearray, value: Any, version: int) -> None:
        """Append the tag and its value."""
        if type(value) not in self._tags:
            raise WireError(f"found a {type(value).__name__}, which has no tag here")
        self._tag.write(out, self._tags[type(value)], version)
        struct_of(type(value)).write(out, value, version)


@dataclasses.dataclass(frozen=True, slots=True)
class Labelled:
    """An object with the name of its kind; `body` stays bytes where the kind is unknown."""

    label: str
    body: Any


class LabelledCodec:
    """A kind's name, a u32 length, then the object of that kind."""

    def __init__(self, layouts: Mapping[str, object]) -> None:
        self._layouts = {label: codec_of(layout) for label, layout in layouts.items()}

    def read(self, source: Reader, version: int) -> Labelled:
        """Take the name and its object."""
        label = STRING.read(source, version)
        body = BYTES.read(source, version)
        if label not in self._layouts:
            return Labelled(label, bytes(body))
        inner = Reader(body, source.elements_left)
        value = self._layouts[label].read(inner, version)
        inner.finish(f"the {label}")
        return Labelled(label, value)

    def write(self, out: bytearray, value: Labelled, version: int) -> None:
        """Append the name and its object."""
        STRING.write(out, value.label, version)
        if isinstance(value.body, Buffer):
            BYTES.write(out, value.body, version)
            return
        if value.label not in self._layouts:
            raise WireError(f"found kind {value.label!r}, expected {sorted(self._layouts)}")
        inner = bytearray()
        self._layouts[value.label].write(inner, value.body, version)
        BYTES.write(out, inner, version)


class Struct:
    """A dataclass: its fields in order, those of the version only."""

    def __init__(self, layout: type) -> None:
        self._layout = layout
        hints = typing.get_type_hints(layout, include_extras=True)
        self._fields = [
            (field.name, codec_of(hints[field.name]), _since(hints[field.name]))
            for field in dataclasses.fields(layout)
        ]
        self._of_version: dict[int, list[tuple[str, Codec]]] = {}

    def read(self, source: Reader, version: int) -> Any:
        """Take the fields; absent ones get their defaults."""
        fields = self._of_version.get(version) or self._select(version)
        if len(fields) == len(self._fields):
            return self._layout(*[codec.read(source, version) for _, codec in fields])
        return self._layout(**{name: codec.read(source, version) for name, codec in fields})

    def write(self, out: bytearray, value: Any, version: int) -> None:
        """Append the fields."""
        for name, codec in self._of_version.get(version) or self._select(version):
            codec.write(out, getattr(value, name), version)

    def _select(self, version: int) -> list[tuple[str, Codec]]:
        fields = [(name, codec) for name, codec, since in self._fields if version >= since]
        self._of_version[version] = fields
        return fields


BOOL = BoolCodec()
STRING = StringCodec()
BYTES = BytesCodec()

I8 = Annotated[int, Int("b")]
U8 = Annotated[int, Int("B")]
I16 = Annotated[int, Int("h")]
U16 = Annotated[int, Int("H")]
I32 = Annotated[int, Int("i")]
U32 = Annotated[int, Int("I")]
I64 = Annotated[int, Int("q")]
U64 = Annotated[int, Int("Q")]
Bool = Annotated[bool, BOOL]
Str = Annotated[str, STRING]
Bytes = Annotated[Buffer, BYTES]
Rest = Annotated[bytes, RestCodec()]


_structs: dict[type, Struct] = {}


def struct_of(layout: type) -> Struct:
    """The codec of a message class, made once."""
    if layout not in _structs:
        _structs[layout] = Struct(layout)
    return _structs[layout]


def codec_of(hint: object) -> Codec:
    """The codec that a field's hint stands for."""
    if typing.get_origin(hint) is Annotated:
        base, *marks = typing.get_args(hint)
        return next((mark for mark in marks if isinstance(mark, Codec)), None) or codec_of(base)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return struct_of(hint)
    if typing.get_origin(hint) is tuple:
        return Array(codec_of(typing.get_args(hint)[0]))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (inner,) = [item for item in typing.get_args(hint) if item is not types.NoneType]
        return Option(codec_of(inner))
    raise TypeError(f"no layout for {hint!r}")


def _since(hint: object) -> int:
    """The first version that has the field."""
    if typing.get_origin(hint) is not Annotated:
        return 0
    return next((mark.version for mark in typing.get_args(hint) if isinstance(mark, Since)), 0)


def encode(value: object, version: int) -> bytes:
    """The bytes of one message.

    Raises
    ------
    WireError
        If a field does not fit its layout.
    """
    out = bytearray()
    struct_of(type(value)).write(out, value, version)
    return bytes(out)


def decode(layout: type[T], data: Buffer, version: int) -> T:
    """The message that `data` is, whole.

    Raises
    ------
    WireError
        If `data` is not exactly one such message.
    """
    source = Reader(data)
    value: T = struct_of(layout).read(source, version)
    source.finish(f"the {layout.__name__}")
    return value
