"""Opening batches at speed: the bytes are copied once, the records cut out of that copy.

What `records.decode_records` does one record after another is done here for all at once
where records have one size and one key or none, as rows of one numpy array; others are
walked by the tightest loop that checks everything. Both read the same; tests hold them
against each other.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import google_crc32c
import numpy as np

from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.compression import (
    DECOMPRESSED_BYTES_MAX,
    Compression,
    compression_of,
    decompress,
)
from qd_fluvio.wire.records import (
    CHECKED_FROM,
    COUNT,
    HEADER_BYTES,
    RECORDS_MAX,
    SCHEMA_PRESENT,
    Batch,
)
from qd_fluvio.wire.records import read_varint as _read_long

_CRC = struct.Struct(">I")
_CRC_AT = 17
# Above this, copying the record costs so much that rows save nothing.
_ROW_VALUE_BYTES_MAX = 4096
_ROWS_MIN = 8
# Looking for rows costs something for each record that is left: it must win some part of them.
_ROWS_SHARE = 8
# Times further from a batch's first one are read one by one.
_DELTA_WIDTH_MAX = 8
# A record's offset within its batch takes 1, 2 or 3 bytes up to these.
_WIDTHS = ((64, 1), (8192, 2), (RECORDS_MAX, 3))


@dataclass(frozen=True, slots=True)
class Columns:
    """The records of one batch, column by column; all lists are as long.

    `opened_bytes` is what they took in the batch, not compressed.
    """

    timestamps_ms: list[int]
    keys: list[bytes | None]
    values: list[bytes]
    opened_bytes: int


def unpack_columns(
    data: Buffer, batch: Batch, *, limit_bytes: int = DECOMPRESSED_BYTES_MAX
) -> Columns:
    """Check and open a whole batch, compressed or not, of at most `limit_bytes` opened.

    Raises
    ------
    WireError
        If the batch is damaged or too large, has a schema, or over `RECORDS_MAX` records.
    """
    if batch.attributes & SCHEMA_PRESENT:
        raise WireError(f"found batch attributes {batch.attributes:#x}, expected no schema")
    if batch.record_count > RECORDS_MAX:
        raise WireError(f"found a batch of {batch.record_count} records, at most {RECORDS_MAX} fit")
    # One copy for all that follows: the checksum's library takes bytes only, and cutting
    # records out of bytes is the fastest.
    body = bytes(memoryview(data)[batch.start + CHECKED_FROM : batch.end])
    if google_crc32c.value(body) != _CRC.unpack_from(data, batch.start + _CRC_AT)[0]:
        raise WireError(
            f"the batch of {batch.record_count} records at offset {batch.base_offset} "
            "fails its checksum"
        )
    position = HEADER_BYTES - CHECKED_FROM
    kind = compression_of(batch.attributes)
    if kind is not Compression.NONE:
        body = decompress(kind, memoryview(body)[position:], limit_bytes=limit_bytes)
        position = 0
    if len(body) - position < COUNT.size:
        raise WireError("found a batch without a record count")
    (count,) = COUNT.unpack_from(body, position)
    if count != batch.record_count:
        raise WireError(f"found {count} records in a batch that takes {batch.record_count} offsets")
    return _columns(body, position + COUNT.size, batch)


def _columns(body: bytes, position: int, batch: Batch) -> Columns:
    columns = Columns([], [], [], len(body) - position)
    try:
        while len(columns.values) < batch.record_count:
            rows = _rows(body, position, columns, batch)
            position = rows or _walk(body, position, columns, batch)
    except IndexError:
        raise WireError("found a record that is cut short") from None
    if position != len(body):
        raise WireError(f"found {len(body) - position} bytes after the batch's records")
    return columns


@dataclass(frozen=True, slots=True)
class _Row:
    """Where the fields of a record are, as places in its bytes, and its key."""

    delta_at: int  # behind its length and attributes
    index_at: int
    key_at: int
    value_at: int
    size: int
    key: bytes | None


def _rows(body: bytes, position: int, columns: Columns, batch: Batch) -> int:
    """Take records as rows while they are alike; gives where they end, or 0 if few are."""
    first = len(columns.values)
    last, width = next((item for item in _WIDTHS if first < item[0]), (0, 0))
    count = min(last, batch.record_count) - first
    if count < _ROWS_MIN:
        return 0
    try:
        row = _row_at(body, position, width)
    except (IndexError, WireError):  # whether that is wrong, the walk says
        row = None
    if row is None:
        return 0
    count = min(count, (len(body) - position) // row.size)
    rows = np.frombuffer(body, np.uint8, count * row.size, position).reshape(count, row.size)
    taken = _alike(rows, row, _indexes(first, count, width))
    if taken < max(_ROWS_MIN, count // _ROWS_SHARE):
        return 0
    rows = rows[:taken]
    columns.timestamps_ms.extend(_times(rows[:, row.delta_at : row.index_at], batch))
    columns.keys.extend([row.key] * taken)
    columns.values.extend(_cells(rows[:, row.value_at : -1]))
    return position + taken * row.size


def _row_at(body: bytes, position: int, width: int) -> _Row | None:
    """The record's fields, if its index has this width, it has no header, and is not large."""
    size, start = _read_varint(body, position)
    end = start + size
    if not 0 < size <= _ROW_VALUE_BYTES_MAX:
        return None
    _, index_at = _read_varint(body, start + 1)
    key, key_at = None, index_at + width
    at = key_at + 1
    if body[key_at]:
        key, at = _read_counted(body, at, end)
    value_bytes, value_at = _read_varint(body, at)
    if value_bytes < 0 or value_at + value_bytes + 1 != end:
        return None
    if index_at - start - 1 > _DELTA_WIDTH_MAX:
        return None
    return _Row(
        delta_at=start + 1 - position,
        index_at=index_at - position,
        key_at=key_at - position,
        value_at=value_at - position,
        size=end - position,
        key=key,
    )


def _alike(rows: np.ndarray, row: _Row, indexes: np.ndarray) -> int:
    """How many of the first rows differ from the first one in index, time and value only."""
    first = rows[0]
    checks = (
        rows[:, : row.delta_at] == first[: row.delta_at],
        # Each byte of a number says whether another one follows.
        (rows[:, row.delta_at : row.index_at] ^ first[row.delta_at : row.index_at]) < 0x80,
        rows[:, row.index_at : row.key_at] == indexes,
        rows[:, row.key_at : row.value_at] == first[row.key_at : row.value_at],
        rows[:, -1:] == 0,
    )
    if all(check.all() for check in checks):
        return len(rows)
    same = np.logical_and.reduce([check.all(axis=1) for check in checks])
    return int(same.argmin())


def _times(cells: np.ndarray, batch: Batch) -> list[int]:
    """Times from how far they are from the batch's first one, as written, a row each."""
    if len(cells) > 1 and (cells == cells[0]).all():
        return _times(cells[:1], batch) * len(cells)
    raw = np.zeros(len(cells), np.uint64)
    for place in range(cells.shape[1]):
        raw |= (cells[:, place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
    deltas = (raw >> np.uint64(1)).astype(np.int64) ^ -(raw & np.uint64(1)).astype(np.int64)
    return [batch.first_timestamp_ms + delta for delta in deltas.tolist()]


def _cells(cells: np.ndarray) -> list[bytes]:
    count, size = cells.shape
    if not size:
        return [b""] * count
    found: list[bytes] = np.ascontiguousarray(cells).view(f"V{size}").ravel().tolist()
    return found


def _indexes(first: int, count: int, width: int) -> np.ndarray:
    """The offsets within a batch as they are written, a row each."""
    raw = np.arange(first, first + count, dtype=np.uint32) * 2  # zigzag of what is not negative
    columns = [(raw >> (7 * place)) & 0x7F | 0x80 for place in range(width)]
    columns[-1] &= 0x7F
    return np.stack(columns, axis=1).astype(np.uint8)


def _walk(body: bytes, position: int, columns: Columns, batch: Batch) -> int:
    """Take all records that are left, one after another; gives where they end.

    Integers of one byte, as most are, are read in place: calls would take most of the time.
    """
    timestamps, keys, values = columns.timestamps_ms, columns.keys, columns.values
    first_ms = batch.first_timestamp_ms
    limit = len(body)
    for _ in range(batch.record_count - len(values)):
        size, position = _read_varint(body, position)
        end = position + size
        if size < 0 or end > limit:
            raise WireError(f"found a record length of {size}, beyond its batch")
        position += 1  # attributes
        low = body[position]
        delta, position = (
            ((low >> 1) ^ -(low & 1), position + 1) if low < 0x80 else _read_varint(body, position)
        )
        # The offset within the batch: counted instead.
        position = position + 1 if body[position] < 0x80 else _read_varint(body, position)[1]
        if position >= end:
            raise WireError("found a record that ends before its key")
        key = None
        position += 1
        if body[position - 1]:
            key, position = _read_counted(body, position, end)
        value_bytes, position = _read_varint(body, position)
        after = position + value_bytes
        if value_bytes < 0 or after > end:
            raise WireError(f"found a field of {value_bytes} bytes with {end - position} left")
        values.append(body[position:after])
        # The number of headers: users have none.
        position = after + 1 if body[after] < 0x80 else _read_varint(body, after)[1]
        if position != end:
            raise WireError(f"found a record that ends {end - position} bytes before its length")
        timestamps.append(first_ms + delta)
        keys.append(key)
    return position


def _read_counted(body: bytes, position: int, end: int) -> tuple[bytes, int]:
    size, position = _read_varint(body, position)
    if not 0 <= size <= end - position:
        raise WireError(f"found a field of {size} bytes with {end - position} left")
    return body[position : position + size], position + size


def _read_varint(body: bytes, position: int) -> tuple[int, int]:
    """A zigzag integer; those of one and two bytes without a loop."""
    low = body[position]
    if low < 0x80:
        return (low >> 1) ^ -(low & 1), position + 1
    high = body[position + 1]
    if high < 0x80:
        raw = low & 0x7F | high << 7
        return (raw >> 1) ^ -(raw & 1), position + 2
    return _read_long(memoryview(body), position)
