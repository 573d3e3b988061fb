"""The topics that one partition's run writes, and what they held when it began.

Records of input partition p go to partition p modulo the number of the output's partitions,
so their order stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from qd_fluvio.api import Fluvio, Producer, TopicSettings
from qd_fluvio.errors import TopicNotFound
from qd_fluvio.processors.checkpoint import Written
from qd_fluvio.processors.errors import NotAlone, ProcessorError
from qd_fluvio.processors.pipeline import Output
from qd_fluvio.processors.repeats import Tail
from qd_fluvio.processors.runner.states import SETTLE_ROUNDS_MAX, SETTLE_SECONDS, open_at
from qd_fluvio.processors.stamps import Source

TOPICS_MAX: Final = 1_000
"""Topics that one processor writes: each has a producer."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Topic:
    """One output topic, in the one partition that is written."""

    partition: int
    tail: Tail
    producer: Producer | None = None


class Outputs:
    """All topics of one partition's run.

    Parameters
    ----------
    fluvio : Fluvio
        The connection.
    source : Source
        Whose stamps count.
    partitions : int
        How many a topic gets that is made here: as many as the input.
    sole_writer : bool
        Whether unstamped records are told by what the topics hold.
    letters : str
        The topic of dead letters, which others may write too.
    """

    def __init__(
        self, fluvio: Fluvio, source: Source, partitions: int, *, sole_writer: bool, letters: str
    ) -> None:
        self._fluvio = fluvio
        self._source = source
        self._partitions = partitions
        self._sole_writer = sole_writer
        self._letters = letters
        self._topics: dict[str, _Topic] = {}

    async def recover(self, written: Mapping[str, Written]) -> None:
        """See what the topics hold behind a checkpoint.

        Records of a process that was killed may still be on their way: the ends are awaited.
        """
        ends = await self._settled(written)
        for name, before in written.items():
            found = ends.get(name)
            if found is None:  # deleted; made again when something is written
                continue
            partition, end = found
            tail = self._tail(name, before, end)
            await self._read(tail, name, partition)
            self._topics[name] = _Topic(partition, tail)

    def _tail(self, name: str, before: Written, end: int) -> Tail:
        return Tail(name, self._source, before, end, counts=self._counts(name))

    def _counts(self, name: str) -> bool:
        return self._sole_writer and name != self._letters

    async def _settled(self, written: Mapping[str, Written]) -> dict[str, tuple[int, int]]:
        """The partition and end of each topic, once the ends stand still."""
        before: dict[str, tuple[int, int]] | None = None
        for _ in range(SETTLE_ROUNDS_MAX):
            found = await self._ends(written)
            if found == before or not written:
                return found
            before = found
            await asyncio.sleep(SETTLE_SECONDS)
        return before or {}

    async def _ends(self, names: Mapping[str, Written]) -> dict[str, tuple[int, int]]:
        found = {}
        for name in names:
            with contextlib.suppress(TopicNotFound):
                partition = await self._partition_of(name)
                found[name] = (partition, await self._fluvio.end_offset(name, partition))
        return found

    async def _partition_of(self, name: str) -> int:
        known = self._topics.get(name)
        if known is not None:
            return known.partition
        partitions = (await self._fluvio.describe_topic(name)).partitions
        if self._counts(name) and partitions < self._partitions:
            raise NotAlone(
                f"topic {name!r} has {partitions} partitions for the input's {self._partitions}: "
                "several runs would write one of them; give it as many, or leave --sole-writer out"
            )
        return self._source.partition % partitions

    async def _read(self, tail: Tail, name: str, partition: int) -> None:
        if tail.start >= tail.end:
            return
        consumer = await open_at(self._fluvio, name, partition, tail.start)
        try:
            async for record in consumer.read_until(tail.end):
                tail.saw(record)
        finally:
            await consumer.aclose()

    def unknown(self, outputs: Sequence[Output]) -> list[str]:
        """The topics among these that no checkpoint knows yet."""
        names = dict.fromkeys(output.topic for output in outputs)
        return [name for name in names if name not in self._topics]

    async def begin(self, names: Sequence[str]) -> None:
        """Take topics in; they must be in a checkpoint before something is written."""
        for name in names:
            if len(self._topics) >= TOPICS_MAX:
                raise ProcessorError(
                    f"topic {name!r} would be number {TOPICS_MAX + 1} that is written; "
                    f"at most {TOPICS_MAX}: dispatch by something with fewer values"
                )
            await self._make(name)
            partition = await self._partition_of(name)
            end = await self._fluvio.end_offset(name, partition)
            self._topics[name] = _Topic(partition, self._tail(name, Written(end), end))

    async def _make(self, name: str) -> None:
        try:
            await self._fluvio.describe_topic(name)
        except TopicNotFound:
            settings = TopicSettings(partitions=self._partitions)
            await self._fluvio.create_topic(name, settings, exist_ok=True)
            _log.info("created topic %s", name)

    def states(self) -> dict[str, Written]:
        """How far each topic is written, once `flush` returned."""
        return {name: topic.tail.state() for name, topic in self._topics.items()}

    async def write(self, outputs: Sequence[Output]) -> int:
        """Send what is not written yet; gives how many these were."""
        sent = 0
        by_topic = sorted(outputs, key=attrgetter("topic"))  # stable: the order within stays
        for name, group in groupby(by_topic, key=attrgetter("topic")):
            topic = self._topics[name]
            new = [output for output in group if topic.tail.is_new(output)]
            if not new:
                continue
            if topic.producer is None:
                topic.producer = await self._fluvio.producer(name, partition=topic.partition)
            await topic.producer.send_many([o.value for o in new], [o.key for o in new])
            sent += len(new)
        return sent

    async def flush(self) -> None:
        """Return when the cluster has all that was sent, or raise."""
        for topic in self._topics.values():
            if topic.producer is not None:
                await topic.producer.flush()
