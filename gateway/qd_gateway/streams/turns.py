"""Who reads the next piece: equal shares for clients, whatever the number of their streams.

Start-time fair queueing, with clients as its flows: each client has a clock that goes on by the
rows it was given, and the client whose clock is most behind is next. A new one starts at the
common clock, so it comes soon. One that comes back, perhaps only from sending what it has read,
goes on where it was, but has not saved up more than `CREDIT_ROWS`. So, of clients that always have
something to read, no two are ever further apart than about a piece of each.

Pure: no I/O, and nothing waits here; see `grants` for that.

Reference: Goyal, Vin, Cheng, "Start-time Fair Queueing", SIGCOMM 1996.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from qd_gateway.streams.sizes import (
    PIECE_ROWS_ALONE,
    PIECE_ROWS_MAX,
    PIECE_ROWS_MIN,
    PIECES_AT_ONCE,
    ROUND_ROWS,
)

CREDIT_ROWS: Final = 2 * PIECE_ROWS_MAX


@dataclass(frozen=True, slots=True)
class Grant:
    """A piece may be read now, of at most so many rows."""

    ticket: int
    client: int
    rows: int


@dataclass(slots=True)
class _Client:
    """Its clock, in rows; what it asks for, oldest first; how many pieces it reads."""

    clock: int
    waiting: deque[tuple[int, int]] = field(default_factory=deque)
    running: int = 0

    @property
    def is_active(self) -> bool:
        return bool(self.waiting or self.running)


class Turns:
    """All pieces that are read or asked for.

    Parameters
    ----------
    places : int
        How many may be read at the same time. While several clients ask, each has one at most.
    """

    def __init__(self, places: int = PIECES_AT_ONCE) -> None:
        self._places = places
        self._clients: dict[int, _Client] = {}
        self._clock = 0  # that of the client who had the last turn, when it began
        self.waiting = 0
        self.running = 0

    def ask(self, client: int, ticket: int, rows: int) -> None:
        """A stream of a client wants to read so many rows; `ticket` names the request."""
        found = self._clients.get(client)
        if found is None:
            found = self._clients[client] = _Client(self._clock)
        elif not found.is_active:
            found.clock = max(found.clock, self._clock - CREDIT_ROWS)
        found.waiting.append((ticket, rows))
        self.waiting += 1

    def leave(self, client: int, ticket: int) -> None:
        """A request that waits is withdrawn."""
        found = self._clients[client]
        found.waiting = deque(entry for entry in found.waiting if entry[0] != ticket)
        self.waiting -= 1
        self._forget_idle()

    def done(self, grant: Grant, unused_rows: int) -> None:
        """A piece was read; rows that it did not have are not charged."""
        found = self._clients[grant.client]
        found.running -= 1
        found.clock -= unused_rows
        self.running -= 1
        self._forget_idle()

    def grant(self) -> list[Grant]:
        """The pieces that may be read from now on, beside those that are."""
        granted: list[Grant] = []
        while self.running < self._places and (client := self._next()) is not None:
            granted.append(self._give(client))
        return granted

    def _next(self) -> int | None:
        """The client that is most behind, of those that may have a turn; the first to ask wins."""
        places = self._places if self._active == 1 else 1
        ready = [
            (found.clock, client)
            for client, found in self._clients.items()
            if found.waiting and found.running < places
        ]
        return min(ready, key=lambda entry: entry[0])[1] if ready else None

    def _give(self, client: int) -> Grant:
        found = self._clients[client]
        ticket, wanted = found.waiting.popleft()
        rows = min(wanted, self._rows_max)
        self._clock = max(self._clock, found.clock)
        found.clock += rows
        found.running += 1
        self.waiting -= 1
        self.running += 1
        return Grant(ticket, client, rows)

    @property
    def _active(self) -> int:
        return sum(found.is_active for found in self._clients.values())

    @property
    def _rows_max(self) -> int:
        """Of a piece: the fewer the more streams there are, so that each comes soon."""
        requests = self.waiting + self.running
        if requests == 1:
            return PIECE_ROWS_ALONE
        return min(max(ROUND_ROWS // requests, PIECE_ROWS_MIN), PIECE_ROWS_MAX)

    def _forget_idle(self) -> None:
        """Forget the clocks that say nothing any more."""
        if not (self.waiting or self.running):
            self._clients.clear()
            self._clock = 0
            return
        for client, found in list(self._clients.items()):
            if not found.is_active and found.clock <= self._clock - CREDIT_ROWS:
                del self._clients[client]
