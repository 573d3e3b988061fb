"""The numpy dtypes of rows and messages; those of messages come from the table.

`TRADE` and `BAR` are what users get: one row a trade or bar, times in microseconds since
the epoch, UTC, prices and volumes exact (f64).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

from qd_schemas.messages import Message
from qd_schemas.table import layout_of
from qd_schemas.wire import HEADER_FIELDS, VERSION

Rows: TypeAlias = np.ndarray[tuple[int], np.dtype[np.void]]
"""A one-dimensional structured array."""

TRADE: Final[np.dtype[np.void]] = np.dtype(
    [("sequence", "<i8"), ("time", "<i8"), ("price", "<f8"), ("volume", "<f8")]
)
"""A trade: its sequence within the market (from 1), its time, price and volume."""

BAR: Final[np.dtype[np.void]] = np.dtype(
    [
        ("time", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
    ]
)
"""A bar: the time of its start, its four prices and the volume traded in it."""


def message_dtype(message: int | type[Message], version: int = VERSION) -> np.dtype[np.void]:
    """The dtype of a message with its 8-byte header.

    Parameters
    ----------
    message : int or type of Message
        A template id or a message class.
    version : int
        The schema's version.

    Returns
    -------
    numpy.dtype
        Packed; fields ``block_length template_id schema_id version message_type``, then
        the message's own.
    """
    head = [(name, "<u2") for name in (*HEADER_FIELDS, "message_type")]
    fields = layout_of(message).fields_in(version)
    return np.dtype(head + [(field.name, field.kind.numpy_code) for field in fields])
