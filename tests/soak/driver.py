"""Runs a soak: starts broker, producers and consumers, kills them at random, judges at the end.

Every victim has a task and a seeded source of randomness of its own, so a seed gives the same
plan of kills; what meets what is the machine's choice.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from qd_fluvio import TopicSettings, connect
from soak.actors import pause
from soak.ledger import READ, entries_of
from soak.verdict import Verdict, judge
from support.ports import free_port
from support.processes import Process

TOPIC = "soak"
CLIENTS = ("official", "native")
DOWN_SECONDS_MAX = 3.0
LONG_DOWN_SECONDS = 12.0  # longer than a consumer tries to come back by itself
LONG_DOWN_SHARE = 0.1
DRAIN_SECONDS_MAX = 120.0
TESTS = Path(__file__).resolve().parent.parent
FAULTS = ((), (), ("--faults", "cut-batches"), ("--faults", "drop-after=3000000"))


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how hard.

    Attributes
    ----------
    seconds : float
        Time of random kills; reading what is left comes after it.
    seed : int
        Of all randomness.
    partitions : int
        Each has a producer and a consumer of both clients.
    calm_seconds : float
        The mean time between one victim's start and its next death.
    """

    seconds: float
    seed: int
    partitions: int = 2
    calm_seconds: float = 10.0


@dataclass(slots=True)
class Outcome:
    """What a soak found."""

    verdict: Verdict
    kills: Counter[str] = field(default_factory=Counter)

    def text(self, plan: Plan) -> str:
        """Describe it."""
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        counts = ", ".join(f"{count:,} {name}" for name, count in self.verdict.counts.items())
        lines = [f"soak of {plan.seconds:g} s, seed {plan.seed}", f"killed: {kills}", counts]
        return "\n".join([*lines, *(self.verdict.faults or ["nothing lost, nothing twice"])])


class ActorFailed(AssertionError):
    """An actor ended by itself."""


class Victim:
    """A process that is killed and started again, with a ledger for each of its lives."""

    def __init__(self, name: str, folder: Path, start: Callable[[Victim], Process]) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        self.life = -1
        self._start = start
        self.process: Process
        self.start()

    @property
    def ledgers(self) -> list[Path]:
        """The files of its lives; one that was killed before it began has none."""
        return [self.folder / f"{life:04d}.ledger" for life in range(self.life + 1)]

    def start(self) -> None:
        """Begin its next life; on the main thread, at whose end the kernel would end it."""
        self.life += 1
        self.process = self._start(self)

    def require_alive(self) -> None:
        """Raise if it ended without being killed."""
        code = self.process.popen.poll()
        if code is not None:
            raise ActorFailed(f"{self.name} ended with {code}: {self.process.log()[-3000:]}")


class Soak:
    """One soak in a folder."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._ports = free_port(), free_port()
        self._endpoint = f"127.0.0.1:{self._ports[0]}"
        self._rng = random.Random(plan.seed)
        self.kills: Counter[str] = Counter()
        self._producers: dict[int, list[Victim]] = {}
        self._consumers: dict[int, list[Victim]] = {}

    async def run(self) -> Outcome:
        """Soak, let all be read, and judge."""
        broker = Victim("broker", self._folder, self._start_broker)
        victims = [broker]
        try:
            await self._make_topic(broker)
            victims += self._start_actors()
            async with asyncio.TaskGroup() as group:
                for victim in victims:
                    group.create_task(self._torment(victim))
            ends = await self._settle(broker)
        finally:
            for victim in reversed(victims):
                victim.process.stop()
        return Outcome(self._judge(ends), self.kills)

    async def _make_topic(self, broker: Victim) -> None:
        await asyncio.to_thread(broker.process.wait_ready)
        async with connect(self._endpoint) as fluvio:
            await fluvio.create_topic(TOPIC, TopicSettings(partitions=self._plan.partitions))

    def _start_broker(self, victim: Victim) -> Process:
        ports = ("--sc-port", str(self._ports[0]), "--spu-port", str(self._ports[1]))
        faults = random.Random(f"{self._plan.seed} faults {victim.life}").choice(FAULTS)
        data = ("--data", str(victim.folder / "data"))
        return Process("qd_fluvio.broker", *data, *ports, *faults, folder=victim.folder)

    def _start_actors(self) -> list[Victim]:
        made = []
        for partition in range(self._plan.partitions):
            for kind, actors in (("producer", self._producers), ("consumer", self._consumers)):
                for turn, client in enumerate(CLIENTS):
                    number = partition * len(CLIENTS) + turn
                    name = f"{kind}-{client}-{partition}"
                    start = self._starter(kind, client, partition, number)
                    made.append(Victim(name, self._folder, start))
                    actors.setdefault(partition, []).append(made[-1])
        return made

    def _starter(
        self, kind: str, client: str, partition: int, number: int
    ) -> Callable[[Victim], Process]:
        def start(victim: Victim) -> Process:
            given = {
                "name": victim.name,
                "endpoint": self._endpoint,
                "client": client,
                "topic": TOPIC,
                "seed": self._plan.seed,
                "number": number,
                "life": victim.life,
                "partition": partition,
                "ledger": victim.ledgers[-1],
            }
            options = [text for name, value in given.items() for text in (f"--{name}", str(value))]
            env = {"PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])}
            return Process("soak.actors", kind, *options, folder=victim.folder, env=env)

        return start

    async def _torment(self, victim: Victim) -> None:
        """Kill and start a victim until the time is over; it is alive at the end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._plan.seconds
        rng = random.Random(f"{self._plan.seed} {victim.name}")
        while True:
            calm = rng.expovariate(1 / self._plan.calm_seconds)
            await pause(max(0.0, min(calm, end - loop.time())))
            victim.require_alive()
            if loop.time() >= end:
                return
            victim.process.kill()
            self.kills[victim.name] += 1
            long = victim.name == "broker" and rng.random() < LONG_DOWN_SHARE
            await pause(LONG_DOWN_SECONDS if long else rng.uniform(0, DOWN_SECONDS_MAX))
            victim.start()

    async def _settle(self, broker: Victim) -> list[int]:
        """Stop producers, wait until consumers have read all; the ends of the partitions."""
        await asyncio.to_thread(broker.process.wait_ready)
        for producer in (one for several in self._producers.values() for one in several):
            await asyncio.to_thread(producer.process.stop)
        async with connect(self._endpoint) as fluvio:
            ends = [
                await fluvio.end_offset(TOPIC, partition)
                for partition in range(self._plan.partitions)
            ]
        for partition, consumers in self._consumers.items():
            for consumer in consumers:
                await self._drain(consumer, ends[partition])
        return ends

    async def _drain(self, consumer: Victim, end: int) -> None:
        """Wait until a consumer has read all; the verdict says what it did not read."""
        give_up_at = asyncio.get_running_loop().time() + DRAIN_SECONDS_MAX
        while _read_until(consumer) < end and asyncio.get_running_loop().time() < give_up_at:
            consumer.require_alive()
            await pause(0.2)

    def _judge(self, ends: list[int]) -> Verdict:
        whole = Verdict()
        for partition, end_offset in enumerate(ends):
            producers = {
                number: [entries_of(path) for path in victim.ledgers]
                for number, victim in enumerate(
                    self._producers[partition], partition * len(CLIENTS)
                )
            }
            consumers = {
                victim.name: [entries_of(path) for path in victim.ledgers]
                for victim in self._consumers[partition]
            }
            found = judge(producers, consumers, end_offset)
            whole.faults += found.faults
            whole.counts += found.counts
        return whole


def _read_until(consumer: Victim) -> int:
    """The offset before which a consumer has read, as its last ledger says."""
    for entry in reversed(entries_of(consumer.ledgers[-1])):
        if entry.word == READ:
            return entry.numbers[0] + entry.numbers[-1]
    return 0


def soak(plan: Plan, folder: Path | None = None) -> Outcome:
    """Run a soak, and make sure that it leaves no process."""
    before = psutil.Process().children(recursive=True)
    with tempfile.TemporaryDirectory(prefix="qd-soak-", dir=folder) as name:
        outcome = asyncio.run(Soak(plan, Path(name)).run())
    left = [one for one in psutil.Process().children(recursive=True) if one not in before]
    if left:
        outcome.verdict.fault(f"processes are left: {left}")
    return outcome
