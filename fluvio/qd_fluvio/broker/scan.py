"""Walking batches back to back: where the good ones end, and where they go on.

Bytes in, places out: nothing here opens a file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from google_crc32c import value as crc32c

from qd_fluvio.broker.settings import BATCH_BYTES_MAX
from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.records import (
    CHECKED_FROM,
    HEADER_BYTES,
    MAGIC,
    PREAMBLE_BYTES,
    Batch,
    batch_at,
    checksum_holds,
)

# Blocks of this size, so far apart, hold every batch and the next one's header in one of them.
BLOCK_BYTES = 2 * BATCH_BYTES_MAX + HEADER_BYTES
SEARCH_STEP_BYTES = BATCH_BYTES_MAX
_OFFSET_MAX = (1 << 63) - 1
# Of a base offset, the bytes that are the same for all batches near each other.
_FIRST_BYTES = 3
_BITS_BELOW = 8 * (8 - _FIRST_BYTES)
# The rest of it, a length up to the limit, the leader epoch, the magic.
_HEAD_REST = b".{%d}\x00[\x00-%b].{2}.{4}\x02" % (
    8 - _FIRST_BYTES,
    re.escape(bytes([BATCH_BYTES_MAX >> 16])),
)
# Base offset, length, leader epoch, magic, checksum, attributes, last offset delta.
_HEAD = struct.Struct(">qiibIhi")


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a file that are no good batches, and the offsets that are lost with them."""

    start: int
    end: int
    first_offset: int
    next_offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file between two batches, and the offset of what follows it."""

    position: int
    offset: int


def good_run(data: bytes, offset: int, interval_bytes: int) -> tuple[Mark, list[Mark]]:
    """Check the batches at the start of `data`, which should begin with `offset`.

    Written for speed: all that an earlier process wrote comes through here once.

    Returns
    -------
    end : Mark
        Where the first bad or cut batch begins, or the data ends.
    marks : list of Mark
        Where batches begin, one about every `interval_bytes`.
    """
    end = noted = 0
    marks: list[Mark] = []
    while len(data) - end >= HEADER_BYTES:
        base, length, _, magic, checksum, _, delta = _HEAD.unpack_from(data, end)
        following = end + PREAMBLE_BYTES + length
        if (
            base != offset
            or magic != MAGIC
            or delta < 0
            or not end + HEADER_BYTES <= following <= len(data)
            or crc32c(data[end + CHECKED_FROM : following]) != checksum
        ):
            break
        if end >= noted:
            marks.append(Mark(end, offset))
            noted = end + interval_bytes
        end, offset = following, offset + delta + 1
    return Mark(end, offset), marks


def header_at(data: Buffer, start: int, offset: int) -> Batch | None:
    """The batch that begins at `start` with `offset`, whole or not."""
    batch = _header(data, start)
    return batch if batch is not None and batch.base_offset == offset else None


def fault_at(data: Buffer, start: int, offset: int) -> str:
    """Why there is no good batch at `start`, in words."""
    try:
        batch = batch_at(data, start)
    except WireError as error:
        return str(error)
    if batch.base_offset != offset:
        return f"found a batch of offset {batch.base_offset}, expected {offset}"
    if batch.end > len(data):
        return f"found {len(data) - start} bytes of a batch of {batch.end - start}"
    return "a batch fails its checksum"


def next_good(data: bytes, start: int, offset: int, end_offset: int | None) -> Batch | None:
    """Where good batches go on after the bad bytes at `start`, which should hold `offset`.

    A batch's checksum does not cover its offset, so another batch must agree with it: the
    one before, the one after, or what is known to come at the end.

    Parameters
    ----------
    end_offset : int or None
        The offset after the last batch, where the data ends with it and it is known.
    """
    claimed = header_at(data, start, offset)
    if claimed is not None:
        # Only the records are damaged: the length still leads to the next batch.
        batch = header_at(data, claimed.end, claimed.next_offset)
        if batch is not None and batch.end <= len(data) and checksum_holds(data, batch):
            return batch
    return next(_candidates(data, start, offset, end_offset), None)


def _candidates(data: bytes, start: int, offset: int, end_offset: int | None) -> Iterator[Batch]:
    for found in _heads(offset).finditer(data, start + 1):
        batch = _header(data, found.start())
        if (
            batch is not None
            and batch.base_offset >= offset
            and batch.end <= len(data)
            and _followed(data, batch, end_offset)
            and checksum_holds(data, batch)
        ):
            yield batch


def _heads(offset: int) -> re.Pattern[bytes]:
    """Where a batch may begin that comes after `offset`: so searched, bytes cost nanoseconds.

    Between the two are not so many records that more than one is added to the highest bytes.
    """
    firsts = (offset, min(offset + (1 << _BITS_BELOW), _OFFSET_MAX))
    first, other = (re.escape(base.to_bytes(8, "big")[:_FIRST_BYTES]) for base in firsts)
    return re.compile(b"(?=(?:%b|%b)%b)" % (first, other, _HEAD_REST), re.DOTALL)


def _followed(data: bytes, batch: Batch, end_offset: int | None) -> bool:
    if batch.end == len(data):
        return batch.next_offset == end_offset
    return header_at(data, batch.end, batch.next_offset) is not None


def _header(data: Buffer, start: int) -> Batch | None:
    try:
        batch = batch_at(data, start)
    except WireError:
        return None
    return batch if batch.end - batch.start <= BATCH_BYTES_MAX else None
