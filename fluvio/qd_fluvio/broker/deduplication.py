"""Finding duplicates as Fluvio's `dedup-filter` does: by key, within bounds.

A record is a duplicate while an earlier one of the same key is remembered; records without
a key are told apart by their value. A record is remembered while it is among the newest
`count` of the partition, or its time is at most `age` before the newest time: what is
remembered follows from the partition's records alone, and is the same after a restart.
Fluvio's own filters promise these bounds at least, and forget in larger steps.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qd_fluvio.broker.errors import DeduplicationNameInvalid, DeduplicationUnknown
from qd_fluvio.broker.settings import DEDUPLICATION_RECORDS_MAX
from qd_fluvio.wire.metadata import Deduplication

if TYPE_CHECKING:
    from qd_fluvio.wire.unpacking import Columns

# The names of Fluvio's own filters, in whatever group and version.
FILTER_NAMES = frozenset({"dedup-filter", "dedup-bloom-filter"})
_DIGEST_BYTES = 16


class Deduplicator:
    """Remembers the newest records of one partition by their keys."""

    def __init__(self, count: int, age_ms: int = 0) -> None:
        self._count = count
        self._age_ms = age_ms
        self._seen: set[bytes] = set()
        self._order: deque[tuple[int, bytes]] = deque()
        self._newest_ms = 0

    @property
    def look_back(self) -> int:
        """How many of the newest records must be remembered before the first decision."""
        return DEDUPLICATION_RECORDS_MAX if self._age_ms else self._count

    def remember(self, records: Columns) -> None:
        """Take a batch that the partition has already, oldest first."""
        self.keep(records)

    def keep(self, records: Columns) -> Sequence[bool]:
        """Say of each record of a batch whether it is new."""
        return list(map(self._is_new, records.timestamps_ms, records.keys, records.values))

    def _is_new(self, timestamp_ms: int, key: bytes | None, value: bytes) -> bool:
        identity = _identity(key, value)
        if identity in self._seen:
            return False
        self._seen.add(identity)
        self._order.append((timestamp_ms, identity))
        self._newest_ms = max(self._newest_ms, timestamp_ms)
        while self._may_forget():
            self._seen.discard(self._order.popleft()[1])
        return True

    def _may_forget(self) -> bool:
        if len(self._order) <= self._count:
            return False
        if not self._age_ms or len(self._order) > DEDUPLICATION_RECORDS_MAX:
            return True
        return self._order[0][0] < self._newest_ms - self._age_ms


def _identity(key: bytes | None, value: bytes) -> bytes:
    """Short and as good as equal: what a key or value is remembered by."""
    content, mark = (value, b"value") if key is None else (key, b"key")
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, person=mark).digest()


def is_native(wanted: Deduplication) -> bool:
    """Whether the topic names one of Fluvio's own filters."""
    name, _, _ = wanted.transform.uses.rpartition("/")[2].partition("@")
    return name in FILTER_NAMES


def check_filter(wanted: Deduplication, has_module: Callable[[str], bool]) -> None:
    """Refuse a filter that is neither Fluvio's own nor a SmartModule that the cluster has.

    Raises
    ------
    DeduplicationNameInvalid
        If no SmartModule can be named so.
    DeduplicationUnknown
        If there is none of that name.
    """
    uses, native = wanted.transform.uses, is_native(wanted)
    if not native and has_module(uses):
        return
    name, at, version = uses.rpartition("/")[2].partition("@")
    if not name or (at and not version.replace(".", "").isalnum()):
        raise DeduplicationNameInvalid(
            f"found filter {uses!r}, expected a name, group/name or group/name@version"
        )
    if not native:
        raise DeduplicationUnknown(
            f"found filter {uses!r} for duplicates, expected a SmartModule that the cluster "
            f"has, or one of {', '.join(sorted(FILTER_NAMES))}"
        )


def native_filter(wanted: Deduplication) -> Deduplicator:
    """What does as Fluvio's own filters do, within the topic's bounds."""
    age = wanted.bounds.age
    age_ms = 0 if age is None else age.seconds * 1_000 + age.nanoseconds // 1_000_000
    return Deduplicator(wanted.bounds.count, age_ms)
