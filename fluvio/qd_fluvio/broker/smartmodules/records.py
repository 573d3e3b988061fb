"""Records that stay bytes: counted, cut and joined, but not decoded.

A block is what a batch holds once opened: an i32 count, then records, each after its
length. Reading raises `WireError` on bytes that are no records.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.records import read_varint

_COUNT = struct.Struct(">i")
_ATTRIBUTES_BYTES = 1  # of a record, after its length


@dataclass(frozen=True, slots=True)
class Block:
    """Records without their count in front."""

    count: int
    body: Buffer

    def packed(self) -> bytearray:
        """The count, then the records."""
        out = bytearray(_COUNT.pack(self.count))
        out += self.body
        return out


EMPTY = Block(0, b"")


def take_block(data: memoryview, start: int = 0) -> tuple[Block, int]:
    """The block at `start`, and where it ends."""
    if len(data) - start < _COUNT.size:
        raise WireError(f"found {len(data) - start} bytes for a record count, expected 4")
    (count,) = _COUNT.unpack_from(data, start)
    start += _COUNT.size
    end = _skip(data, start, count)
    return Block(max(count, 0), data[start:end]), end


def without_first(block: Block, count: int) -> Block:
    """The block without its first `count` records."""
    if count <= 0:
        return block
    view = memoryview(block.body)
    return Block(block.count - count, view[_skip(view, 0, count) :])


def joined(blocks: list[Block]) -> Block:
    """All records of the blocks, in order."""
    if len(blocks) == 1:
        return blocks[0]
    return Block(sum(block.count for block in blocks), b"".join(block.body for block in blocks))


def young_records(block: Block, since_ms: int) -> Block:
    """The records whose time, counted from their batch's, is `since_ms` or later."""
    view = memoryview(block.body)
    start, kept = 0, []
    for _ in range(block.count):
        end = _skip(view, start, 1)
        _, inside = read_varint(view, start)
        time_ms, _ = read_varint(view, inside + _ATTRIBUTES_BYTES)
        if time_ms >= since_ms:
            kept.append(view[start:end])
        start = end
    return Block(len(kept), b"".join(kept))


def _skip(data: memoryview, start: int, count: int) -> int:
    """Where the record after the next `count` begins."""
    size = len(data)
    for _ in range(count):
        length, start = read_varint(data, start)
        start += length
        if length < 0 or start > size:
            raise WireError(f"found a record length of {length}, beyond its block")
    return start
