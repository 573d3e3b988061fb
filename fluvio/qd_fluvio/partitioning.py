"""Which partition a record goes to: Fluvio's rule, so that both clients agree.

A record with a key goes where the key's SipHash-2-4 says, with a seed of zeros, over the
key's length as eight bytes and the key; one without a key goes to the next partition.
Source: the partitioner of Fluvio's Rust client.
"""

from __future__ import annotations

import functools
import struct

_WORD = struct.Struct("<Q")
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_SEED = (0x736F_6D65_7073_6575, 0x646F_7261_6E64_6F6D, 0x6C79_6765_6E65_7261, 0x7465_6462_7974_6573)
# Keys are often few, such as the symbols of a market, and hashing is slow in Python.
_KEYS_REMEMBERED = 65_536
_KEY_BYTES_REMEMBERED_MAX = 64


def siphash24(message: bytes) -> int:
    """SipHash-2-4 with a key of zeros; 64 bits.

    Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
    """
    state = _SEED
    whole = len(message) & ~7
    for (word,) in _WORD.iter_unpack(message[:whole]):
        state = _absorb(state, word)
    last = int.from_bytes(message[whole:], "little") | (len(message) & 0xFF) << 56
    v0, v1, v2, v3 = _absorb(state, last)
    state = v0, v1, v2 ^ 0xFF, v3
    for _ in range(4):
        state = _round(*state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


_State = tuple[int, int, int, int]


def _absorb(state: _State, word: int) -> _State:
    v0, v1, v2, v3 = state
    v0, v1, v2, v3 = _round(*_round(v0, v1, v2, v3 ^ word))
    return v0 ^ word, v1, v2, v3


def _round(v0: int, v1: int, v2: int, v3: int) -> _State:
    v0 = (v0 + v1) & _MASK
    v1 = _rotated(v1, 13) ^ v0
    v0 = _rotated(v0, 32)
    v2 = (v2 + v3) & _MASK
    v3 = _rotated(v3, 16) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = _rotated(v3, 21) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = _rotated(v1, 17) ^ v2
    return v0, v1, _rotated(v2, 32), v3


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _MASK


def partition_of_key(key: bytes, partitions: int) -> int:
    """The partition, of so many, that all records with this key go to."""
    return siphash24(_WORD.pack(len(key)) + key) % partitions


_remembered = functools.lru_cache(_KEYS_REMEMBERED)(partition_of_key)


class Partitioner:
    """Chooses the partition of each record of one producer.

    Parameters
    ----------
    partitions : int
        How many the topic has.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._keyless = 0

    def choose(self, key: bytes | None) -> int:
        """The next record's partition."""
        if key is not None:
            hashed = _remembered if len(key) <= _KEY_BYTES_REMEMBERED_MAX else partition_of_key
            return hashed(key, self._partitions)
        chosen = self._keyless % self._partitions
        self._keyless += 1
        return chosen
