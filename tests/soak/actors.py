"""A producer or a consumer of the soak, a process of its own, made to be killed at any moment.

It writes what it knows into its ledger: a producer what was acknowledged, before it sends more;
a consumer what it read, before it commits. Lost connections it takes as they come; any other
error ends it, and so the soak.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from qd_fluvio import Compression, Consumer, Fluvio, FluvioError, Producer, Record, connect, service
from qd_schemas.specs import ClientKind, FluvioSettings
from soak.ledger import ACKNOWLEDGED, COMMITTED, COMMITTING, READ, RESUMED, Ledger
from soak.records import Identity, identity_of, record_of

BURST_RECORDS_MAX = 100
PAUSE_SECONDS_MAX = 0.1
FLUSH_SHARE = 0.3
COMMIT_SHARE = 0.2
RETRY_SECONDS = 0.2
_log = logging.getLogger("soak")


async def pause(seconds: float) -> None:
    """Let time pass: an actor's pace is not a test that waits for something."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


class Actor(ABC):
    """What both kinds do: connect, work until the connection is lost, again."""

    def __init__(self, given: Namespace) -> None:
        self.given = given
        self.rng = random.Random(f"{given.seed} {given.name} {given.life}")
        self.ledger = Ledger(given.ledger)

    async def run(self) -> None:
        """Work until stopped."""
        settings = FluvioSettings(self.given.endpoint, ClientKind(self.given.client))
        for epoch in itertools.count(1):
            try:
                async with connect(settings) as fluvio:
                    await self.work(fluvio, epoch)
            except FluvioError as error:
                if not error.retriable:
                    raise
                _log.info("again: %s", error)
            await pause(RETRY_SECONDS)

    @abstractmethod
    async def work(self, fluvio: Fluvio, epoch: int) -> None:
        """Use one connection until it is lost."""


class Producing(Actor):
    """Sends bursts of records to one partition."""

    async def work(self, fluvio: Fluvio, epoch: int) -> None:
        """Send with one producer until it fails; what is not acknowledged is not sent again."""
        producer = await fluvio.producer(
            self.given.topic,
            partition=self.given.partition,
            compression=self.rng.choice(list(Compression)[:-1]),
        )
        try:
            await self._send(producer, epoch)
        except asyncio.CancelledError:
            await producer.flush()
            raise
        finally:
            self.ledger.note((ACKNOWLEDGED, epoch, producer.acknowledged))

    async def _send(self, producer: Producer, epoch: int) -> None:
        new = partial(Identity, self.given.number, self.given.life, epoch)
        while True:
            count = self.rng.randint(1, BURST_RECORDS_MAX)
            burst = [record_of(new(producer.sent + turn), self.rng) for turn in range(count)]
            await producer.send_many(burst)
            if self.rng.random() < FLUSH_SHARE:
                await producer.flush()
            self.ledger.note((ACKNOWLEDGED, epoch, producer.acknowledged))
            await pause(self.rng.uniform(0, PAUSE_SECONDS_MAX))


class Consuming(Actor):
    """Reads one partition, and commits now and then."""

    async def work(self, fluvio: Fluvio, epoch: int) -> None:
        """Read on after what was committed."""
        consumer = await fluvio.consumer(
            self.given.topic, partition=self.given.partition, consumer_id=self.given.name
        )
        self.ledger.note((RESUMED, consumer.next_offset))
        async for batch in consumer.batches():
            self.ledger.note(*((READ, *run) for run in runs_of(batch)))
            if self.rng.random() < COMMIT_SHARE:
                await self._commit(consumer, batch[-1].offset + 1)

    async def _commit(self, consumer: Consumer, offset: int) -> None:
        self.ledger.note((COMMITTING, offset))
        await consumer.commit()
        self.ledger.note((COMMITTED, offset))


def runs_of(records: Iterable[Record]) -> Iterator[tuple[int, ...]]:
    """Give offset, identity and count of records that follow one another."""
    first: tuple[int, Identity] | None = None
    count = 0
    for record in records:
        offset, identity = record.offset, identity_of(record.value)
        if first is not None:
            expected = first[1]._replace(sequence=first[1].sequence + count)
            if (offset, identity) == (first[0] + count, expected):
                count += 1
                continue
            yield first[0], *first[1], count
        first, count = (offset, identity), 1
    if first is not None:
        yield first[0], *first[1], count


def arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m soak.actors", description=__doc__)
    parser.add_argument("kind", choices=["producer", "consumer"])
    for name in ("name", "endpoint", "client", "topic", "seed"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("number", "life", "partition"):
        parser.add_argument(f"--{name}", required=True, type=int)
    parser.add_argument("--ledger", required=True, type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    actor = Producing(given) if given.kind == "producer" else Consuming(given)
    raise SystemExit(service.run(given.name, actor.run))
