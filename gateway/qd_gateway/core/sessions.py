"""The sessions: what is known of each logged-in client, and whose has changed. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from qd_gateway.core.actions import Reply
from qd_gateway.core.plans import Mark, StreamPlan
from qd_gateway.core.saved import SavedSession, SavedStream
from qd_gateway.core.slots import NOTHING_HANDLED

NO_COUNTER = -1


@dataclass(slots=True)
class Running:
    """A stream that has a place.

    `acked` is the first row that its client has not taken, `sent` how many were sent.
    """

    plan: StreamPlan
    acked: int
    sent: int = 0
    stopping: bool = False


@dataclass(slots=True, eq=False)
class Session:
    """A logged-in client.

    Attributes
    ----------
    number : int
        The gateway's own name for the session, never used twice.
    lease_ms : int
        Milliseconds of silence that end it; 0 where none does.
    beat : Reply
        The answer to its heartbeats.
    key, counter, offset, since_s
        As in `SavedSession`.
    running : dict
        By ticket.
    taken : dict
        The marks of the running streams, and whose they are.
    has_turn : bool
        Whether it stands in line for a place.
    """

    client_id: int
    number: int
    version: int
    lease_ms: int
    heard_at: float
    beat: Reply
    login_id: int = 0
    key: bytes | None = None
    counter: int = NO_COUNTER
    offset: int = NOTHING_HANDLED
    since_s: int = 0
    running: dict[int, Running] = field(default_factory=dict)
    waiting: deque[StreamPlan] = field(default_factory=deque)
    taken: dict[Mark, int] = field(default_factory=dict)
    has_turn: bool = False

    def is_silent(self, now: float) -> bool:
        """True where its client was not heard for its lease."""
        return self.lease_ms > 0 and now - self.heard_at >= self.lease_ms / 1_000

    def may_start(self, plan: StreamPlan) -> bool:
        """True where the client could tell the stream's messages from its others'."""
        return self.taken.keys().isdisjoint(plan.marks)

    def begin(self, plan: StreamPlan) -> None:
        """Note that a stream runs."""
        self.running[plan.ticket] = Running(plan, plan.first_sequence)
        self.taken.update(dict.fromkeys(plan.marks, plan.ticket))

    def finish(self, ticket: int) -> bool:
        """Note that a stream is over; False where it was so before."""
        running = self.running.pop(ticket, None)
        if running is None:
            return False
        for mark in running.plan.marks:
            del self.taken[mark]
        return True

    def saved(self) -> SavedSession:
        """What of it outlives the gateway."""
        begun = [
            SavedStream(one.plan, running=True, sent=one.sent) for one in self.running.values()
        ]
        waiting = [SavedStream(plan, running=False) for plan in self.waiting]
        return SavedSession(
            self.client_id,
            self.version,
            self.lease_ms,
            self.login_id,
            self.key,
            self.counter,
            self.offset,
            (*begun, *waiting),
            self.since_s,
        )


class Sessions:
    """All sessions, by client, and the clients whose session has changed."""

    def __init__(self) -> None:
        self._by_client: dict[int, Session] = {}
        self._changed: dict[int, None] = {}  # a set that keeps its order
        self.proven = 0
        """How many began with a proof."""

    def __len__(self) -> int:
        return len(self._by_client)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._by_client.values())

    def get(self, client_id: int) -> Session | None:
        """The session of a client, if it has one."""
        return self._by_client.get(client_id)

    def add(self, session: Session) -> None:
        """A session begins."""
        self._by_client[session.client_id] = session
        self.proven += session.key is not None

    def remove(self, session: Session) -> None:
        """A session is over."""
        self.forget(session)
        self.mark(session.client_id)

    def forget(self, session: Session) -> None:
        """A session goes on elsewhere."""
        del self._by_client[session.client_id]
        self.proven -= session.key is not None

    def mark(self, client_id: int) -> None:
        """A client's session has changed, and is to be saved."""
        self._changed[client_id] = None

    def unmark(self, is_elsewhere: Callable[[int], bool]) -> None:
        """What has changed is saved by somebody else, for the clients that are meant."""
        self._changed = {one: None for one in self._changed if not is_elsewhere(one)}

    @property
    def has_changed(self) -> bool:
        """Whether any session changed since `changes` was called."""
        return bool(self._changed)

    def changes(self) -> list[SavedSession | int]:
        """Each session that changed since the last call; of one that is over, its client."""
        changed, self._changed = self._changed, {}
        found = ((client_id, self._by_client.get(client_id)) for client_id in changed)
        return [client if session is None else session.saved() for client, session in found]
