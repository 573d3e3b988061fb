"""Which slots of clients this gateway serves, as the database and the clock decide. No I/O.

Gateways of a group share the slots: each holds some under one lease, renews it, and gives back
or takes what makes shares even within one. Invariants:

* A slot is served while its lease runs, by this process's own clock less a margin, so that
  no two gateways serve one, whatever the network or a pause does to either.
* Beyond its lease only a gateway serves that was alone at the last answer and held every slot:
  a lost database ends no service. It takes back nothing that another one took meanwhile.
* A gateway that never reached the database serves nobody: others may, and would answer, too.
* A slot given back was parked before: its streams have ended, and nothing is handled for it.

What is asked of the shell comes as values; what became of it is told by the `on_…` methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from qd_store.gateway_state import SLOTS, Answer

LEASE_SECONDS: Final = 6.0
RENEW_SECONDS: Final = 2.0
MARGIN_SECONDS: Final = 0.5
"""Before the end of a lease: for clocks that run unevenly, and for records on their way."""
LATE_SECONDS: Final = 0.05
"""After another's lease should be over, when it is looked at."""
ALL: Final = frozenset(range(SLOTS))


@dataclass(frozen=True, slots=True)
class Load:
    """Load what was saved of these slots, then serve them; tell `on_loaded`."""

    slots: frozenset[int]


@dataclass(frozen=True, slots=True)
class Take:
    """Take up to so many slots that nobody holds; tell `on_taken`."""

    count: int


@dataclass(frozen=True, slots=True)
class Park:
    """End the streams of these slots and handle no more for them; tell `on_parked`."""

    slots: frozenset[int]


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget these slots at once: another gateway serves them, or soon will."""

    slots: frozenset[int]


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another process has this gateway's name: end."""


Step = Load | Take | Park | Drop | Replaced


class Stage(Enum):
    """How far this gateway is with a slot that it holds."""

    LOADING = auto()
    SERVED = auto()
    PARKING = auto()
    PARKED = auto()


class Ownership:
    """The slots of one gateway.

    Parameters
    ----------
    name : str
        Among the gateways of its group.
    lease_s : float
        For how long the database holds what is not renewed.

    Attributes
    ----------
    is_stopping : bool
        Whether it gives back everything.
    next_renewal_s : float
        Seconds from an answer to the next renewal, unless there is more to say before.
    """

    def __init__(self, name: str, lease_s: float = LEASE_SECONDS) -> None:
        self._name = name
        self._lease_s = lease_s
        self._stages: dict[int, Stage] = {}
        self._until: float | None = None  # of the lease; None: it never had one
        self._knows_no_other = False
        self._is_cut_off = False
        self.is_stopping = False
        self._asked_at = 0.0
        self.next_renewal_s = RENEW_SECONDS

    # --- for looking at ---------------------------------------------------------------

    @property
    def held(self) -> frozenset[int]:
        """The slots that are this gateway's, served or not yet or no more."""
        return frozenset(self._stages)

    @property
    def loading(self) -> frozenset[int]:
        """The slots whose state is being loaded."""
        return self._at(Stage.LOADING)

    @property
    def parking(self) -> frozenset[int]:
        """The slots whose streams are being ended."""
        return self._at(Stage.PARKING)

    @property
    def served(self) -> frozenset[int]:
        """The slots whose clients are served, as long as the lease runs."""
        return self._at(Stage.SERVED)

    def may_act(self, now: float) -> bool:
        """Whether the gateway may act for the clients of the slots that it serves.

        Where not, either `on_tick` drops them, or the database is being asked.
        """
        return self._until is None or now < self._until or (self._is_alone and self._is_cut_off)

    def has_lease(self, now: float) -> bool:
        """Whether the database holds them for this gateway until later than now."""
        return self._until is not None and now < self._until

    # --- what happens -----------------------------------------------------------------

    def ask(self, now: float) -> frozenset[int]:
        """A renewal is about to be sent; returns the slots to be given back with it."""
        self._asked_at = now
        return self._at(Stage.PARKED)

    def on_answer(self, answer: Answer, now: float) -> list[Step]:
        """The database answered the renewal that `ask` began."""
        if not answer.is_member:
            return [*self._drop(self.held), Replaced()]
        self._knows_no_other = set(answer.members) <= {self._name}
        steps = self._drop(self.held - answer.held)
        until = self._asked_at + self._lease_s - MARGIN_SECONDS
        if now >= until:  # it is older than what it gives
            return steps + ([] if self._is_alone else self._drop(self.held))
        self._until, self._is_cut_off = until, False
        steps += self._load(answer.held)
        return steps + self._balance(answer)

    def on_taken(self, slots: frozenset[int]) -> list[Step]:
        """These slots were free and are this gateway's now."""
        return self._load(slots)

    def on_loaded(self, slots: Iterable[int]) -> None:
        """These slots are served from now on."""
        found = frozenset(slots) & self.loading
        self._stages.update(dict.fromkeys(found, Stage.SERVED))

    def on_parked(self, slots: Iterable[int]) -> None:
        """Nothing is done for these slots any more: the next renewal gives them back."""
        found = self.parking & frozenset(slots)
        self._stages.update(dict.fromkeys(found, Stage.PARKED))

    def on_unreachable(self, began_at: float, now: float) -> None:
        """The database could not be asked; `began_at` is when that was tried.

        A gateway that knows of no other goes on.
        """
        for slot in self.loading:
            del self._stages[slot]  # the next answer gives it again
        if self._until is not None:
            # A failure that was begun before a pause says nothing of what comes after it.
            self._is_cut_off |= now < self._until or began_at >= self._until

    def on_tick(self, now: float) -> list[Step]:
        """Time passed: call this before acting for any client."""
        return [] if self.may_act(now) or self._is_alone else self._drop(self.held)

    def stop(self) -> list[Step]:
        """The gateway ends: give back everything."""
        self.is_stopping = True
        self._stages.update(dict.fromkeys(self.loading, Stage.PARKED))
        return self._park(self.served)

    # --- inside -----------------------------------------------------------------------

    @property
    def _is_alone(self) -> bool:
        return self._knows_no_other and self.served == ALL

    def _at(self, stage: Stage) -> frozenset[int]:
        return frozenset(slot for slot, found in self._stages.items() if found is stage)

    def _load(self, slots: frozenset[int]) -> list[Step]:
        new = slots - self.held
        stage = Stage.PARKED if self.is_stopping else Stage.LOADING
        self._stages.update(dict.fromkeys(new, stage))
        return [Load(new)] if new and not self.is_stopping else []

    def _drop(self, slots: frozenset[int]) -> list[Step]:
        for slot in slots:
            del self._stages[slot]
        return [Drop(slots)] if slots else []

    def _park(self, slots: frozenset[int]) -> list[Step]:
        self._stages.update(dict.fromkeys(slots, Stage.PARKING))
        return [Park(slots)] if slots else []

    def _balance(self, answer: Answer) -> list[Step]:
        """Give back what is more than this gateway's share, or take what is less."""
        waits = RENEW_SECONDS if answer.next_free_s is None else answer.next_free_s + LATE_SECONDS
        self.next_renewal_s = min(waits, RENEW_SECONDS)
        if self.is_stopping:
            return []
        share = share_of(self._name, answer.members)
        more = len(self.served) + len(self.loading) - share
        if more > 0:
            return self._park(frozenset(sorted(self.served)[-more:]))
        return [Take(-more)] if more < 0 and answer.free else []


def share_of(name: str, members: Sequence[str]) -> int:
    """How many slots a gateway should hold: shares differ by one at most, and make all."""
    least, rest = divmod(SLOTS, len(members))
    return least + (sorted(members).index(name) < rest)
