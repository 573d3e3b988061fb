"""How the records of a batch are compressed: Fluvio's four codecs, opened within a bound.

A batch's lowest three attribute bits name the codec; what follows the header is then one
gzip member, one snappy frame stream (not a raw block), one LZ4 frame or one zstd frame.
Only bytes in and bytes out: what they mean is `records`' business.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import cramjam

from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import Buffer

# A batch of 2 MiB, as large as one may be, that shrank to a 32nd: more is likely a bomb.
DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024
COMPRESSION_MASK = 0x07  # of a batch's attributes
# The first guess of the opened size, and how fast it grows when it proves too small.
_ROOM_BYTES_MIN = 16 * 1024
_GROWTH = 4
_ZSTD_LEVEL = 1  # Fluvio's
# How the library says that the room was too small; any other error is damage.
_NO_ROOM = "failed to write whole buffer"


class Compression(IntEnum):
    """The codec of one batch. A topic's policy has an enum, and numbers, of its own."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


_COMPRESS: dict[Compression, Callable[[Buffer], Any]] = {
    Compression.GZIP: cramjam.gzip.compress,
    Compression.SNAPPY: cramjam.snappy.compress,
    Compression.LZ4: cramjam.lz4.compress,
    Compression.ZSTD: lambda data: cramjam.zstd.compress(data, level=_ZSTD_LEVEL),
}
_DECOMPRESS: dict[Compression, Callable[[Buffer, bytearray], int]] = {
    Compression.GZIP: cramjam.gzip.decompress_into,
    Compression.SNAPPY: cramjam.snappy.decompress_into,
    Compression.LZ4: cramjam.lz4.decompress_into,
    Compression.ZSTD: cramjam.zstd.decompress_into,
}


def compression_of(attributes: int) -> Compression:
    """The codec that a batch's attributes name.

    Raises
    ------
    WireError
        If they name none.
    """
    code = attributes & COMPRESSION_MASK
    try:
        return Compression(code)
    except ValueError:
        raise WireError(
            f"found compression {code}, expected 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) "
            "or 4 (zstd)"
        ) from None


def compress(kind: Compression, data: Buffer) -> bytes:
    """Compress as Fluvio's clients do; `NONE` gives the bytes as they are."""
    if kind is Compression.NONE:
        return bytes(data)
    return bytes(_COMPRESS[kind](data))


def decompress(
    kind: Compression, data: Buffer, *, limit_bytes: int = DECOMPRESSED_BYTES_MAX
) -> bytes:
    """Open what `compress` or a Fluvio client made.

    Parameters
    ----------
    limit_bytes : int
        The most bytes that may come out.

    Raises
    ------
    WireError
        If the bytes are damaged, or more than `limit_bytes` come out.
    """
    if kind is Compression.NONE:
        return _bounded(data, limit_bytes)
    room = min(max(_GROWTH * len(data), _ROOM_BYTES_MIN), limit_bytes)
    while (opened := _open(kind, data, room)) is None:
        if room >= limit_bytes:
            raise _too_large(f"{len(data)} bytes of {kind.name.lower()}", limit_bytes)
        room = min(room * _GROWTH, limit_bytes)
    return opened


def _open(kind: Compression, data: Buffer, room: int) -> bytes | None:
    """The opened bytes, or None if they need more room."""
    out = bytearray(room)
    try:
        size = _DECOMPRESS[kind](data, out)
    except cramjam.DecompressionError as error:
        if _NO_ROOM in str(error):
            return None
        raise WireError(
            f"found {len(data)} bytes that are not {kind.name.lower()} ({error}): "
            "the batch is damaged"
        ) from None
    return bytes(memoryview(out)[:size])


def _bounded(data: Buffer, limit_bytes: int) -> bytes:
    if len(data) > limit_bytes:
        raise _too_large(f"{len(data)} bytes", limit_bytes)
    return bytes(data)


def _too_large(what: str, limit_bytes: int) -> WireError:
    return WireError(
        f"found {what} that hold more than {limit_bytes} bytes of records, "
        "expected at most that many: send smaller batches"
    )
