"""Runs chaos: gateways, broker, database and replaying clients die and stand still at random.

Every victim has a task and a seeded source of randomness of its own, so a seed gives the same
plan of faults; what meets what is the machine's choice. At the end each client has replayed, round
after round, exactly the rows that it asked for, or the outcome says where not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
import psutil
import psycopg

from qd_schemas.arrays import BAR, Rows
from qd_schemas.bars import CHAIN
from qd_schemas.enums import Resolution
from qd_schemas.identity import key_of
from qd_store.gateway_state import add_token
from qd_store.imports import import_paths
from soak.actors import pause
from soak.driver import TESTS, Victim
from soak.ledger import entries_of
from soak.replayer import DONE, GIVEN_UP, LOST, WRONG, token_of
from soak.replays import RESOLUTIONS, Rowsets, over, save
from support.markets import generated, write_csv
from support.ports import free_port
from support.processes import Process
from support.stored import expected_bars

GATEWAYS = ("gateway-a", "gateway-b")
MARKETS = {"XBTUSD": 60_000, "XBTEUR": 25_000, "ETHUSD": 5_000}
FIRST_ID = 1_000
DOWN_SECONDS_MAX = 3.0
STILL_SECONDS = (0.2, 8.0)
"""Pauses shorter and longer than every lease."""
FAULT_WORDS = ("Traceback", "defect")


class Fault(Enum):
    """What is done to a victim."""

    KILLED = "killed"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how hard.

    Attributes
    ----------
    seconds : float
        Time of random faults; ending the rounds that run comes after it.
    seed : int
        Of all randomness.
    clients, processes : int
        How many replay, and in how many processes; the first process has the official client.
    calm_seconds : float
        The mean time between one victim's last fault and its next.
    settle_seconds : float
        For all rounds to end once nothing is disturbed any more.
    """

    seconds: float
    seed: int
    clients: int = 20
    processes: int = 20
    calm_seconds: float = 15.0
    settle_seconds: float = 120.0


@dataclass(slots=True)
class Outcome:
    """What chaos found."""

    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    done: list[Counter[str]] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)

    def text(self, plan: Plan) -> str:
        """Describe it."""
        counts = ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()))
        lines = [f"chaos of {plan.seconds:g} s, seed {plan.seed}", counts, *self.given_up]
        return "\n".join([*lines, *(self.faults or ["each client got exactly what it asked for"])])


class Chaos:
    """One run in a folder."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._ports = free_port(), free_port(), free_port()
        self._endpoint = f"127.0.0.1:{self._ports[0]}"
        self._dsn = ""
        self._ids: dict[str, int] = {}
        self._outcome = Outcome()
        self._replays = folder / "replays"

    async def run(self) -> Outcome:
        """Disturb, let all rounds end, and judge."""
        victims: list[Victim] = []
        try:
            database = self._victim("database", self._start_database, victims)
            self._dsn = str((await asyncio.to_thread(database.process.wait_ready))["dsn"])
            await asyncio.to_thread(self._prepare)
            broker = self._victim("broker", self._start_broker, victims)
            await asyncio.to_thread(broker.process.wait_ready)
            for name in GATEWAYS:
                self._victim(name, self._start_gateway, victims)
            for victim in victims[2:]:
                await asyncio.to_thread(victim.process.wait_ready)
            clients = [
                self._victim(f"clients-{number}", self._start_clients, victims)
                for number in range(self._plan.processes)
            ]
            async with asyncio.TaskGroup() as group:
                for victim in victims:
                    group.create_task(self._torment(victim))
            await self._settle(clients)
        finally:
            for victim in reversed(victims):
                self._stop(victim)
        self._judge()
        return self._outcome

    def _victim(
        self, name: str, start: Callable[[Victim], Process], victims: list[Victim]
    ) -> Victim:
        victims.append(Victim(name, self._folder, start))
        return victims[-1]

    def _prepare(self) -> None:
        """Import the markets, and write down what replays of them must give."""
        self._replays.mkdir()
        csvs = self._folder / "csv"
        csvs.mkdir()
        rowsets: dict[tuple[str, Resolution], Rows] = {}
        for seed, (symbol, count) in enumerate(MARKETS.items()):
            trades = generated(seed, count)
            write_csv(trades, csvs / f"{symbol}.csv")
            rowsets.update(_rowsets_of(symbol, trades))
        save(self._replays, rowsets)
        import_paths(self._dsn, [csvs], rejects_folder=self._folder / "rejects")
        for number in range(self._plan.clients):
            if (token := token_of(number)) is not None:
                add_token(self._dsn, FIRST_ID + number, key_of(token), f"client {number}")
        with psycopg.connect(self._dsn) as connection:
            self._ids = dict(connection.execute("SELECT symbol, symbol_id FROM symbol").fetchall())

    # --- the processes ----------------------------------------------------------------

    def _start_database(self, victim: Victim) -> Process:
        options = ("--data", str(victim.folder / "data"), "--port", str(self._ports[2]))
        return Process("qd_store.embedded", *options, folder=victim.folder)

    def _start_broker(self, victim: Victim) -> Process:
        ports = ("--sc-port", str(self._ports[0]), "--spu-port", str(self._ports[1]))
        data = ("--data", str(victim.folder / "data"))
        return Process("qd_fluvio.broker", *data, *ports, folder=victim.folder)

    def _start_gateway(self, victim: Victim) -> Process:
        env = {
            "QD_FLUVIO": self._endpoint,
            "QD_FLUVIO_CLIENT": "official" if victim.name == GATEWAYS[0] else "native",
            "QD_DATABASE": self._dsn,
            "QD_GATEWAY_NAME": victim.name,
            "QD_LOG_LEVEL": "INFO",
        }
        return Process("qd_gateway", folder=victim.folder, env=env)

    def _start_clients(self, victim: Victim) -> Process:
        number = int(victim.name.rpartition("-")[2])
        places = range(self._plan.clients)[number :: self._plan.processes]
        given: dict[str, object] = {
            "name": victim.name,
            "endpoint": self._endpoint,
            "client": "native" if number else "official",
            "seed": self._plan.seed,
            "first-id": FIRST_ID,
            "folder": self._replays,
        }
        options = [text for name, value in given.items() for text in (f"--{name}", str(value))]
        options += ["--numbers", *map(str, places)]
        options += ["--ids", *(f"{symbol}={found}" for symbol, found in self._ids.items())]
        env = {"PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])}
        return Process("soak.replayer", *options, folder=victim.folder, env=env)

    # --- what is done to them ---------------------------------------------------------

    async def _torment(self, victim: Victim) -> None:
        """Kill or pause a victim, again and again until the time is over; it runs at the end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._plan.seconds
        chance = random.Random(f"{self._plan.seed} {victim.name}")
        while True:
            calm = chance.expovariate(1 / self._plan.calm_seconds)
            await pause(max(0.0, min(calm, end - loop.time())))
            if loop.time() >= end or victim.process.popen.poll() is not None:
                return  # what ended by itself is found at the end
            fault = chance.choice(list(Fault))
            self._outcome.counts[
                f"{victim.name.rpartition('-')[0] or victim.name} {fault.value}"
            ] += 1
            if fault is Fault.KILLED:
                victim.process.kill()
                await pause(chance.uniform(0, DOWN_SECONDS_MAX))
                victim.start()
            else:
                _signal(victim, signal.SIGSTOP)
                await pause(chance.uniform(*STILL_SECONDS))
                _signal(victim, signal.SIGCONT)

    async def _settle(self, clients: Sequence[Victim]) -> None:
        """Have all rounds end, and the clients with them."""
        (self._replays / "stop").touch()
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._plan.settle_seconds
        for victim in clients:
            while victim.process.popen.poll() is None and loop.time() < give_up_at:
                await pause(0.1)
            if victim.process.popen.poll() is None:
                self._fault(victim, f"has not ended its rounds {self._plan.settle_seconds:g} s on")

    # --- the judgement ----------------------------------------------------------------

    def _stop(self, victim: Victim) -> None:
        """End a process; what it said and how it ended tell whether it failed."""
        with contextlib.suppress(psutil.NoSuchProcess):
            _signal(victim, signal.SIGCONT)
        try:
            code = victim.process.stop()
        except AssertionError:
            self._fault(victim, "did not stop when asked")
            return
        log = victim.process.log()
        self._outcome.given_up += [line for line in log.splitlines() if GIVEN_UP in line]
        found = [word for word in FAULT_WORDS if word in log]
        if code or found:
            first = min((log.index(word) for word in found), default=len(log))
            self._fault(victim, f"ended with {code} and {found} in its log", first)

    def _fault(self, victim: Victim, text: str, place: int | None = None) -> None:
        """Tell of a fault with what the log says around a place, or at its end."""
        log = victim.process.log()
        end = len(log) if place is None else place + 4000
        self._outcome.faults.append(f"{victim.name} {text}: …{log[max(end - 6000, 0) : end]}")

    def _judge(self) -> None:
        for number in range(self._plan.clients):
            entries = entries_of(self._replays / f"{number:03d}.ledger")
            words = Counter(entry.word for entry in entries)
            self._outcome.done.append(words)
            self._outcome.counts["rounds"] += words[DONE]
            self._outcome.counts["clients gave up"] += words[LOST]
            self._outcome.counts["rows"] += sum(e.numbers[1] for e in entries if e.word == DONE)
            self._outcome.faults += judged(number, words)


def judged(number: int, words: Counter[str]) -> Iterator[str]:
    """What is wrong with a client by its ledger's words."""
    if words[WRONG]:
        yield f"client {number}: {words[WRONG]} rounds had wrong rows"
    if not words[DONE]:
        yield f"client {number}: no round was done"


def _rowsets_of(symbol: str, trades: Rows) -> Rowsets:
    found = {(symbol, Resolution.NONE): trades}
    bars = dict(zip(CHAIN, expected_bars(trades), strict=True))
    for resolution in RESOLUTIONS:
        found[symbol, resolution] = _as_bars(over(trades, bars[resolution], resolution))
    return found


def _as_bars(stored: Rows) -> Rows:
    rows: Rows = np.empty(len(stored), BAR)
    for name in BAR.names or ():
        rows[name] = stored[name]
    return rows


def _signal(victim: Victim, number: signal.Signals) -> None:
    """Send a signal to a process and all its helpers."""
    process = psutil.Process(victim.process.pid)
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(number)


def chaos(plan: Plan, folder: Path | None = None) -> Outcome:
    """Run chaos, and make sure that it leaves no process."""
    before = psutil.Process().children(recursive=True)
    with tempfile.TemporaryDirectory(prefix="qd-chaos-", dir=folder) as name:
        outcome = asyncio.run(Chaos(plan, Path(name)).run())
    left = [one for one in psutil.Process().children(recursive=True) if one not in before]
    if left:
        outcome.faults.append(f"processes are left: {left}")
    return outcome
