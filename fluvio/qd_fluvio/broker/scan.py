"""Walking batches back to back: where the good ones end, and where they go on.

Bytes in, places out: nothing here opens a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qd_fluvio.broker.settings import BATCH_BYTES_MAX
from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.records import HEADER_BYTES, MAGIC, Batch, batch_at, checksum_holds

# Blocks of this size, half overlapping, hold every batch whole in one of them.
BLOCK_BYTES = 2 * BATCH_BYTES_MAX
_MAGIC_AT = 16


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a file that are no good batches, and the offsets that are lost with them."""

    start: int
    end: int
    first_offset: int
    next_offset: int
    reason: str


def good_batches(data: Buffer, start: int, offset: int, *, verify: bool) -> Iterator[Batch]:
    """The whole batches from `start` on that hold `offset` and what follows without a gap."""
    while True:
        batch = good_batch(data, start, offset, verify=verify)
        if batch is None:
            return
        yield batch
        start, offset = batch.end, batch.next_offset


def good_batch(data: Buffer, start: int, offset: int, *, verify: bool) -> Batch | None:
    """The batch at `start`, if it is whole and its first offset is `offset`."""
    batch = header_at(data, start, offset)
    if batch is None or batch.end > len(data):
        return None
    return batch if not verify or checksum_holds(data, batch) else None


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
        batch = good_batch(data, claimed.end, claimed.next_offset, verify=True)
        if batch is not None:
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
