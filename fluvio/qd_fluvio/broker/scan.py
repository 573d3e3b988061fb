"""Walking batches back to back: where the good ones end, and where they go on.

Bytes in, places out: nothing here opens a file.
"""

from __future__ import annotations

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

# Blocks of this size, half overlapping, hold every batch whole in one of them.
BLOCK_BYTES = 2 * BATCH_BYTES_MAX
_MAGIC_AT = 16
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


def next_good(data: Buffer, start: int, offset: int, *, whole: bool) -> Batch | None:
    """Where good batches go on after the bad bytes at `start`, which should hold `offset`.

    Parameters
    ----------
    whole : bool
        Whether the data ends where the file does.
    """
    claimed = header_at(data, start, offset)
    if claimed is not None:
        # Only the records are damaged: the length still leads to the next batch.
        batch = header_at(data, claimed.end, claimed.next_offset)
        if batch is not None and batch.end <= len(data) and checksum_holds(data, batch):
            return batch
    return next(_candidates(data, start, offset, whole=whole), None)


def _candidates(data: Buffer, start: int, offset: int, *, whole: bool) -> Iterator[Batch]:
    """Batches with right checksums that another one, or the end of the file, follows.

    Records may hold bytes that look like a batch, but not one that the log goes on after.
    """
    raw = bytes(data)
    at = raw.find(MAGIC, start + 1 + _MAGIC_AT)
    while at >= 0:
        batch = _header(raw, at - _MAGIC_AT)
        if (
            batch is not None
            and batch.base_offset >= offset
            and batch.end <= len(raw)
            and checksum_holds(raw, batch)
            and _followed(raw, batch, whole=whole)
        ):
            yield batch
        at = raw.find(MAGIC, at + 1)


def _followed(data: Buffer, batch: Batch, *, whole: bool) -> bool:
    if len(data) - batch.end < HEADER_BYTES:
        return batch.end == len(data) or not whole
    return header_at(data, batch.end, batch.next_offset) is not None


def _header(data: Buffer, start: int) -> Batch | None:
    try:
        batch = batch_at(data, start)
    except WireError:
        return None
    return batch if batch.end - batch.start <= BATCH_BYTES_MAX else None
