"""The broker's topics: their names, specs and logs, in memory and on disk.

A topic is a folder with its spec and one folder a partition. It appears under its name by
a rename once all of it is on the disk, and disappears by one, so that a crash leaves it
whole or gone. This module knows no network.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from qd_fluvio.broker.errors import InvalidTopicSettings
from qd_fluvio.broker.files import sync_folder, write_durably
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.settings import (
    PARTITIONS_PER_TOPIC_MAX,
    RETENTION_S_MIN,
    SEGMENT_BYTES_DEFAULT,
    SEGMENT_BYTES_MIN,
    TOPIC_NAME_CHARACTERS_MAX,
    TOPICS_MAX,
)
from qd_fluvio.errors import (
    InvalidTopicName,
    LogError,
    TopicExists,
    TopicNotFound,
    WireError,
)
from qd_fluvio.wire.codec import decode, encode
from qd_fluvio.wire.metadata import AssignedReplicas, TopicSpec

SYSTEM_TOPIC = "consumer-offset"
_SPEC_NAME = "topic.json"
_SPEC_VERSION = 19  # of the wire layout in which the spec is kept
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic and its partitions."""

    name: str
    spec: TopicSpec
    logs: tuple[PartitionLog, ...]


def partition_count(spec: TopicSpec) -> int:
    """How many partitions a topic of this spec has."""
    if isinstance(spec.replicas, AssignedReplicas):
        return len(spec.replicas.partitions)
    return spec.replicas.partitions


def check_name(name: str) -> None:
    """Apply Fluvio's rule for names."""
    good = (
        0 < len(name) <= TOPIC_NAME_CHARACTERS_MAX
        and set(name) <= _LETTERS
        and not name.startswith("-")
        and not name.endswith("-")
    )
    if not good:
        raise InvalidTopicName(
            f"found topic name {name!r}, expected 1 to {TOPIC_NAME_CHARACTERS_MAX} characters, "
            "only lowercase letters, digits and '-', which is neither first nor last"
        )


def check_spec(spec: TopicSpec) -> None:
    """Refuse what one local broker cannot be: replicas, no partitions, tiny limits."""
    count = partition_count(spec)
    if not 0 < count <= PARTITIONS_PER_TOPIC_MAX:
        raise InvalidTopicSettings(
            f"found {count} partitions, expected 1 to {PARTITIONS_PER_TOPIC_MAX}"
        )
    factor = getattr(spec.replicas, "replication_factor", 1)
    if factor != 1:
        raise InvalidTopicSettings(f"found {factor} replicas, expected 1: this cluster has one SPU")
    if spec.cleanup is not None and spec.cleanup.retention_s < RETENTION_S_MIN:
        raise InvalidTopicSettings(
            f"found a retention of {spec.cleanup.retention_s} s, expected {RETENTION_S_MIN} or more"
        )
    segment_bytes = _segment_bytes(spec)
    if segment_bytes < SEGMENT_BYTES_MIN:
        raise InvalidTopicSettings(
            f"found segments of {segment_bytes} bytes, expected {SEGMENT_BYTES_MIN} or more"
        )


def _segment_bytes(spec: TopicSpec) -> int:
    if spec.storage is None or spec.storage.segment_bytes is None:
        return SEGMENT_BYTES_DEFAULT
    return spec.storage.segment_bytes


class Catalog:
    """All topics of one data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._topics: dict[str, Topic] = {}
        self._busy: set[str] = set()
        self._serial = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._open()

    def topics(self) -> list[Topic]:
        """All topics, by name."""
        return [self._topics[name] for name in sorted(self._topics)]

    def find(self, name: str) -> Topic | None:
        """The topic of that name."""
        return self._topics.get(name)

    def log(self, name: str, partition: int) -> PartitionLog:
        """One partition's log.

        Raises
        ------
        TopicNotFound
            If there is no such topic or partition.
        """
        topic = self._topics.get(name)
        if topic is None or partition >= len(topic.logs):
            raise TopicNotFound(f"found no partition {partition} of topic {name!r}")
        return topic.logs[partition]

    def check_new(self, name: str, spec: TopicSpec) -> None:
        """Refuse a topic that cannot be created."""
        check_name(name)
        check_spec(spec)
        if name == SYSTEM_TOPIC or name in self._topics or name in self._busy:
            raise TopicExists(f"topic '{name}' already exists")
        if len(self._topics) + len(self._busy) >= TOPICS_MAX:
            raise InvalidTopicSettings(f"found {TOPICS_MAX} topics already: delete some first")

    async def create(self, name: str, spec: TopicSpec) -> Topic:
        """Make a topic; it is on the disk when this returns.

        Raises
        ------
        InvalidTopicName, InvalidTopicSettings, TopicExists
            If it cannot be made.
        LogError
            If the disk refuses.
        """
        self.check_new(name, spec)
        self._busy.add(name)
        try:
            await asyncio.to_thread(self._write, name, spec)
            self._topics[name] = self._load(self._folder / name)
        except (OSError, LogError) as error:
            await asyncio.to_thread(shutil.rmtree, self._folder / name, ignore_errors=True)
            raise LogError(f"cannot create topic '{name}': {error}") from error
        finally:
            self._busy.discard(name)
        return self._topics[name]

    async def delete(self, name: str) -> Topic:
        """Delete a topic and its files; its readers are told.

        Raises
        ------
        TopicNotFound
            If there is no such topic.
        """
        topic = self._topics.pop(name, None)
        if topic is None:
            raise TopicNotFound("not found")
        self._busy.add(name)
        try:
            for log in topic.logs:
                log.mark_deleted()
            await asyncio.to_thread(self._remove, name)
            for log in topic.logs:
                await log.close()
        finally:
            self._busy.discard(name)
        return topic

    async def close(self) -> None:
        """Let go of all files."""
        for topic in self._topics.values():
            for log in topic.logs:
                await log.close()

    def _open(self) -> None:
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith("."):
                shutil.rmtree(path)  # an unfinished create or delete
            elif path.is_dir():
                topic = self._load(path)
                self._topics[topic.name] = topic

    def _load(self, path: Path) -> Topic:
        try:
            kept = json.loads((path / _SPEC_NAME).read_bytes())
            spec = decode(TopicSpec, bytes.fromhex(kept["spec"]), kept["version"])
        except (OSError, ValueError, KeyError, TypeError, WireError) as error:
            raise LogError(
                f"cannot read {path / _SPEC_NAME}: {error}: restore it, or remove its folder"
            ) from error
        folders = [path / str(number) for number in range(partition_count(spec))]
        size = _segment_bytes(spec)
        return Topic(path.name, spec, tuple(PartitionLog(folder, size) for folder in folders))

    def _write(self, name: str, spec: TopicSpec) -> None:
        draft = self._hidden(name)
        draft.mkdir()
        kept = {"version": _SPEC_VERSION, "spec": encode(spec, _SPEC_VERSION).hex()}
        write_durably(draft / _SPEC_NAME, json.dumps(kept).encode())
        for number in range(partition_count(spec)):
            (draft / str(number)).mkdir()
        sync_folder(draft)
        draft.rename(self._folder / name)
        sync_folder(self._folder)

    def _remove(self, name: str) -> None:
        doomed = self._hidden(name)
        (self._folder / name).rename(doomed)
        sync_folder(self._folder)
        shutil.rmtree(doomed)

    def _hidden(self, name: str) -> Path:
        self._serial += 1
        return self._folder / f".{name}-{self._serial}"
