"""One gateway's part in what gateways share, over a connection of its own.

Statements only: what to take, give back or load is the gateway's decision. All of it is
fenced: what is not this process's slot by the database's rows cannot be changed by it. Leases
run by the database's clock. One task at a time may use a `GatewayState`; after an error it is
of no more use.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import psycopg
from psycopg import conninfo

from qd_store.connections import bounded, cut, translated, translating, unreachable
from qd_store.errors import ConnectionLost, QueryTimedOut
from qd_store.gateway_state import statements
from qd_store.gateway_state.slots import SLOTS
from qd_store.migrate import VERSION, require_version

T = TypeVar("T")

CHANNEL: Final = "qd_gateway"
CONNECT_SECONDS: Final = 3


@dataclass(frozen=True, slots=True)
class Member:
    """A gateway among those of its group.

    Attributes
    ----------
    group, name : str
        The gateways that serve one cluster, and this one's name among them.
    incarnation : int
        Of this process, at random: another process of the same name takes its place.
    lease_s : float
        Seconds for which it holds what it does not renew.
    """

    group: str
    name: str
    incarnation: int
    lease_s: float

    @property
    def answer_seconds_max(self) -> float:
        """How long to wait for the database: a slower one would let leases run out."""
        return self.lease_s / 2


@dataclass(frozen=True, slots=True)
class Saving:
    """What is saved with a renewal, in one transaction.

    Attributes
    ----------
    offsets : mapping of int to int
        Of slots: the control topic's next offset, all before it is handled.
    sessions : mapping of int to str
        Of clients: the states that changed, as JSON.
    ended : sequence of int
        Clients whose sessions ended.
    released : set of int
        Slots that are given back.
    done : sequence of int
        Orders that were carried out.
    leaving : bool
        Whether this gateway ends.
    """

    offsets: Mapping[int, int] = field(default_factory=dict)
    sessions: Mapping[int, str] = field(default_factory=dict)
    ended: Sequence[int] = ()
    released: frozenset[int] = frozenset()
    done: Sequence[int] = ()
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the database says to a renewal.

    Attributes
    ----------
    is_member : bool
        False where another process has taken this one's name.
    held : set of int
        The slots that are this process's until its lease ends.
    members : tuple of str
        All gateways whose lease runs, in the order of their names.
    free : int
        Slots that nobody holds.
    next_free_s : float or None
        Seconds until the next lease of another gateway ends, if it does not renew.
    """

    is_member: bool
    held: frozenset[int]
    members: tuple[str, ...]
    free: int
    next_free_s: float | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """Slots as they were saved.

    Attributes
    ----------
    offsets : mapping of int to (int, float)
        The control topic's next offset, and how many seconds ago that was; slots that were
        never saved are not in it.
    sessions : tuple of str
        The states of the clients that are logged in, as JSON.
    """

    offsets: Mapping[int, tuple[int, float]]
    sessions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator asks for; without a ticket the session's end."""

    number: int
    client_id: int
    ticket: int | None


class GatewayState:
    """The shared tables as one gateway uses them.

    Every method raises `StoreError` where the database cannot be asked, within
    `Member.answer_seconds_max`.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any], member: Member) -> None:
        self._connection = connection
        self._member = member
        self._heard: set[str] = set()
        self._given = {
            "group": member.group,
            "name": member.name,
            "incarnation": member.incarnation,
            "lease": member.lease_s,
        }
        connection.add_notify_handler(lambda notify: self._heard.add(notify.payload))

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, dsn: str, member: Member, *, first: bool) -> AsyncIterator[GatewayState]:
        """Connect, join the group, listen; close when the block ends.

        Parameters
        ----------
        first : bool
            Whether this process joins for the first time, and so takes the place of another
            one of its name; later it does not, and learns by `renew` if it lost its own.

        Raises
        ------
        DatabaseUnreachable
            No connection could be made.
        SchemaMismatch
            The tables are missing, older or newer.
        """
        try:
            connection = await psycopg.AsyncConnection.connect(_impatient(dsn), autocommit=True)
        except psycopg.Error as error:
            raise unreachable(error) from error
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(connection.close)
            state = cls(connection, member)
            await state._in_time(state._join(first=first))
            yield state

    async def renew(self, saving: Saving) -> Answer:
        """Renew this gateway's lease and its slots', and save; all of it or nothing."""
        return await self._in_time(self._renew(saving))

    async def take(self, count: int) -> frozenset[int]:
        """Take up to so many slots that nobody holds."""
        rows = await self._in_time(self._rows(statements.TAKE, {"count": count}))
        return frozenset(slot for (slot,) in rows)

    async def load(self, slots: frozenset[int]) -> Loaded:
        """What was saved of slots, by whoever held them."""
        given = {"slots": sorted(slots)}
        offsets = await self._in_time(self._rows(statements.OFFSETS, given))
        sessions = await self._in_time(self._rows(statements.SESSIONS, given))
        return Loaded(
            {slot: (offset, age_s) for slot, offset, age_s in offsets},
            tuple(state for (state,) in sessions),
        )

    async def keys(self) -> dict[int, bytes]:
        """The key of each client that must prove who it is."""
        return dict(await self._in_time(self._rows(statements.KEYS, {})))

    async def orders(self) -> list[Order]:
        """What operators ask of this gateway's slots; again until it is saved as done."""
        rows = await self._in_time(self._rows(statements.ORDERS, {}))
        return [Order(*row) for row in rows]

    async def told(self) -> frozenset[str]:
        """The tables that changed since the last call, by a round trip that misses nothing."""
        await self._in_time(self._rows("SELECT 1", {}))
        return self.heard()

    def heard(self) -> frozenset[str]:
        """The tables that changed, as far as the answers so far said."""
        heard, self._heard = self._heard, set()
        return frozenset(heard)

    async def wait(self, awake: asyncio.Event, seconds: float) -> None:
        """Wait until something may be told, until `awake` is set, or for so many seconds."""
        if self._heard:
            return
        with translating():
            loop, descriptor = asyncio.get_running_loop(), self._connection.fileno()
        loop.add_reader(descriptor, awake.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await awake.wait()
        finally:
            loop.remove_reader(descriptor)

    async def _join(self, *, first: bool) -> None:
        ((table,),) = await self._rows("SELECT to_regclass('schema_version')", {})
        ((version,),) = await self._rows(VERSION, {}) if table is not None else [(0,)]
        require_version(version)
        await self._connection.execute("SET default_transaction_read_only = off")
        await self._connection.execute(f"LISTEN {CHANNEL}".encode())
        async with self._connection.transaction():
            for statement in statements.JOIN if first else statements.JOIN_AGAIN:
                await self._connection.execute(statement.encode(), self._given)

    async def _renew(self, saving: Saving) -> Answer:
        given = {
            "slots": list(range(SLOTS)),
            "offsets": [saving.offsets.get(slot) for slot in range(SLOTS)],
            "released": [slot in saving.released for slot in range(SLOTS)],
            "clients": list(saving.sessions),
            "states": list(saving.sessions.values()),
            "ended": list(saving.ended),
            "done": list(saving.done),
        }
        if not (saving.released or saving.leaving):
            rows = await self._rows(statements.RENEW, given)
        else:
            async with self._connection.transaction():
                rows = await self._rows(statements.RENEW, given)
                if saving.leaving:
                    await self._rows(statements.LEAVE, {})
                await self._rows(statements.TELL, {})
        is_member, held, members, free, next_free_s = rows[0]
        return Answer(bool(is_member), frozenset(held), tuple(members), free, next_free_s)

    async def _rows(self, query: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        cursor = await self._connection.execute(query.encode(), {**self._given, **given})
        return await cursor.fetchall() if cursor.description else []

    async def _in_time(self, work: Awaitable[T]) -> T:
        """The result of work on the connection; it is cut off from a server that is silent.

        Cancelling would wait for the server's consent.
        """
        seconds_max = self._member.answer_seconds_max
        task = asyncio.ensure_future(work)
        late = asyncio.get_running_loop().call_later(seconds_max, cut, self._connection)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            cut(self._connection)
            await asyncio.wait([task])
            raise
        except psycopg.Error as error:
            if asyncio.get_running_loop().time() >= late.when():
                raise QueryTimedOut(
                    f"the database did not answer within {seconds_max:g} s: is it overloaded?"
                ) from error
            raise translated(error) from error
        except OSError as error:  # of the socket, where the connection is closed meanwhile
            raise ConnectionLost(f"the database connection was lost ({error})") from error
        finally:
            late.cancel()


def _impatient(dsn: str) -> str:
    """The DSN with limits, a short one on connecting unless it sets that itself."""
    limited = bounded(dsn)  # it raises where the DSN cannot be read
    if "connect_timeout" in conninfo.conninfo_to_dict(dsn):
        return limited
    return conninfo.make_conninfo(limited, connect_timeout=CONNECT_SECONDS)
