"""Committed offsets of named consumers, kept in one small file.

Every commit is in the file before it is acknowledged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qd_fluvio.broker.files import write_durably
from qd_fluvio.errors import LogError
from qd_fluvio.wire.data import ConsumerFilter, ConsumerOffset, ReplicaKey


@dataclass(frozen=True, slots=True)
class _Key:
    topic: str
    partition: int
    consumer_id: str


class ConsumerOffsets:
    """The last offset that each named consumer has read of each partition."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._offsets: dict[_Key, tuple[int, int]] = {}
        if path.exists():
            self._load()

    def commit(self, topic: str, partition: int, consumer_id: str, offset: int) -> None:
        """Remember the last offset that was read."""
        self._offsets[_Key(topic, partition, consumer_id)] = (offset, int(self._clock()))
        self._store()

    def delete(self, topic: str, partition: int, consumer_id: str) -> None:
        """Forget one consumer of one partition."""
        if self._offsets.pop(_Key(topic, partition, consumer_id), None):
            self._store()

    def delete_topic(self, topic: str) -> None:
        """Forget all consumers of a topic."""
        doomed = [key for key in self._offsets if key.topic == topic]
        for key in doomed:
            del self._offsets[key]
        if doomed:
            self._store()

    def find(self, wanted: ConsumerFilter | None) -> tuple[ConsumerOffset, ...]:
        """All committed offsets that the filter lets through."""
        wanted = wanted or ConsumerFilter()
        found = (
            ConsumerOffset(
                key.consumer_id, ReplicaKey(key.topic, key.partition), offset, modified_s
            )
            for key, (offset, modified_s) in self._offsets.items()
        )
        return tuple(
            item
            for item in found
            if wanted.replica in (None, item.replica)
            and wanted.consumer_id in (None, item.consumer_id)
        )

    def _load(self) -> None:
        try:
            rows = json.loads(self._path.read_bytes())
            self._offsets = {
                _Key(topic, partition, consumer_id): (offset, modified_s)
                for topic, partition, consumer_id, offset, modified_s in rows
            }
        except (OSError, ValueError, TypeError) as error:
            raise LogError(
                f"cannot read {self._path}: {error}: remove it to forget committed offsets"
            ) from error

    def _store(self) -> None:
        rows = [
            [key.topic, key.partition, key.consumer_id, offset, modified_s]
            for key, (offset, modified_s) in self._offsets.items()
        ]
        try:
            write_durably(self._path, json.dumps(rows).encode())
        except OSError as error:
            raise LogError(f"cannot write {self._path}: {error}") from error
