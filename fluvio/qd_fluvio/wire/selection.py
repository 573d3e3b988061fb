"""Taking some records out of a batch, and leaving the rest as they are.

Times, keys, values and the compression stay; the offsets of what is left follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.compression import compression_of
from qd_fluvio.wire.records import COUNT, Batch, open_records, pack_batch, read_varint, varint

_TIME_AT = 1  # within a record, after its attributes
_TIME_MS_BOUND = 1 << 63


def select_records(data: Buffer, batch: Batch, keep: Sequence[bool]) -> bytes:
    """The batch with only the records for which `keep` says so, one at least.

    Raises
    ------
    WireError
        If the batch is damaged or a time beyond 64 bits, or `keep` has another length.
    """
    if len(keep) != batch.record_count or not any(keep):
        raise WireError(
            f"found {sum(keep)} of {len(keep)} records to keep, "
            f"expected some of {batch.record_count}"
        )
    records = _raw_records(open_records(data, batch))
    kept = [record for record, wanted in zip(records, keep, strict=True) if wanted]
    body = bytearray(COUNT.pack(len(kept)))
    for index, record in enumerate(kept):
        body += _renumbered(record, index)
    first_ms = batch.first_timestamp_ms
    latest_ms = max(first_ms + read_varint(record, _TIME_AT)[0] for record in kept)
    if not -_TIME_MS_BOUND <= latest_ms < _TIME_MS_BOUND:
        raise WireError(f"found a record of the time {latest_ms} ms, expected 64 bits at most")
    return pack_batch(
        body,
        len(kept),
        timestamps_ms=(first_ms, latest_ms),
        base_offset=batch.base_offset,
        compression=compression_of(batch.attributes),
    )


def _raw_records(body: memoryview) -> Iterator[memoryview]:
    """Each record without its length."""
    position = COUNT.size
    while position < len(body):
        length, start = read_varint(body, position)
        position = start + length
        yield body[start:position]


def _renumbered(record: memoryview, index: int) -> bytes:
    """The record with its length, and `index` for its offset within the batch."""
    _, offset_at = read_varint(record, _TIME_AT)
    _, key_at = read_varint(record, offset_at)
    inner = bytes(record[:offset_at]) + varint(index) + bytes(record[key_at:])
    return varint(len(inner)) + inner
