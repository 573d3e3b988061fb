"""Keeps the gateway's state in the database, beside all that it does: saves, loads, renews.

One task with a connection of its own. What changes is saved soon, together with how far the
control topic was handled; a database that is slow, or away, delays nothing else, and what waits
to be saved is no more than the sessions themselves. What the database says goes to `Ownership`,
and what that decides is carried out here or by the shell.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from qd_fluvio.logs import field_logger
from qd_gateway.core.saved import SavedSession
from qd_gateway.core.slots import slot_of
from qd_gateway.errors import NameTaken, SavedStateDamaged
from qd_gateway.ownership import LEASE_SECONDS, Load, Ownership, Replaced, Step, Take
from qd_store import StoreError
from qd_store.gateway_state import GatewayState, Loaded, Member, Order, Saving

SAVE_SECONDS: Final = 0.1
"""From a change to its saving, so that a burst of changes is one."""
RETRY_SECONDS_MIN: Final = 0.25
RETRY_SECONDS_MAX: Final = 2.0

_log = field_logger("qd_gateway.state")


def lease_clock() -> float:
    """Seconds that never go back, and go on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def member_of(group: str, name: str) -> Member:
    """This process among the gateways of its group; without a name the host's."""
    return Member(group, name or socket.gethostname(), secrets.randbits(62), LEASE_SECONDS)


class Shell(Protocol):
    """What the keeper needs of the rest of the gateway; none of it waits for long."""

    def carry_out(self, steps: Iterable[Step]) -> None:
        """Serve, park or drop slots."""

    async def restore(self, loaded: Loaded, slots: frozenset[int]) -> None:
        """Serve slots that were loaded from now on."""

    def changes(self) -> Sequence[SavedSession | int]:
        """What is to be saved; of sessions that ended, their clients."""

    def unsaved(self, changes: Iterable[SavedSession | int]) -> None:
        """That could not be saved: it is to be given again."""

    def handled(self) -> Mapping[int, int]:
        """Of slots: the last offset of the control topic that was handled."""

    def set_keys(self, keys: Mapping[int, bytes]) -> None:
        """The clients that must prove who they are."""

    def on_order(self, order: Order) -> None:
        """An operator wants something ended."""

    def on_database(self, trouble: str) -> None:
        """The database answers, or what is wrong with it."""

    def on_settled(self) -> None:
        """It was decided which clients are served."""


class StateKeeper:
    """The task that keeps the state.

    Parameters
    ----------
    dsn : str
        The database.
    member : Member
        This process among the gateways of its group.
    ownership : Ownership
        What to take and to give back.
    shell : Shell
        Whose state it is.
    """

    def __init__(self, dsn: str, member: Member, ownership: Ownership, shell: Shell) -> None:
        self._dsn = dsn
        self._member = member
        self._ownership = ownership
        self._shell = shell
        self._awake = asyncio.Event()
        self._is_first = True
        self._is_changed = False
        self._is_leaving = False
        self._renew_at = 0.0
        self._began_at = 0.0  # what is asked of the database now
        self._done: set[int] = set()  # orders carried out, and not yet saved as that
        self._retry_s = RETRY_SECONDS_MIN
        self._trouble = ""

    def changed(self) -> None:
        """Something is to be saved soon."""
        if not self._is_changed:
            self._is_changed = True
            self._renew_at = min(self._renew_at, lease_clock() + SAVE_SECONDS)
            self._awake.set()

    def hurry(self) -> None:
        """Something is to be told the database at once."""
        self._renew_at = 0.0
        self._awake.set()

    def leave(self) -> None:
        """Save, give back what is parked, leave the group, and end."""
        self._is_leaving = True
        self.hurry()

    async def run(self) -> None:
        """Keep the state until told to leave, whatever becomes of the database.

        Raises
        ------
        NameTaken
            Another process has this gateway's name.
        """
        while not self._is_leaving:
            self._began_at = lease_clock()
            try:
                async with GatewayState.open(
                    self._dsn, self._member, first=self._is_first
                ) as state:
                    await self._keep(state)
            except StoreError as error:
                self._on_trouble(error)
                await self._pause()

    async def _pause(self) -> None:
        """Wait before the next try, unless told to leave."""
        self._awake.clear()
        try:
            async with asyncio.timeout(self._retry_s):
                while not self._is_leaving:
                    await self._awake.wait()
                    self._awake.clear()
        except TimeoutError:
            self._retry_s = min(2 * self._retry_s, RETRY_SECONDS_MAX)

    def _on_trouble(self, error: StoreError) -> None:
        if str(error) != self._trouble:  # not again and again for hours
            effect = "streams are refused" if self._ownership.held else "no client is served"
            _log.error("no database, %s until it is there: %s", effect, error)
        self._trouble = str(error)
        self._shell.on_database(self._trouble)
        self._ownership.on_unreachable(self._began_at, lease_clock())
        self._shell.on_settled()

    async def _keep(self, state: GatewayState) -> None:
        """Renew and save with one connection, as long as it lasts."""
        self._is_first, self._retry_s = False, RETRY_SECONDS_MIN
        self._shell.set_keys(await state.keys())
        self._trouble = ""
        self._shell.on_database("")
        _log.info("keeping state", group=self._member.group, name=self._member.name)
        if not self._is_leaving:
            await self._renew(state)
            await self._look_for_orders(state)  # what was told while nobody listened
        while not self._is_leaving:
            self._awake.clear()
            await state.wait(self._awake, max(self._renew_at - lease_clock(), 0.0))
            if self._is_leaving:  # that is said once: after it, this is no member
                break
            self._began_at = lease_clock()
            if self._began_at >= self._renew_at:
                await self._renew(state)
                told = state.heard()
            else:
                told = await state.told()
            await self._on_told(told, state)
        await self._renew(state)

    async def _on_told(self, told: frozenset[str], state: GatewayState) -> None:
        """Look at what changed in the tables."""
        if "gateway_token" in told:
            self._shell.set_keys(await state.keys())
        if "gateway_order" in told:
            await self._look_for_orders(state)
        if "gateway_slot" in told:
            self._renew_at = 0.0

    async def _look_for_orders(self, state: GatewayState) -> None:
        """Carry out what is asked of served clients; another's is left to who serves it next."""
        for order in await state.orders():
            is_served = slot_of(order.client_id) in self._ownership.served
            if is_served and order.number not in self._done:
                self._done.add(order.number)
                self._shell.on_order(order)
                self.changed()

    async def _renew(self, state: GatewayState) -> None:
        """Renew the lease, save what changed, and do what follows from the answer."""
        changes = self._shell.changes()
        self._began_at = now = lease_clock()
        saving = self._saving(changes, self._ownership.ask(now))
        self._is_changed = False
        self._renew_at = now + self._ownership.next_renewal_s
        try:
            answer = await state.renew(saving)
        except BaseException:
            self._shell.unsaved(changes)
            raise
        self._done -= set(saving.done)
        steps = self._ownership.on_answer(answer, lease_clock())
        self._renew_at = min(self._renew_at, now + self._ownership.next_renewal_s)
        await self._carry_out(steps, state)
        self._shell.on_settled()

    def _saving(self, changes: Sequence[SavedSession | int], released: frozenset[int]) -> Saving:
        return Saving(
            offsets={slot: offset + 1 for slot, offset in self._shell.handled().items()},
            sessions={
                change.client_id: change.to_json()
                for change in changes
                if isinstance(change, SavedSession)
            },
            ended=[change for change in changes if isinstance(change, int)],
            released=released,
            done=sorted(self._done),
            leaving=self._is_leaving,
        )

    async def _carry_out(self, steps: Sequence[Step], state: GatewayState) -> None:
        """Do what has to do with the database here, and leave the rest to the shell."""
        for step in steps:
            match step:
                case Replaced():
                    raise NameTaken(
                        f"another process serves as gateway {self._member.name!r} of group "
                        f"{self._member.group!r}: give each its own QD_GATEWAY_NAME"
                    )
                case Take(count):
                    taken = await state.take(count)
                    await self._carry_out(self._ownership.on_taken(taken), state)
                case Load(slots):
                    loaded = await state.load(slots)
                    await self._shell.restore(loaded, slots)
                    await self._look_for_orders(state)
                case _:
                    self._shell.carry_out([step])


def sessions_of(loaded: Loaded) -> list[SavedSession]:
    """The sessions that were saved; one that cannot be read is lost, and said."""
    found = []
    for text in loaded.sessions:
        try:
            found.append(SavedSession.from_json(text))
        except SavedStateDamaged as error:
            _log.error("a session is lost: %s", error)
    return found
