"""No two gateways serve one client, each client has one, shares are even: over random histories.

The database is a model with the rules of the statements, which `tests/store` holds against
PostgreSQL. Clocks differ and run unevenly; processes pause, die and come back; the database
goes away, and its answers are late or lost.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from random import Random

import pytest

from qd_gateway.ownership import (
    ALL,
    LEASE_SECONDS,
    Drop,
    Load,
    Ownership,
    Park,
    Replaced,
    Step,
    Take,
    share_of,
)
from qd_store.gateway_state import SLOTS, Answer


@dataclass
class Row:
    """A slot in the database."""

    holder: int | None = None
    until: float = -1.0


@dataclass
class Database:
    """The rules of the statements; times are its own clock's."""

    now: float = 0.0
    members: dict[str, tuple[int, float]] = field(default_factory=dict)
    slots: dict[int, Row] = field(default_factory=lambda: {slot: Row() for slot in ALL})

    def join(self, name: str, process: int, *, first: bool) -> None:
        if first and name in self.members:
            for row in self.slots.values():
                if row.holder == self.members[name][0] != process:
                    row.holder, row.until = None, -1.0
        if first or name not in self.members:
            self.members[name] = (process, self.now + LEASE_SECONDS)

    def renew(self, name: str, process: int, released: frozenset[int]) -> Answer:
        is_member = name in self.members and self.members[name][0] == process
        if is_member:
            self.members[name] = (process, self.now + LEASE_SECONDS)
        others = [row for row in self.slots.values() if row.holder != process]
        free = [row for row in others if row.until <= self.now]
        later = [row.until - self.now for row in others if row.until > self.now]
        held = {slot for slot, row in self.slots.items() if row.holder == process}
        for slot in held:
            is_given = slot in released
            self.slots[slot] = Row() if is_given else Row(process, self.now + LEASE_SECONDS)
        alive = sorted(n for n, (_, until) in self.members.items() if until > self.now or n == name)
        return Answer(
            is_member,
            frozenset(held - released),
            tuple(alive),
            len(free),
            min(later, default=None),
        )

    def take(self, name: str, process: int, count: int) -> frozenset[int]:
        if self.members.get(name, (None,))[0] != process:
            return frozenset()
        found = [
            slot
            for slot, row in self.slots.items()
            if row.until <= self.now and row.holder != process
        ]
        for slot in found[:count]:
            self.slots[slot] = Row(process, self.now + LEASE_SECONDS)
        return frozenset(found[:count])


class Gateway:
    """A process: its ownership, and a shell that carries out each step when it is let."""

    numbers = itertools.count(1)

    def __init__(self, name: str, offset: float, rate: float) -> None:
        self.name = name
        self.process = next(self.numbers)
        self.clock = (offset, rate)
        self.ownership = Ownership(name)
        self.is_first = True
        self.is_paused = False
        self.has_ended = False
        self.began_at = 0.0
        self.flying: Answer | None = None  # executed, but not yet delivered
        self.taken: frozenset[int] | None = None
        self.loads: set[int] = set()
        self.serving: set[int] = set()  # what the shell was told to serve

    def now(self, database: Database) -> float:
        offset, rate = self.clock
        return offset + rate * database.now

    def carry_out(self, steps: list[Step], database: Database) -> None:
        for step in steps:
            match step:
                case Load(slots):
                    self.loads |= slots
                case Take(count):
                    self.taken = database.take(self.name, self.process, count)
                case Park(slots) | Drop(slots):
                    self.serving -= slots
                    self.loads -= slots
                case Replaced():
                    self.has_ended = True

    def acts_on(self, database: Database) -> set[int]:
        now = self.now(database)
        if self.is_paused or self.has_ended or not self.ownership.may_act(now):
            return set()
        return self.serving & self.ownership.served


class Group:
    """Some gateways and their database; each method but the last ones is what may happen."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.database = Database()
        self.is_up = True
        self.gateways: list[Gateway] = []

    def start(self) -> None:
        name = self.random.choice("abcd")
        for each in self.gateways:  # two processes of one name at a time are another matter
            each.has_ended |= each.name == name
        self.gateways = [each for each in self.gateways if not each.has_ended]
        self.gateways.append(
            Gateway(name, self.random.uniform(-1e6, 1e6), self.random.uniform(0.98, 1.02))
        )

    def renew_well(self, gateway: Gateway) -> None:
        """All that a shell does when nothing goes wrong."""
        for step in (self.ask, self.deliver, self.deliver_taken, self.load, self.park):
            step(gateway)

    def pass_time(self, seconds: float | None = None) -> None:
        seconds = seconds or self.random.choice([0.2, 0.5, 1.0, 2.0, 5.8])
        self.database.now += seconds
        for each in self.gateways:
            if not (each.is_paused or each.has_ended):
                self._tick(each)

    def _tick(self, gateway: Gateway) -> None:
        now = gateway.now(self.database)
        gateway.carry_out(gateway.ownership.on_tick(now), self.database)

    def ask(self, gateway: Gateway) -> None:
        """Send a renewal; the database answers at once, the answer comes with `deliver`."""
        if gateway.flying is not None:
            return
        gateway.began_at = gateway.now(self.database)
        if not self.is_up:
            return
        self.database.join(gateway.name, gateway.process, first=gateway.is_first)
        gateway.is_first = False
        released = gateway.ownership.ask(gateway.began_at)
        gateway.flying = self.database.renew(gateway.name, gateway.process, released)

    def deliver(self, gateway: Gateway) -> None:
        if gateway.flying is None:
            return
        answer, gateway.flying = gateway.flying, None
        steps = gateway.ownership.on_answer(answer, gateway.now(self.database))
        gateway.carry_out(steps, self.database)

    def deliver_taken(self, gateway: Gateway) -> None:
        if gateway.taken is not None:
            taken, gateway.taken = gateway.taken, None
            gateway.carry_out(gateway.ownership.on_taken(taken), self.database)

    def load(self, gateway: Gateway) -> None:
        if gateway.loads:
            slots, gateway.loads = gateway.loads, set()
            gateway.ownership.on_loaded(slots)
            gateway.serving |= slots & gateway.ownership.served

    def park(self, gateway: Gateway) -> None:
        gateway.ownership.on_parked(gateway.ownership.parking)

    def fail(self, gateway: Gateway) -> None:
        """A gateway's connection breaks, whatever was on its way; or it could not connect."""
        if self.is_up and gateway.flying is None and gateway.taken is None:
            return
        gateway.flying = gateway.taken = None
        gateway.loads.clear()
        gateway.ownership.on_unreachable(gateway.began_at, gateway.now(self.database))

    def pause(self, gateway: Gateway) -> None:
        gateway.is_paused = True

    def go_on(self) -> None:
        for each in self.gateways:
            if each.is_paused:
                each.is_paused = False
                self._tick(each)

    def die(self, gateway: Gateway) -> None:
        self.gateways.remove(gateway)

    def stop(self, gateway: Gateway) -> None:
        gateway.carry_out(gateway.ownership.stop(), self.database)

    def database_goes_away(self) -> None:
        self.is_up = False

    def database_comes_back(self) -> None:
        self.is_up = True

    def no_two_under_a_lease_act_on_one_slot(self) -> None:
        acting: dict[int, Gateway] = {}
        for gateway in self.gateways:
            now = gateway.now(self.database)
            is_leased = gateway.ownership.has_lease(now)
            for slot in gateway.acts_on(self.database) if is_leased else ():
                assert slot not in acting, f"{slot}: {acting[slot].name} and {gateway.name}"
                acting[slot] = gateway

    def the_shell_serves_no_more_than_is_owned(self) -> None:
        for gateway in self.gateways:
            if not gateway.is_paused and not gateway.has_ended:
                assert gateway.serving <= gateway.ownership.served

    def settle(self) -> None:
        """With all well for a while, each slot is served by one, and shares are even."""
        self.is_up = True
        self.go_on()
        self.gateways = [each for each in self.gateways if not each.has_ended]
        self.gateways = [each for each in self.gateways if not each.ownership.is_stopping]
        for _ in range(12):
            self.pass_time(1.0)
            for gateway in self.gateways:
                self.renew_well(gateway)
            self.no_two_under_a_lease_act_on_one_slot()
        served = [len(each.acts_on(self.database)) for each in self.gateways]
        if served:
            assert sum(served) == SLOTS
            assert max(served) - min(served) <= 1
            together = set[int]().union(*(each.acts_on(self.database) for each in self.gateways))
            assert together == ALL


OF_ALL = {
    "start": 3,
    "pass_time": 40,
    "go_on": 6,
    "database_goes_away": 1,
    "database_comes_back": 4,
}
OF_ONE = {
    "renew_well": 40,
    "ask": 20,
    "deliver": 10,
    "deliver_taken": 10,
    "load": 10,
    "park": 10,
    "fail": 6,
    "pause": 3,
    "die": 2,
    "stop": 1,
}


@pytest.mark.parametrize("seed", range(20))
def test_over_random_histories(seed: int) -> None:
    random = Random(seed)
    group = Group(random)
    happenings = {**OF_ALL, **OF_ONE}
    for name in random.choices([*happenings], [*happenings.values()], k=1_000):
        running = [each for each in group.gateways if not (each.is_paused or each.has_ended)]
        if name in OF_ALL:
            getattr(group, name)()
        elif running:
            getattr(group, name)(random.choice(running))
        group.no_two_under_a_lease_act_on_one_slot()
        group.the_shell_serves_no_more_than_is_owned()
    group.settle()


def answer(held: frozenset[int] = ALL, *members: str, free: int = 0) -> Answer:
    return Answer(True, held, members or ("a",), free, None)


def alone(now: float = 0.0) -> Ownership:
    """A gateway that holds everything since `now`."""
    found = Ownership("a")
    found.ask(now)
    assert found.on_answer(answer(frozenset(), free=64), now) == [Take(64)]
    assert found.on_taken(ALL) == [Load(ALL)]
    found.on_loaded(ALL)
    return found


def test_a_gateway_that_never_reached_the_database_serves_nobody() -> None:
    """As one with a wrong password, or with tables of another version, beside healthy ones."""
    gateway = Ownership("a")
    gateway.on_unreachable(0.0, 1.0)
    assert gateway.held == frozenset()
    gateway.ask(2.0)
    assert gateway.on_answer(answer(frozenset(), free=64), 2.1) == [Take(64)]
    assert gateway.on_taken(ALL) == [Load(ALL)]


def test_alone_it_goes_on_without_the_database_and_finds_what_was_taken() -> None:
    gateway = alone()
    gateway.on_unreachable(2.0, 5.0)
    assert gateway.on_tick(100.0) == []
    assert gateway.may_act(100.0)
    gateway.ask(100.0)
    taken = frozenset({3, 4})
    assert gateway.on_answer(answer(ALL - taken, "a", "b"), 100.0) == [
        Drop(taken),
        Park(frozenset(sorted(ALL - taken)[-30:])),
    ]


def test_what_could_not_be_loaded_is_loaded_after_the_next_answer() -> None:
    gateway = Ownership("a")
    gateway.ask(0.0)
    gateway.on_answer(answer(frozenset(), free=64), 0.0)
    assert gateway.on_taken(ALL) == [Load(ALL)]
    gateway.on_unreachable(0.0, 1.0)
    gateway.on_loaded(ALL)  # too late
    assert gateway.served == frozenset()
    gateway.ask(2.0)
    assert gateway.on_answer(answer(ALL), 2.0) == [Load(ALL)]


def test_what_is_loaded_as_a_gateway_ends_is_not_served() -> None:
    gateway = Ownership("a")
    gateway.ask(0.0)
    gateway.on_answer(answer(frozenset(), free=64), 0.0)
    assert gateway.on_taken(ALL) == [Load(ALL)]
    assert gateway.loading == ALL
    gateway.stop()
    assert gateway.loading == frozenset()
    gateway.on_loaded(ALL)  # too late
    assert gateway.ask(1.0) == ALL


def test_after_a_pause_even_a_gateway_alone_asks_before_it_acts() -> None:
    gateway = alone()
    assert not gateway.may_act(50.0)
    assert gateway.on_tick(50.0) == []  # nothing is lost yet
    gateway.on_unreachable(2.0, 50.0)  # of a question that was on its way
    assert not gateway.may_act(50.0)
    gateway.on_unreachable(50.0, 51.0)
    assert gateway.may_act(51.0)


def test_beside_others_it_falls_silent_when_its_lease_is_over() -> None:
    gateway = alone()
    gateway.ask(1.0)
    half = frozenset(range(32, 64))
    assert gateway.on_answer(answer(ALL, "a", "b"), 1.0) == [Park(half)]
    gateway.on_parked(half)
    assert gateway.ask(2.0) == half
    assert gateway.on_answer(answer(ALL - half, "a", "b"), 2.0) == [Drop(half)]
    gateway.on_unreachable(4.0, 5.0)
    assert gateway.may_act(7.4)
    assert not gateway.may_act(7.5)
    assert gateway.on_tick(7.5) == [Drop(ALL - half)]
    assert gateway.on_tick(7.6) == []


def test_an_answer_older_than_a_lease_gives_nothing() -> None:
    gateway = alone()
    gateway.ask(1.0)
    assert gateway.on_answer(answer(ALL, "a", "b"), 7.0) == [Drop(ALL)]
    gateway.ask(8.0)
    assert gateway.on_answer(answer(ALL, "a", "b"), 8.0) == [Load(ALL)]


def test_replaced() -> None:
    gateway = alone()
    gateway.ask(1.0)
    assert gateway.on_answer(Answer(False, frozenset(), ("a",), 0, 6.0), 1.0) == [
        Drop(ALL),
        Replaced(),
    ]


def test_stopping_gives_all_back() -> None:
    gateway = alone()
    assert gateway.stop() == [Park(ALL)]
    gateway.on_parked(ALL)
    assert gateway.ask(1.0) == ALL
    assert gateway.on_answer(answer(frozenset(), free=64), 1.0) == [Drop(ALL)]


def test_it_looks_when_anothers_lease_should_be_over() -> None:
    gateway = alone()
    gateway.ask(1.0)
    gateway.on_answer(Answer(True, frozenset(range(32)), ("a",), 0, 0.5), 1.0)
    assert gateway.next_renewal_s == pytest.approx(0.55)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 64, 65, 100])
def test_shares_are_even_and_make_all(count: int) -> None:
    members = [f"gateway-{number}" for number in range(count)]
    shares = [share_of(name, members[::-1]) for name in members]
    assert sum(shares) == SLOTS
    assert max(shares) - min(shares) <= 1
