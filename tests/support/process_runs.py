"""Processors run on topics of a cluster: input in, what the topics hold out, nothing left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from qd_fluvio import Fluvio, Record, TopicSettings
from qd_fluvio.limits import DEFAULT_LIMITS, Limits
from qd_fluvio.processors import Processor, Source
from qd_fluvio.processors.pipeline import Pipeline
from qd_fluvio.processors.runner import Counts, RunSettings, run_processor
from qd_schemas.specs import FluvioSettings

Held = list[tuple[bytes | None, bytes]]


@dataclass
class Bench:
    """One input topic, and runs of processors over it."""

    cluster: FluvioSettings
    fluvio: Fluvio
    name: str
    limits: Limits = DEFAULT_LIMITS
    others: list[str] = field(default_factory=list)

    @property
    def settings(self) -> RunSettings:
        """A run from the beginning to the end of what is there."""
        return RunSettings(self.name, f"{self.name}-out", self.name, from_beginning=True, once=True)

    def with_(self, **changes: Any) -> RunSettings:
        return replace(self.settings, **changes)

    async def open(self, partitions: int = 1) -> None:
        await self.fluvio.create_topic(self.name, TopicSettings(partitions))

    async def put(self, values: Sequence[bytes], partition: int = 0, **more: Any) -> None:
        producer = await self.fluvio.producer(self.name, partition=partition)
        await producer.send_many(values, **more)
        await producer.aclose()

    async def run(self, processor: Processor, settings: RunSettings | None = None) -> Counts:
        chosen = settings or self.settings
        return await run_processor(
            self.cluster, processor, chosen, asyncio.Event(), limits=self.limits
        )

    async def records(self, topic: str, partition: int = 0) -> list[Record]:
        end = await self.fluvio.end_offset(topic, partition)
        consumer = await self.fluvio.consumer(topic, partition=partition)
        found = [record async for record in consumer.read_until(end)]
        await consumer.aclose()
        return found

    async def held(self, topic: str, partition: int = 0) -> Held:
        return [(record.key, record.value) for record in await self.records(topic, partition)]

    async def out(self, partition: int = 0) -> list[bytes]:
        return [value for _, value in await self.held(f"{self.name}-out", partition)]

    async def letters(self) -> list[Record]:
        return await self.records(f"{self.name}-dead-letters")

    async def expected(self, processor: Processor, *, finish: bool = False) -> dict[str, Held]:
        """What an undisturbed run over all of the input writes, topic by topic."""
        settings = self.settings
        pipeline = Pipeline(
            Source(settings.processor_id, self.name, 0),
            processor,
            to=settings.to,
            dead_letters=settings.letters,
        )
        outputs = pipeline.feed(await self.records(self.name))
        topics: dict[str, Held] = {}
        for output in outputs + (pipeline.finish() if finish else []):
            topics.setdefault(output.topic, []).append((output.key, output.value))
        return topics

    async def clear(self) -> None:
        """Delete all topics of this bench; on a given cluster nothing stays."""
        for found in await self.fluvio.topics():
            if found.name.startswith(self.name) or found.name in self.others:
                await self.fluvio.delete_topic(found.name, missing_ok=True)


async def open_bench(cluster: FluvioSettings, fluvio: Fluvio, name: str) -> Bench:
    """A bench with an input topic of one partition."""
    bench = Bench(cluster, fluvio, name)
    await bench.open()
    return bench
