"""The declared layouts of all messages in construct, built from the table.

They are what the codec and the dtypes are proven against; the codec is faster.
"""

from __future__ import annotations

from typing import Any, Final

import construct

from qd_schemas.messages import Message
from qd_schemas.table import Layout, layout_of
from qd_schemas.wire import SCHEMA_ID, VERSION, Kind

_TYPES: Final[dict[Kind, Any]] = {
    Kind.U8: construct.Int8ul,
    Kind.U16: construct.Int16ul,
    Kind.U32: construct.Int32ul,
    Kind.I64: construct.Int64sl,
    Kind.F32: construct.Float32l,
    Kind.F64: construct.Float64l,
    Kind.B32: construct.Bytes(32),
}


def construct_layout(message: int | type[Message], version: int = VERSION) -> Any:
    """The construct layout of a message with its header.

    Parameters
    ----------
    message : int or type of Message
        A template id or a message class.
    version : int
        The schema's version.

    Returns
    -------
    construct.Struct
        Header and message type are constants; the message's own fields carry their names
        in Python. ``build`` takes the fields, ``parse`` gives them.
    """
    layout = layout_of(message)
    head = _head(layout, version)
    body = [field.name / _TYPES[field.kind] for field in layout.fields_in(version)]
    return construct.Struct(*head, *body)


def _head(layout: Layout, version: int) -> list[Any]:
    constants = {
        "block_length": layout.block_bytes(version),
        "template_id": layout.template,
        "schema_id": SCHEMA_ID,
        "version": version,
        "message_type": layout.template,
    }
    return [name / construct.Const(value, construct.Int16ul) for name, value in constants.items()]
