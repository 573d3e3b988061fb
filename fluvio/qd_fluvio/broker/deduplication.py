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

from qd_fluvio.broker.errors import DeduplicationNameInvalid, DeduplicationUnknown
from qd_fluvio.broker.settings import DEDUPLICATION_RECORDS_MAX
from qd_fluvio.broker.transform import LookBack, Transform, TransformFactory
from qd_fluvio.wire.metadata import Deduplication
from qd_fluvio.wire.records import WireRecord

# The names of Fluvio's own filters, in whatever group and version.
FILTER_NAMES = frozenset({"dedup-filter", "dedup-bloom-filter"})
_DIGEST_BYTES = 16


class Deduplicator:
    """Remembers the newest records of one partition by their keys."""

    def __init__(self, count: int, age_ms: int = 0) -> None:
        self._bounds = LookBack(count, age_ms)
        self._seen: set[bytes] = set()
        self._order: deque[tuple[int, bytes]] = deque()
        self._newest_ms = 0

    @property
    def look_back(self) -> LookBack:
        """What must be remembered before the first decision."""
        return self._bounds

    def remember(self, records: Sequence[WireRecord]) -> None:
        """Take records that the partition has already, oldest first."""
        for record in records:
            self._is_new(record)

    def keep(self, records: Sequence[WireRecord]) -> Sequence[bool]:
        """Say of each record whether it is new."""
        return [self._is_new(record) for record in records]

    def _is_new(self, record: WireRecord) -> bool:
        identity = _identity(record)
        if identity in self._seen:
            return False
        self._seen.add(identity)
        self._order.append((record.timestamp_ms, identity))
        self._newest_ms = max(self._newest_ms, record.timestamp_ms)
        while self._may_forget():
            self._seen.discard(self._order.popleft()[1])
        return True

    def _may_forget(self) -> bool:
        if len(self._order) <= self._bounds.count:
            return False
        if not self._bounds.age_ms or len(self._order) > DEDUPLICATION_RECORDS_MAX:
            return True
        return self._order[0][0] < self._newest_ms - self._bounds.age_ms


def _identity(record: WireRecord) -> bytes:
    """Short and as good as equal: what a key or value is remembered by."""
    content = record.value if record.key is None else record.key
    mark = b"value" if record.key is None else b"key"
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, person=mark).digest()


def is_native(wanted: Deduplication) -> bool:
    """Whether the topic names one of Fluvio's own filters."""
    return _filter_name(wanted) in FILTER_NAMES


def _filter_name(wanted: Deduplication) -> str:
    name, _, _ = wanted.transform.uses.rpartition("/")[2].partition("@")
    return name


def with_modules(has: Callable[[str], bool]) -> TransformFactory:
    """Makes filters where a topic may also name a SmartModule that the cluster has."""

    def make(wanted: Deduplication) -> Transform | None:
        if not is_native(wanted) and has(wanted.transform.uses):
            return None
        return native_transform(wanted)

    return make


def native_transform(wanted: Deduplication) -> Transform:
    """The filter that a topic names, if it is one of Fluvio's own.

    Raises
    ------
    DeduplicationNameInvalid
        If no SmartModule can be named so.
    DeduplicationUnknown
        If it is another.
    """
    uses = wanted.transform.uses
    name, at, version = uses.rpartition("/")[2].partition("@")
    if not name or (at and not version.replace(".", "").isalnum()):
        raise DeduplicationNameInvalid(
            f"found filter {uses!r}, expected a name, group/name or group/name@version"
        )
    if name not in FILTER_NAMES:
        raise DeduplicationUnknown(
            f"found filter {uses!r} for duplicates, expected a SmartModule that the cluster "
            f"has, or one of {', '.join(sorted(FILTER_NAMES))}"
        )
    age = wanted.bounds.age
    age_ms = 0 if age is None else age.seconds * 1_000 + age.nanoseconds // 1_000_000
    return Deduplicator(wanted.bounds.count, age_ms)
