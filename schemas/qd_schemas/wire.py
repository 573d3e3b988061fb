"""The primitive types of the schema and the constants of its header.

Everything is little endian. A header is ``blockLength templateId schemaId version``, four
u16; the block begins with ``messageType`` (u16), equal to the template id.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final, NamedTuple

SCHEMA_ID: Final = 1
VERSION_REFERENCE: Final = 1
"""The version of the reference system's messages."""
VERSION: Final = 2
"""The newest version that this package speaks."""

HEADER_BYTES: Final = 8
HEADER_FIELDS: Final = ("block_length", "template_id", "schema_id", "version")
MESSAGE_TYPE_BYTES: Final = 2

NO_STREAM: Final = 2**32 - 1
"""A stream id that is not there (null of u32)."""
NO_TIME: Final = 2**63 - 1
"""A time in microseconds that is not there: an open end of a range (null of i64)."""
NO_COUNT: Final = 2**63 - 1
"""A count that is not there, as from a version 1 sender (null of i64)."""
NO_REASON: Final = 2**8 - 1
"""An end reason that is not there, as from a version 1 sender (null of u8)."""
NO_CHOICE: Final = 2**8 - 1
"""A choice that is not there, as from a version 1 sender (null of u8)."""
NO_DETAIL: Final = 2**16 - 1
"""A template id or a reason that is not there, as from a version 1 sender (null of u16)."""


class Kind(Enum):
    """A type of field: its primitive in SBE, its codes in struct and numpy, its size and null.

    `B32` is an array of 32 `uint8`; all others are one value.
    """

    U8 = ("uint8", "B", "<u1", 1, 2**8 - 1)
    U16 = ("uint16", "H", "<u2", 2, 2**16 - 1)
    U32 = ("uint32", "I", "<u4", 4, 2**32 - 1)
    I64 = ("int64", "q", "<i8", 8, 2**63 - 1)
    F32 = ("float", "f", "<f4", 4, None)
    F64 = ("double", "d", "<f8", 8, None)
    B32 = ("uint8", "32s", "V32", 32, None)

    def __init__(
        self, sbe_name: str, struct_code: str, numpy_code: str, size: int, null: int | None
    ) -> None:
        self.sbe_name = sbe_name
        self.struct_code = struct_code
        self.numpy_code = numpy_code
        self.size = size
        self.null = null

    @property
    def described(self) -> str:
        """The type for messages, such as ``uint16``, or ``32 bytes``."""
        return f"{self.size} bytes" if self is Kind.B32 else self.sbe_name


class Since(NamedTuple):
    """Marks a field as added in a version of the schema."""

    version: int


V2: Final = Since(2)

U8 = Annotated[int, Kind.U8]
U16 = Annotated[int, Kind.U16]
U32 = Annotated[int, Kind.U32]
I64 = Annotated[int, Kind.I64]
F32 = Annotated[float, Kind.F32]
F64 = Annotated[float, Kind.F64]
B32 = Annotated[bytes, Kind.B32]
