"""The table of messages and fields, read once from the classes in `qd_schemas.messages`.

The codec, the construct layouts and the numpy dtypes are all built from it.
"""

from __future__ import annotations

import dataclasses
from enum import IntEnum
from functools import cached_property
from typing import Final, get_args, get_type_hints

from qd_schemas.errors import EncodeError
from qd_schemas.messages import MESSAGES, Message
from qd_schemas.wire import HEADER_BYTES, MESSAGE_TYPE_BYTES, Kind, Since


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field of a message's block.

    Attributes
    ----------
    name, wire_name : str
        Its name in Python and in the XML.
    offset : int
        Bytes from the block's start.
    since : int
        The version that brought it.
    values : type of IntEnum or None
        The closed set it comes from.
    default : int, float or None
        What it is where the sender left it out; None where it cannot be left out.
    """

    name: str
    wire_name: str
    kind: Kind
    offset: int
    since: int
    values: type[IntEnum] | None
    default: int | float | None


@dataclasses.dataclass(frozen=True)
class Layout:
    """One message's fields after ``messageType``, in the order of the wire."""

    message: type[Message]
    template: int
    name: str
    wire_name: str
    since: int
    fields: tuple[Field, ...]

    def fields_in(self, version: int) -> tuple[Field, ...]:
        """The fields that a sender of `version` writes; it must have the message."""
        if version < self.since:
            raise EncodeError(
                f"version {version} has no {self.name}; it came with version {self.since}"
            )
        return tuple(field for field in self.fields if field.since <= version)

    def block_bytes(self, version: int) -> int:
        """The block's length in `version`."""
        return MESSAGE_TYPE_BYTES + sum(field.kind.size for field in self.fields_in(version))

    def total_bytes(self, version: int) -> int:
        """The length of the message with its header in `version`."""
        return HEADER_BYTES + self.block_bytes(version)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The fields' names in Python."""
        return tuple(field.name for field in self.fields)


def _wire_name(name: str) -> str:
    """``client_id`` is ``clientID`` in the XML, ``date_time`` is ``dateTime``."""
    first, *rest = name.split("_")
    return first + "".join("ID" if word == "id" else word.capitalize() for word in rest)


def _default_of(field: dataclasses.Field[object]) -> int | float | None:
    default = field.default
    return default if isinstance(default, int | float) else None


def _layout(message: type[Message]) -> Layout:
    """Read a message class's annotations."""
    hints = get_type_hints(message, include_extras=True)
    offset = MESSAGE_TYPE_BYTES
    fields: list[Field] = []
    for declared in dataclasses.fields(message):  # type: ignore[arg-type]
        marks = get_args(hints[declared.name])[1:]
        kind = next(mark for mark in marks if isinstance(mark, Kind))
        since = next((mark.version for mark in marks if isinstance(mark, Since)), message.SINCE)
        values = next((mark for mark in marks if isinstance(mark, type)), None)
        wire_name = _wire_name(declared.name)
        default = _default_of(declared)
        fields.append(Field(declared.name, wire_name, kind, offset, since, values, default))
        offset += kind.size
    name = message.__name__
    wire_name = message.REFERENCE_NAME or name
    return Layout(message, message.TEMPLATE, name, wire_name, message.SINCE, tuple(fields))


LAYOUTS: Final[dict[int, Layout]] = {layout.template: layout for layout in map(_layout, MESSAGES)}
"""Every message's layout by template id."""


def layout_of(message: int | type[Message]) -> Layout:
    """The layout of a message class or template id."""
    return LAYOUTS[message if isinstance(message, int) else message.TEMPLATE]
