"""Record batches: a fixed header, then records that most code never opens.

A partition is a row of batches. A batch says how long it is, which offsets it holds, and
a checksum of all that follows the checksum; its base offset and leader epoch are outside
of it, so that a broker gives offsets without touching the records. Reading one record
after another is for tests and tools: the data path walks headers only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import google_crc32c

from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.compression import (
    COMPRESSION_MASK,
    DECOMPRESSED_BYTES_MAX,
    Compression,
    compress,
    compression_of,
    decompress,
)

# base offset, length, leader epoch, magic, crc | attributes, last offset delta,
# first and max timestamp, producer id, producer epoch, first sequence
_HEADER = struct.Struct(">qiibIhiqqqhi")
_BASE_OFFSET = struct.Struct(">q")
_CRC = struct.Struct(">I")
COUNT = struct.Struct(">i")
HEADER_BYTES = _HEADER.size
PREAMBLE_BYTES = 12  # base offset and length, which the length does not count
_CRC_AT = 17
CHECKED_FROM = 21  # what the checksum covers
MAGIC = 2
SCHEMA_PRESENT = 0x10
NO_TIMESTAMP = -1
_VARINT_BYTES_MAX = 10
# A record takes one byte at least for each of its fields. More empty ones than these fit
# into a compressed batch, but into no reader's memory.
RECORD_BYTES_MIN = 7
RECORDS_MAX = 1 << 20
# Of one partition in one request: clients send a few, and each costs more than its bytes.
BATCHES_MAX = 4_096


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch's place in a buffer and what its header says."""

    start: int
    end: int
    base_offset: int
    record_count: int
    attributes: int
    first_timestamp_ms: int

    @property
    def next_offset(self) -> int:
        """The offset after the batch's last record."""
        return self.base_offset + self.record_count


@dataclass(frozen=True, slots=True)
class WireRecord:
    """One record of a batch, opened."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes


def batch_at(data: Buffer, start: int) -> Batch:
    """Read the header of the batch that begins at `start`; its records may be absent.

    Raises
    ------
    WireError
        If no batch can begin so.
    """
    if len(data) - start < HEADER_BYTES:
        raise WireError(
            f"found {len(data) - start} bytes for a batch header, expected {HEADER_BYTES}"
        )
    base, length, _, magic, _, attributes, delta, first, _, _, _, _ = _HEADER.unpack_from(
        data, start
    )
    if magic != MAGIC:
        raise WireError(f"found batch magic {magic}, expected {MAGIC}")
    if length < HEADER_BYTES - PREAMBLE_BYTES:
        raise WireError(f"found a batch length of {length}, shorter than its header")
    if delta < 0 or base < 0:
        raise WireError(f"found a batch of offsets {base} and {delta} on, expected 0 or more")
    end = start + PREAMBLE_BYTES + length
    return Batch(start, end, base, delta + 1, attributes, first)


def iter_batches(data: Buffer) -> Iterator[Batch]:
    """The whole batches of `data` in order; one that is cut at the end is left out.

    Raises
    ------
    WireError
        If bytes are found where no batch can begin.
    """
    start = 0
    while len(data) - start >= HEADER_BYTES:
        batch = batch_at(data, start)
        if batch.end > len(data):
            return
        yield batch
        start = batch.end


def checksum_holds(data: Buffer, batch: Batch) -> bool:
    """Whether the batch's bytes are those its checksum was made of."""
    expected: int = _CRC.unpack_from(data, batch.start + _CRC_AT)[0]
    # The C library takes bytes only.
    found: int = google_crc32c.value(
        bytes(memoryview(data)[batch.start + CHECKED_FROM : batch.end])
    )
    return found == expected


def checked_batches(data: Buffer) -> list[Batch]:
    """The batches of `data`, which must be whole, with right checksums and possible counts.

    Raises
    ------
    WireError
        If anything is cut, damaged or left over, if there are over `BATCHES_MAX`, or one
        has more records than its readers can open.
    """
    batches = list(islice(iter_batches(data), BATCHES_MAX + 1))
    if len(batches) > BATCHES_MAX:
        raise WireError(
            f"found over {BATCHES_MAX} batches at once, expected at most that many: "
            "put more records into a batch"
        )
    end = batches[-1].end if batches else 0
    if end != len(data):
        raise WireError(f"found {len(data) - end} bytes after the last whole batch, expected none")
    for batch in batches:
        if not checksum_holds(data, batch):
            raise WireError(f"the batch of {batch.record_count} records fails its checksum")
        _check_count(data, batch)
    return batches


def _check_count(data: Buffer, batch: Batch) -> None:
    """Refuse what no reader could ever get past, or would put a gap into the partition."""
    if batch.attributes & SCHEMA_PRESENT:
        raise _schema_found(batch)
    records_max = RECORDS_MAX
    if not batch.attributes & COMPRESSION_MASK:  # else its reader compares the counts
        records = memoryview(data)[batch.start + HEADER_BYTES : batch.end]
        _compare_count(records, batch)
        records_max = min(records_max, (len(records) - COUNT.size) // RECORD_BYTES_MIN)
    if batch.record_count > records_max:
        raise WireError(
            f"found {batch.record_count} records in a batch of {batch.end - batch.start} bytes, "
            f"expected at most {records_max}: send smaller batches"
        )


def _schema_found(batch: Batch) -> WireError:
    return WireError(f"found batch attributes {batch.attributes:#x}, expected no schema")


def _compare_count(records: memoryview, batch: Batch) -> None:
    if len(records) < COUNT.size:
        raise WireError("found a batch without a record count")
    (count,) = COUNT.unpack_from(records)
    if count != batch.record_count:
        raise WireError(f"found {count} records in a batch that takes {batch.record_count} offsets")


def set_base_offset(data: memoryview, batch: Batch, offset: int) -> None:
    """Give the batch its offset, in place; the checksum does not cover it."""
    _BASE_OFFSET.pack_into(data, batch.start, offset)


def decode_records(
    data: Buffer, batch: Batch, *, limit_bytes: int = DECOMPRESSED_BYTES_MAX
) -> list[WireRecord]:
    """Open a batch, compressed or not, whose opened records take at most `limit_bytes`.

    Raises
    ------
    WireError
        If the batch is cut, damaged or too large, or has a schema.
    """
    view = open_records(data, batch, limit_bytes=limit_bytes)
    position = COUNT.size
    records = []
    for index in range(batch.record_count):
        record, position = _decode_record(view, position, batch, index)
        records.append(record)
    if position != len(view):
        raise WireError(f"found {len(view) - position} bytes after the batch's records")
    return records


def open_records(
    data: Buffer, batch: Batch, *, limit_bytes: int = DECOMPRESSED_BYTES_MAX
) -> memoryview:
    """A batch's count and records as they were before compression, not copied if they are.

    Raises
    ------
    WireError
        If the batch is cut, damaged or too large, or has a schema.
    """
    if batch.attributes & SCHEMA_PRESENT:
        raise _schema_found(batch)
    view = memoryview(data)[batch.start + HEADER_BYTES : batch.end]
    kind = compression_of(batch.attributes)
    if kind is not Compression.NONE:
        view = memoryview(decompress(kind, view, limit_bytes=limit_bytes))
    _compare_count(view, batch)
    return view


def _decode_record(
    view: memoryview, position: int, batch: Batch, index: int
) -> tuple[WireRecord, int]:
    length, position = read_varint(view, position)
    end = position + length
    if length < 0 or end > len(view):
        raise WireError(f"found a record length of {length}, beyond its batch")
    position += 1  # attributes
    timestamp, position = read_varint(view, position)
    _, position = read_varint(view, position)  # offset delta: counted instead
    key: bytes | None = None
    if position >= end:
        raise WireError("found a record that ends before its key")
    if view[position]:
        key, position = _read_counted(view, position + 1, end)
    else:
        position += 1
    value, position = _read_counted(view, position, end)
    _, position = read_varint(view, position)  # number of headers: users have none
    if position != end:
        raise WireError(f"found a record that ends {end - position} bytes before its length")
    record = WireRecord(batch.base_offset + index, batch.first_timestamp_ms + timestamp, key, value)
    return record, end


def _read_counted(view: memoryview, position: int, end: int) -> tuple[bytes, int]:
    length, position = read_varint(view, position)
    if not 0 <= length <= end - position:
        raise WireError(f"found a field of {length} bytes with {end - position} left")
    return bytes(view[position : position + length]), position + length


def read_varint(view: memoryview, position: int) -> tuple[int, int]:
    """A zigzag integer of 7 bits a byte, lowest first."""
    raw = 0
    for shift in range(0, 7 * _VARINT_BYTES_MAX, 7):
        if position >= len(view):
            raise WireError("found a variable-length integer that is cut short")
        byte = view[position]
        position += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), position
    raise WireError(f"found a variable-length integer of over {_VARINT_BYTES_MAX} bytes")


def varint(value: int) -> bytes:
    """A zigzag integer of 7 bits a byte, lowest first."""
    raw = (value << 1) ^ (value >> 63)
    out = bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    out.append(raw)
    return bytes(out)


def encode_batch(
    records: Sequence[tuple[bytes | None, bytes]],
    *,
    timestamp_ms: int = NO_TIMESTAMP,
    base_offset: int = 0,
    compression: Compression = Compression.NONE,
) -> bytes:
    """Write one batch of (key, value) records, all of one time.

    Raises
    ------
    WireError
        If there are no records.
    """
    if not records:
        raise WireError("found no records for a batch, expected one at least")
    body = bytearray(COUNT.pack(len(records)))
    for index, (key, value) in enumerate(records):
        body += _encode_record(index, key, value)
    return pack_batch(
        body,
        len(records),
        timestamps_ms=(timestamp_ms, timestamp_ms),
        base_offset=base_offset,
        compression=compression,
    )


def pack_batch(
    body: Buffer,
    offsets: int,
    *,
    timestamps_ms: tuple[int, int] = (NO_TIMESTAMP, NO_TIMESTAMP),
    base_offset: int = 0,
    compression: Compression = Compression.NONE,
) -> bytes:
    """Write a header before a count and its records, and compress them.

    Parameters
    ----------
    body : Buffer
        The count and the records, as `open_records` gives them.
    offsets : int
        How many offsets the batch takes: the count, unless records were filtered out.
    timestamps_ms : tuple of int
        The first record's and the latest, in ms since 1970.
    """
    if compression is not Compression.NONE:
        body = compress(compression, body)
    head = batch_header(
        len(body),
        offsets,
        timestamps_ms=timestamps_ms,
        base_offset=base_offset,
        compression=compression,
    )
    batch = bytearray(head)
    batch += body
    _CRC.pack_into(batch, _CRC_AT, google_crc32c.value(bytes(batch[CHECKED_FROM:])))
    return bytes(batch)


def batch_header(
    body_bytes: int,
    offsets: int,
    *,
    timestamps_ms: tuple[int, int],
    base_offset: int = 0,
    compression: Compression = Compression.NONE,
    checksum: int = 0,
) -> bytes:
    """Write what stands before a batch's (compressed) count and records."""
    return _HEADER.pack(
        base_offset,
        HEADER_BYTES - PREAMBLE_BYTES + body_bytes,
        -1,
        MAGIC,
        checksum,
        compression,
        offsets - 1,
        *timestamps_ms,
        -1,
        -1,
        -1,
    )


def _encode_record(index: int, key: bytes | None, value: bytes) -> bytes:
    keyed = b"\0" if key is None else b"\1" + varint(len(key)) + key
    inner = b"\0" + varint(0) + varint(index) + keyed + varint(len(value)) + value + varint(0)
    return varint(len(inner)) + inner
