"""Any message of the schema, and any rows, for hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from qd_schemas.arrays import Rows
from qd_schemas.messages import Message
from qd_schemas.table import LAYOUTS, Field, Layout
from qd_schemas.wire import VERSION, Kind

Values = st.SearchStrategy[int] | st.SearchStrategy[float] | st.SearchStrategy[bytes]

_VALUES: dict[Kind, Values] = {
    Kind.U8: st.integers(0, 2**8 - 1),
    Kind.U16: st.integers(0, 2**16 - 1),
    Kind.U32: st.integers(0, 2**32 - 1),
    Kind.I64: st.integers(-(2**63), 2**63 - 1),
    # NaN is left out here only because it does not equal itself.
    Kind.F32: st.floats(width=32, allow_nan=False),
    Kind.F64: st.floats(allow_nan=False),
    Kind.B32: st.binary(min_size=32, max_size=32),
}


def values_of(field: Field) -> Values:
    return _VALUES[field.kind]


def message_of(layout: Layout, version: int = VERSION) -> st.SearchStrategy[Message]:
    """A message with any values in the fields that `version` has; the others are absent."""
    fields = {field.name: values_of(field) for field in layout.fields_in(version)}
    return st.builds(layout.message, **fields)


def messages(version: int = VERSION) -> st.SearchStrategy[Message]:
    layouts = [layout for layout in LAYOUTS.values() if layout.since <= version]
    return st.sampled_from(layouts).flatmap(lambda layout: message_of(layout, version))


def rows_of(dtype: np.dtype[np.void], rows_max: int = 50) -> st.SearchStrategy[Rows]:
    """Any bits at all in rows of a dtype, NaN included."""
    bits = st.binary(max_size=rows_max * dtype.itemsize)
    return bits.map(
        lambda raw: np.frombuffer(raw[: len(raw) // dtype.itemsize * dtype.itemsize], dtype)
    )


def ascending(rows: Rows, first: int) -> Rows:
    """The same trades with consecutive sequence numbers."""
    rows = rows.copy()
    rows["sequence"] = np.arange(first, first + len(rows))
    return rows
