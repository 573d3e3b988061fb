"""Checkpoints in a topic: the state needs no volume, and lives where the output lives.

The topic has the partitions of the input's; the newest whole checkpoint of a partition counts.
Whoever finds checkpoints that it did not write must not go on: another process runs as well.
"""

from __future__ import annotations

import asyncio
from typing import Final

from qd_fluvio.api import Consumer, Fluvio, Offset, Producer, TopicSettings
from qd_fluvio.errors import OffsetOutOfRange
from qd_fluvio.processors.checkpoint import (
    PARTS_MAX,
    Checkpoint,
    encode,
    newest_whole,
    parts_of,
    read_part,
)
from qd_fluvio.processors.errors import StateUnusable, TakenOver

SEGMENT_BYTES: Final = 64 * 1024 * 1024
PARTITION_BYTES: Final = 4 * SEGMENT_BYTES
"""Old checkpoints go when there is more; the newest (at most 57.6 MB) never does."""
SETTLE_SECONDS: Final = 0.25
"""What a process that was killed had sent has arrived when nothing came for so long."""
SETTLE_ROUNDS_MAX: Final = 20
RETENTION_S: Final = 10 * 365 * 86_400
"""A processor may rest for years and go on."""


class States:
    """One partition's checkpoints; made by `open_states`."""

    def __init__(self, fluvio: Fluvio, topic: str, partition: int, producer: Producer) -> None:
        self._fluvio = fluvio
        self._topic = topic
        self._partition = partition
        self._producer = producer
        self._number = 0
        self._end = 0

    async def load(self) -> Checkpoint | None:
        """The newest whole checkpoint; None before the first.

        Raises
        ------
        StateUnusable
            There are records, and none of them make a whole one.
        """
        self._end = end = await self._settled_end()
        if end == 0:
            return None
        (newest,) = await self._read(end - 1, end)
        part = read_part(newest)
        starts = dict.fromkeys((max(end - part.part - 1, 0), max(end - 2 * PARTS_MAX, 0)))
        for start in starts:
            found = newest_whole(await self._read(start, end))
            if found is not None:
                self._number, checkpoint = found
                return checkpoint
        raise StateUnusable(
            f"topic {self._topic!r} has {end} records but no whole checkpoint among the last "
            f"{2 * PARTS_MAX}: delete it to begin anew, or choose another --id"
        )

    async def _settled_end(self) -> int:
        """The topic's end, once it stands still: a run that was killed may have been writing."""
        end = -1
        for _ in range(SETTLE_ROUNDS_MAX):
            found = await self._fluvio.end_offset(self._topic, self._partition)
            if found == end:
                return end
            end = found
            await asyncio.sleep(SETTLE_SECONDS)
        raise TakenOver(
            f"another process writes to {self._topic!r} all the time: run one process a partition, "
            "or give each an --id of its own"
        )

    async def _read(self, start: int, end: int) -> list[bytes]:
        consumer = await open_at(self._fluvio, self._topic, self._partition, start)
        try:
            return [record.value async for record in consumer.read_until(end)]
        finally:
            await consumer.aclose()

    async def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and return when the cluster has it.

        Raises
        ------
        TakenOver
            Somebody else wrote one since this process did.
        """
        parts = parts_of(encode(checkpoint), self._number + 1)
        end = await self._fluvio.end_offset(self._topic, self._partition)
        if end != self._end:
            raise TakenOver(
                f"another process runs {checkpoint.source.processor!r} on partition "
                f"{self._partition}: it wrote its state to {self._topic!r}; this one ends. Run "
                "one process a partition, or give each an --id of its own"
            )
        await self._producer.send_many(parts)
        await self._producer.flush()
        self._number += 1
        self._end += len(parts)


async def open_states(fluvio: Fluvio, topic: str, partition: int, partitions: int) -> States:
    """The checkpoints of one partition; their topic is made when it is missing.

    Raises
    ------
    StateUnusable
        The topic has too few partitions.
    """
    settings = TopicSettings(
        partitions=partitions,
        retention_s=RETENTION_S,
        segment_bytes=SEGMENT_BYTES,
        max_partition_bytes=PARTITION_BYTES,
    )
    await fluvio.create_topic(topic, settings, exist_ok=True)
    found = await fluvio.describe_topic(topic)
    if found.partitions <= partition:
        raise StateUnusable(
            f"topic {topic!r} has {found.partitions} partitions, but partition {partition} of the "
            "input is to be processed: choose another --id"
        )
    return States(fluvio, topic, partition, await fluvio.producer(topic, partition=partition))


async def open_at(fluvio: Fluvio, topic: str, partition: int, offset: int) -> Consumer:
    """A consumer at an offset, or at the oldest record where retention took that one."""
    where = Offset.absolute(offset)
    try:
        return await fluvio.consumer(topic, partition=partition, offset=where)
    except OffsetOutOfRange:
        return await fluvio.consumer(topic, partition=partition)
