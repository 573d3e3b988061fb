"""Writing batches at speed: a whole batch costs little more than copying its records.

What `records.encode_batch` does one record after another is done here for all at once:
records of one size and without keys as rows of one numpy array, others as one join of
ready-made pieces. Both give the same bytes; tests hold them against each other.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import google_crc32c
import numpy as np

from qd_fluvio.errors import WireError
from qd_fluvio.wire.compression import Compression, compress
from qd_fluvio.wire.records import (
    CHECKED_FROM,
    COUNT,
    NO_TIMESTAMP,
    batch_header,
    varint,
)

# Offsets within a batch are written from a table of this many, so a batch holds no more.
BATCH_RECORDS_MAX = 8192
# Above this, copying the record costs so much that rows save nothing.
_ROW_VALUE_BYTES_MAX = 512
_ROWS_MIN = 8
_INDEXES = tuple(varint(index) for index in range(BATCH_RECORDS_MAX))
# Where the offset within the batch begins to take two bytes.
_TWO_BYTES_FROM = 64
_INDEX_BYTES = (
    np.frombuffer(b"".join(_INDEXES[:_TWO_BYTES_FROM]), np.uint8).reshape(-1, 1),
    np.frombuffer(b"".join(_INDEXES[_TWO_BYTES_FROM:]), np.uint8).reshape(-1, 2),
)
_END = b"\0"  # no headers
_ATTRIBUTES_AND_TIME = b"\0\0"
_NO_KEY = b"\0"


def pack_columns(
    values: Sequence[bytes],
    keys: Sequence[bytes | None] | None = None,
    *,
    timestamp_ms: int = NO_TIMESTAMP,
    compression: Compression = Compression.NONE,
) -> tuple[bytes, bytes]:
    """Write one batch of records, all of one time; gives its header and what follows it.

    Parameters
    ----------
    values : sequence of bytes
        1 to `BATCH_RECORDS_MAX` records.
    keys : sequence of bytes or None
        As many keys; None where no record has one.

    Raises
    ------
    WireError
        If there are no records, or too many.
    """
    if not 1 <= len(values) <= BATCH_RECORDS_MAX:
        raise WireError(f"found {len(values)} records for a batch, expected 1 to 8192")
    body = _packed(values, keys)
    if compression is not Compression.NONE:
        body = compress(compression, body)
    make = functools.partial(
        batch_header,
        len(body),
        len(values),
        timestamps_ms=(timestamp_ms, timestamp_ms),
        compression=compression,
    )
    checksum = google_crc32c.extend(google_crc32c.value(make()[CHECKED_FROM:]), body)
    return make(checksum=checksum), body


def _packed(values: Sequence[bytes], keys: Sequence[bytes | None] | None) -> bytes:
    count = COUNT.pack(len(values))
    if keys is not None and any(key is not None for key in keys):
        return count + _keyed_records(values, keys)
    size = len(values[0])
    if len(values) >= _ROWS_MIN and size <= _ROW_VALUE_BYTES_MAX:
        packed = b"".join(values)
        if len(packed) == size * len(values) and {size}.issuperset(map(len, values)):
            return count + _rows(packed, size, len(values))
    return count + _records(values)


def _rows(packed: bytes, size: int, count: int) -> bytes:
    """Records of one size: a row each, in two blocks for short and long offsets."""
    cells = np.frombuffer(packed, np.uint8).reshape(count, size)
    short = _block(cells[:_TWO_BYTES_FROM], _INDEX_BYTES[0])
    if count <= _TWO_BYTES_FROM:
        return short
    return short + _block(cells[_TWO_BYTES_FROM:], _INDEX_BYTES[1])


def _block(cells: np.ndarray, indexes: np.ndarray) -> bytes:
    count, size = cells.shape
    width = indexes.shape[1]
    head, tail = _frame_of(size, width)
    rows = np.empty((count, len(head) + width + len(tail) + size + 1), np.uint8)
    at = len(head)
    rows[:, :at] = np.frombuffer(head, np.uint8)
    rows[:, at : at + width] = indexes[:count]
    at += width
    rows[:, at : at + len(tail)] = np.frombuffer(tail, np.uint8)
    at += len(tail)
    rows[:, at : at + size] = cells
    rows[:, -1] = 0
    return rows.tobytes()


@functools.lru_cache(maxsize=4096)
def _frame_of(size: int, width: int) -> tuple[bytes, bytes]:
    """What stands before and after the offset of a record without a key."""
    tail = _NO_KEY + varint(size)
    inner = len(_ATTRIBUTES_AND_TIME) + width + len(tail) + size + len(_END)
    return varint(inner) + _ATTRIBUTES_AND_TIME, tail


def _records(values: Sequence[bytes]) -> bytes:
    """Records of any sizes: four pieces each, joined once."""
    count = len(values)
    sizes = list(map(len, values))
    pieces: list[bytes] = [b""] * (4 * count + 1)
    frames = [_ended(size, 1) for size in sizes[:_TWO_BYTES_FROM]]
    frames += [_ended(size, 2) for size in sizes[_TWO_BYTES_FROM:]]
    pieces[0:-1:4], pieces[2::4] = zip(*frames, strict=True)
    pieces[0] = pieces[0][len(_END) :]  # nothing ends before the first
    pieces[1::4] = _INDEXES[:count]
    pieces[3::4] = values
    pieces[-1] = _END
    return b"".join(pieces)


@functools.lru_cache(maxsize=4096)
def _ended(size: int, width: int) -> tuple[bytes, bytes]:
    """`_frame_of`, the end of the record before included."""
    head, tail = _frame_of(size, width)
    return _END + head, tail


def _keyed_records(values: Sequence[bytes], keys: Sequence[bytes | None]) -> bytes:
    pieces: list[bytes] = []
    for index, key, value in zip(_INDEXES, keys, values, strict=False):
        keyed = _NO_KEY if key is None else b"\1" + varint(len(key)) + key
        size = varint(len(value))
        inner = len(_ATTRIBUTES_AND_TIME) + len(index) + len(keyed) + len(size) + len(value) + 1
        pieces += (varint(inner), _ATTRIBUTES_AND_TIME, index, keyed, size, value, _END)
    return b"".join(pieces)
