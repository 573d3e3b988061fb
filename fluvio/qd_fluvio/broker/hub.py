"""All open connections of a broker together: how many, how much memory, how long they may stall.

A connection says what it holds; the hub decides which go when there is too much. Who is
at work is never closed: only who never spoke, who leaves a request half sent, and, where
memory is short, who holds some of it and does not move. No sockets here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from qd_fluvio.broker.settings import SWEEP_S, ConnectionLimits

_log = logging.getLogger("broker.hub")


class Member(Protocol):
    """One connection, as the hub sees it."""

    peer: str

    @property
    def requests(self) -> int:
        """Whole requests that came so far."""

    @property
    def half_request(self) -> bool:
        """Whether a request has begun to come, is not whole, and more of it is awaited."""

    @property
    def awaits_client(self) -> bool:
        """Whether it is the client's turn: to send the rest, or to take what was sent."""

    @property
    def held_bytes(self) -> int:
        """Memory that this connection holds now."""

    @property
    def moved_bytes(self) -> int:
        """Bytes that this client has sent and taken so far: still while it does neither."""

    def proceed(self) -> None:
        """Receive again, after having been told to wait."""

    def abort(self) -> asyncio.Future[None]:
        """Drop the connection; gives what ends when its session has ended."""


@dataclass(slots=True)
class _Seen:
    """What the sweeps saw of one member, and since when."""

    since: float
    counted_bytes: int = 0
    half_of: int = -1
    half_since: float = 0.0
    moved_bytes: int = 0
    moved_since: float = 0.0


class Hub:
    """The open connections of a broker."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._now = 0.0  # seconds, as the sweeps count them
        self._members: dict[Member, _Seen] = {}
        self._held_bytes = 0
        self._waiting: deque[Member] = deque()
        self._passing: Member | None = None
        self._sent_bytes = 0
        self._sent_awaited = 0
        self._sent_enough = asyncio.Event()

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members)

    @property
    def members(self) -> int:
        """Open connections."""
        return len(self._members)

    @property
    def held_bytes(self) -> int:
        """Memory that all connections hold, as far as they said."""
        return self._held_bytes

    @property
    def sent_bytes(self) -> int:
        """Bytes of answers that were sent so far."""
        return self._sent_bytes

    @property
    def pressed(self) -> bool:
        """Whether more memory is held than should be."""
        return self._held_bytes > self.limits.memory_bytes_max

    def admit(self, member: Member) -> bool:
        """Count a new connection, unless there are too many.

        Who never spoke goes first, oldest first, so that a flood of silent connections
        pushes out itself and not clients.
        """
        if len(self._members) >= self.limits.connections_max:
            silent = next((other for other in self._members if not other.requests), None)
            if silent is None:
                return False
            self._drop(silent, "too many connections, and it has not spoken yet")
        self._members[member] = _Seen(self._now, moved_since=self._now)
        return True

    def leave(self, member: Member) -> None:
        """A connection is gone."""
        seen = self._members.pop(member, None)
        if seen is None:
            return
        self._held_bytes -= seen.counted_bytes
        if member in self._waiting:
            self._waiting.remove(member)
        if member is self._passing:
            self._passing = None
        self._let_pass()

    def account(self, member: Member) -> None:
        """A connection holds more or less than before."""
        seen = self._members.get(member)
        if seen is None:
            return
        held = member.held_bytes
        self._held_bytes += held - seen.counted_bytes
        seen.counted_bytes = held
        if self._waiting:
            self._let_pass()

    def must_wait(self, member: Member) -> bool:
        """Whether the rest of a large request must wait for memory; `proceed` ends that.

        One at a time goes on in any case: what is held by half requests alone would
        otherwise never be let go.
        """
        if not self.pressed or member is self._passing:
            return False
        if self._passing is None and not self._waiting:
            self._passing = member
            return False
        if member not in self._waiting:
            self._waiting.append(member)
        return True

    def passed(self, member: Member) -> None:
        """A large request is whole."""
        if member is self._passing:
            self._passing = None
            self._let_pass()

    def sent(self, count: int) -> None:
        """Some connection has sent records."""
        self._sent_bytes += count
        if self._sent_awaited and self._sent_bytes >= self._sent_awaited:
            self._sent_enough.set()

    async def has_sent(self, count: int) -> None:
        """Return once so many bytes more were sent."""
        self._sent_enough.clear()
        self._sent_awaited = self._sent_bytes + count
        await self._sent_enough.wait()

    async def run(self) -> None:
        """Sweep again and again, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                # Where this process itself stood still, its clients did not stall so long.
                self.sweep(SWEEP_S)
            except Exception:
                _log.exception("a sweep failed by a defect")

    def sweep(self, elapsed_s: float) -> None:
        """Close what stalled for too long, and under pressure what holds memory and stalls.

        Parameters
        ----------
        elapsed_s : float
            Time since the last sweep.
        """
        self._now += elapsed_s
        for member, seen in list(self._members.items()):
            self.account(member)
            self._note(member, seen)
            if reason := self._overdue(member, seen):
                self._drop(member, reason)
        self._relieve()
        self._let_pass()

    def _note(self, member: Member, seen: _Seen) -> None:
        half_of = member.requests if member.half_request else -1
        if half_of != seen.half_of:
            seen.half_of, seen.half_since = half_of, self._now
        if member.moved_bytes != seen.moved_bytes:
            seen.moved_bytes, seen.moved_since = member.moved_bytes, self._now

    def _overdue(self, member: Member, seen: _Seen) -> str:
        limits, now = self.limits, self._now
        if not member.requests and now - seen.since > limits.opening_s_max:
            return f"found no request within {limits.opening_s_max:g} s"
        if seen.half_of >= 0 and now - seen.half_since > limits.request_s_max:
            return f"found half a request, expected the rest within {limits.request_s_max:g} s"
        return ""

    def _relieve(self) -> None:
        if not self.pressed:
            return
        stalled = [
            (seen.counted_bytes, member)
            for member, seen in self._members.items()
            if seen.counted_bytes
            and member.awaits_client
            and self._now - seen.moved_since > self.limits.stall_s_max
        ]
        for held, member in sorted(stalled, key=lambda item: item[0], reverse=True):
            if not self.pressed:
                return
            self._drop(member, f"memory is short, it holds {held} bytes and does not move")

    def _drop(self, member: Member, reason: str) -> None:
        _log.warning("closing %s: %s", member.peer, reason)
        member.abort()
        self.leave(member)

    def _let_pass(self) -> None:
        while self._waiting and (self._passing is None or not self.pressed):
            member = self._waiting.popleft()
            if self.pressed:
                self._passing = member
            self._members[member].moved_since = self._now
            member.proceed()

    async def close(self) -> None:
        """Close all connections and wait for their sessions."""
        ending = {member.abort() for member in list(self._members)}
        if ending:
            await asyncio.wait(ending)
