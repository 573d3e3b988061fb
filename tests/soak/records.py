"""What producers of the soak send: records that say whose they are, with a checksum."""

from __future__ import annotations

import random
import struct
import zlib
from typing import NamedTuple

_HEAD = struct.Struct("<BHHIII")  # the fields of Identity, then the filler's length and checksum
SMALL_BYTES_MAX = 400
LARGE_BYTES_MAX = 64_000
LARGE_SHARE = 0.005
_FILLER = random.Random(1).randbytes(LARGE_BYTES_MAX * 2)


class Identity(NamedTuple):
    """Which record it is.

    A producer's process has a number and, as it is killed and started again, a life. Each
    producer that it opens is an epoch, within which records are numbered from 0.
    """

    producer: int
    life: int
    epoch: int
    sequence: int

    @property
    def run(self) -> tuple[int, int, int]:
        """The sequence of records to which it belongs."""
        return self[:3]


def record_of(identity: Identity, rng: random.Random) -> bytes:
    """Return a record's value, mostly a small one."""
    size = rng.randint(0, LARGE_BYTES_MAX if rng.random() < LARGE_SHARE else SMALL_BYTES_MAX)
    start = rng.randrange(LARGE_BYTES_MAX)
    filler = _FILLER[start : start + size]
    return _HEAD.pack(*identity, size, zlib.crc32(filler)) + filler


def identity_of(value: bytes) -> Identity:
    """Return which record it is; raises ValueError unless it is whole and unchanged."""
    *fields, size, checksum = _HEAD.unpack_from(value)
    filler = value[_HEAD.size :]
    if len(filler) != size or zlib.crc32(filler) != checksum:
        raise ValueError(f"{Identity(*fields)} has {len(filler)} bytes, expected {size}, unchanged")
    return Identity(*fields)
