"""The broker's topics: their names, specs and logs, in memory and on disk.

A topic is a folder with its spec and one folder a partition. It appears under its name by
a rename once all of it is on the disk, and disappears by one, so that a crash leaves it
whole or gone. This module knows no network.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qd_fluvio.broker.deduplication import check_filter, is_native, native_filter
from qd_fluvio.broker.errors import InvalidTopicSettings
from qd_fluvio.broker.files import FilePool, refused, sync_folder, write_durably
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.policy import check_spec, partition_count, policy_of
from qd_fluvio.broker.settings import TOPIC_NAME_CHARACTERS_MAX, TOPICS_MAX, Durability
from qd_fluvio.errors import (
    InvalidTopicName,
    LogError,
    TopicExists,
    TopicNotFound,
    WireError,
)
from qd_fluvio.wire.codec import decode, encode
from qd_fluvio.wire.metadata import TopicSpec

SYSTEM_TOPIC = "consumer-offset"
_SPEC_NAME = "topic.json"
_SPEC_VERSION = 19  # of the wire layout in which the spec is kept
_log = logging.getLogger("broker.topics")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic and its partitions."""

    name: str
    spec: TopicSpec
    logs: tuple[PartitionLog, ...]


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


class Catalog:
    """All topics of one data folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    durability : Durability
        What a committed record survives.
    has_module : callable
        Whether the cluster has the SmartModule that a topic's deduplication names.
    files : FilePool or None
        Where descriptors come from; default: a share of what the process may open.
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        *,
        durability: Durability = Durability.PROCESS,
        has_module: Callable[[str], bool] = lambda name: False,
        files: FilePool | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._durability = durability
        self._has_module = has_module
        self._files = FilePool() if files is None else files
        self._clock = clock
        self._topics: dict[str, Topic] = {}
        self._busy: set[str] = set()
        self._serial = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
            self._open()
        except OSError as error:
            raise refused(f"open the topics in {folder}", error) from error

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
        if spec.deduplication is not None:
            check_filter(spec.deduplication, self._has_module)
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
            if isinstance(error, OSError):
                raise refused(f"create topic '{name}'", error) from error
            raise
        finally:
            self._busy.discard(name)
        return self._topics[name]

    async def delete(self, name: str) -> Topic:
        """Delete a topic and its files; its readers are told.

        Raises
        ------
        TopicNotFound
            If there is no such topic.
        LogError
            If the disk refuses; the next start finishes it, or the topic is there again.
        """
        topic = self._topics.pop(name, None)
        if topic is None:
            raise TopicNotFound("not found")
        self._busy.add(name)
        try:
            for log in topic.logs:
                log.mark_deleted()
            for log in topic.logs:
                await log.close()  # what still works on its files might meet a later topic's
            await asyncio.to_thread(self._remove, name)
        except OSError as error:
            raise refused(f"delete topic '{name}'", error) from error
        finally:
            self._busy.discard(name)
        return topic

    async def clean(self) -> int:
        """Apply every topic's retention once; gives how many files went.

        A partition whose disk refuses is logged, and does not keep the others waiting.
        """
        count = 0
        for log in [log for topic in self.topics() for log in topic.logs]:
            try:
                count += await log.clean()
            except LogError as error:
                _log.error("%s", error)
            await asyncio.sleep(0)  # clients come before the next one
        return count

    async def close(self) -> None:
        """Let go of all files."""
        for topic in self._topics.values():
            for log in topic.logs:
                await log.close()

    def _open(self) -> None:
        for path in sorted(self._folder.iterdir()):
            if not path.is_dir():
                continue
            if path.name.startswith("."):
                shutil.rmtree(path)  # an unfinished create or delete
            else:
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
        try:
            return Topic(path.name, spec, tuple(self._log(folder, spec) for folder in folders))
        except OSError as error:
            raise refused(f"open topic '{path.name}'", error) from error

    def _log(self, folder: Path, spec: TopicSpec) -> PartitionLog:
        wanted, make = spec.deduplication, None
        if wanted is not None and is_native(wanted):
            make = partial(native_filter, wanted)
        return PartitionLog(
            folder,
            policy_of(spec),
            durability=self._durability,
            files=self._files,
            make_transform=make,
            clock=self._clock,
        )

    def _write(self, name: str, spec: TopicSpec) -> None:
        draft = self._hidden(name)
        try:
            self._draft(draft, spec)
            draft.rename(self._folder / name)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_folder(self._folder)

    def _draft(self, draft: Path, spec: TopicSpec) -> None:
        draft.mkdir()
        kept = {"version": _SPEC_VERSION, "spec": encode(spec, _SPEC_VERSION).hex()}
        write_durably(draft / _SPEC_NAME, json.dumps(kept).encode())
        for number in range(partition_count(spec)):
            (draft / str(number)).mkdir()
        sync_folder(draft)

    def _remove(self, name: str) -> None:
        doomed = self._hidden(name)
        (self._folder / name).rename(doomed)
        sync_folder(self._folder)
        shutil.rmtree(doomed)

    def _hidden(self, name: str) -> Path:
        self._serial += 1
        return self._folder / f".{name}-{self._serial}"
