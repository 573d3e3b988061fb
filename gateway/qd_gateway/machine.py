"""The session and stream machine: records and clock ticks in, actions out.

It does no I/O and reads no clock, so any history can be tested. Invariants:

* Bytes that are no request from a client yield one `Ignored` and change nothing.
* A refused request yields exactly one error, to the client that it names.
* A client's records never change another client's session or streams, except that a
  waiting stream of another client may start when a place becomes free.
* A stream starts at most once, and is stopped or aborted only while it runs.
* No count passes its limit.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from qd_gateway.actions import (
    AbortStream,
    Action,
    CloseSession,
    DeleteTopics,
    EndCause,
    Ignored,
    IgnoreReason,
    OpenSession,
    Reply,
    StartStream,
    StopStream,
)
from qd_gateway.limits import Limits
from qd_gateway.plans import StreamPlan, plan_of
from qd_gateway.replies import client_error, data_error, first_message, heartbeat, last_message
from qd_schemas.codec import decode, version_of
from qd_schemas.enums import ClientErrorType, DataErrorType, EndReason, ExchangeId
from qd_schemas.errors import DecodeError
from qd_schemas.messages import (
    ClientLogin,
    ClientLogout,
    Heartbeat,
    StartData,
    StopAllData,
    StopData,
)
from qd_schemas.topics import CLIENT_ID_MAX, CLIENT_ID_MIN
from qd_schemas.wire import NO_STREAM, VERSION

Request = ClientLogin | ClientLogout | Heartbeat | StartData | StopData | StopAllData


@dataclass(slots=True)
class Session:
    """A logged-in client. `lease_s` is None where silence never ends the session."""

    client_id: int
    number: int
    version: int
    lease_s: float | None
    heard_at: float
    running: dict[int, StreamPlan] = field(default_factory=dict)
    stopping: set[int] = field(default_factory=set)
    waiting: deque[StreamPlan] = field(default_factory=deque)

    def may_start(self, plan: StreamPlan) -> bool:
        """True where the client could tell the stream's messages from its others'."""
        return not any(plan.is_confused_with(other) for other in self.running.values())


class GatewayMachine:
    """All sessions and streams of one gateway.

    Parameters
    ----------
    limits : Limits
        How many sessions and streams it takes.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._sessions: dict[int, Session] = {}
        self._abandoned: dict[int, float] = {}  # client whose lease ran out: since when
        self._running: dict[int, StreamPlan] = {}  # until the shell says that they ended
        self._turns: deque[int] = deque()  # clients with waiting streams, next one first
        self._session_numbers = itertools.count(1)
        self._tickets = itertools.count(1)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions, for looking at."""
        return tuple(self._sessions.values())

    @property
    def running(self) -> tuple[StreamPlan, ...]:
        """The streams that have a place, for looking at."""
        return tuple(self._running.values())

    # --- what happens -----------------------------------------------------------------

    def on_record(self, payload: bytes, now: float) -> list[Action]:
        """One record of the control topic; `now` is a clock that never goes back, in seconds."""
        if len(payload) > self._limits.message_bytes:
            detail = f"{len(payload)} bytes, at most {self._limits.message_bytes} are read"
            return [Ignored(IgnoreReason.TOO_LONG, detail)]
        try:
            message, version = decode(payload), version_of(payload)
        except DecodeError as error:
            return [Ignored(IgnoreReason.NOT_A_MESSAGE, str(error))]
        if not isinstance(message, Request):
            return [Ignored(IgnoreReason.NOT_A_REQUEST, type(message).__name__)]
        if not CLIENT_ID_MIN <= message.client_id <= CLIENT_ID_MAX:
            detail = f"{type(message).__name__} of client {message.client_id}"
            return [Ignored(IgnoreReason.BAD_CLIENT_ID, detail)]
        return list(self._on_request(message, min(version, VERSION), now))

    def on_tick(self, now: float) -> list[Action]:
        """Time passed: sessions whose clients were silent for their lease end.

        Their topics go later, unless the clients come back.
        """
        silent = [
            session
            for session in self._sessions.values()
            if session.lease_s is not None and now - session.heard_at >= session.lease_s
        ]
        actions: list[Action] = []
        for session in silent:
            actions.extend(self._end(session, EndCause.LEASE_EXPIRED))
            self._abandoned[session.client_id] = now
        for client_id, since in list(self._abandoned.items()):
            if now - since >= self._limits.abandoned_s:
                del self._abandoned[client_id]
                actions.append(DeleteTopics(client_id))
        return actions

    def on_reconnected(self, now: float) -> None:
        """The gateway was deaf until `now`: no client's silence before counts against it."""
        for session in self._sessions.values():
            session.heard_at = now
        self._abandoned = dict.fromkeys(self._abandoned, now)

    def on_client_gone(self, client_id: int, session: int) -> list[Action]:
        """The topics of a session's client cannot be written any more."""
        found = self._sessions.get(client_id)
        if found is None or found.number != session:
            return []
        return list(self._end(found, EndCause.CLIENT_GONE))

    def on_stream_ended(self, ticket: int, error: DataErrorType | None = None) -> list[Action]:
        """A stream's task ended; `error` is what its client must be told, if anything."""
        plan = self._running.pop(ticket, None)
        if plan is None:
            return []
        actions: list[Action] = []
        session = self._sessions.get(plan.client_id)
        if session is not None and ticket in session.running:
            del session.running[ticket]
            session.stopping.discard(ticket)
            if error is not None:
                actions.append(data_error(plan, session.number, error))
        actions.extend(self._start_waiting())
        return actions

    # --- requests ---------------------------------------------------------------------

    def _on_request(self, message: Request, version: int, now: float) -> Iterator[Action]:
        session = self._sessions.get(message.client_id)
        if isinstance(message, ClientLogin):
            yield from self._login(message, session, version, now)
            return
        if session is None:
            yield client_error(message.client_id, None, ClientErrorType.NOT_LOGGED_IN, version)
            return
        session.heard_at = now
        match message:
            case ClientLogout():
                yield from self._end(session, EndCause.LOGOUT)
            case Heartbeat():
                yield self._beat(session)
            case StartData():
                yield from self._start(message, session, version)
            case StopData():
                yield from self._stop(session, lambda plan: _is_named(plan, message))
            case StopAllData():
                yield from self._stop(session, lambda plan: _is_on(plan, message.exchange_id))

    @staticmethod
    def _beat(session: Session) -> Reply:
        """Answer a heartbeat, but not on the data topic of a version 1 client.

        That one knows no such message; whoever beats in its name is told that the id is taken.
        """
        if session.version == 1:
            error = ClientErrorType.ALREADY_LOGGED_IN
            return client_error(session.client_id, session.number, error, VERSION)
        return heartbeat(session.client_id, session.number)

    def _login(
        self, message: ClientLogin, session: Session | None, version: int, now: float
    ) -> Iterator[Action]:
        client_id = message.client_id
        if session is not None:
            error = ClientErrorType.ALREADY_LOGGED_IN
            yield client_error(client_id, session.number, error, version)
            return
        if len(self._sessions) >= self._limits.sessions:
            yield client_error(client_id, None, ClientErrorType.LOGIN_FAILED, version)
            return
        self._abandoned.pop(client_id, None)
        number = next(self._session_numbers)
        lease_s = self._limits.lease_s(message.lease_ms) if version > 1 else None
        self._sessions[client_id] = Session(client_id, number, version, lease_s, now)
        yield OpenSession(client_id, number, version)
        if version > 1:
            yield heartbeat(client_id, number)

    def _start(self, message: StartData, session: Session, version: int) -> Iterator[Action]:
        plan = plan_of(message, version, next(self._tickets))
        if isinstance(plan, StreamPlan) and self._is_full(session):
            plan = DataErrorType.CHANNEL_FAILED
        if isinstance(plan, DataErrorType):
            yield data_error(message, session.number, plan, version)
            return
        session.waiting.append(plan)
        if session.client_id not in self._turns:
            self._turns.append(session.client_id)
        yield from self._start_waiting()

    def _is_full(self, session: Session) -> bool:
        return len(session.waiting) >= self._limits.waiting_per_client

    def _stop(self, session: Session, named: Callable[[StreamPlan], bool]) -> Iterator[Action]:
        """Stop what is named; nothing to stop is no error, the stream may just have ended."""
        for plan in [plan for plan in session.waiting if named(plan)]:
            session.waiting.remove(plan)
            if plan.version > 1:  # in version 1 they would seem to be another stream's
                yield first_message(plan, session.number)
                yield last_message(plan, session.number, EndReason.STOPPED, 0)
        for ticket, plan in session.running.items():
            if named(plan) and ticket not in session.stopping:
                session.stopping.add(ticket)
                yield StopStream(ticket)

    # --- places -----------------------------------------------------------------------

    def _end(self, session: Session, cause: EndCause) -> Iterator[Action]:
        del self._sessions[session.client_id]
        if session.client_id in self._turns:
            self._turns.remove(session.client_id)
        for ticket in session.running:
            yield AbortStream(ticket)
        yield CloseSession(session.client_id, session.number, cause)

    def _start_waiting(self) -> Iterator[Action]:
        """Give free places to waiting streams, one for each client in turn."""
        passed = 0  # clients in a row that could not use a place
        while len(self._running) < self._limits.running and passed < len(self._turns):
            session = self._sessions[self._turns.popleft()]
            plan = self._next_plan(session)
            if plan is not None:
                session.waiting.remove(plan)
                session.running[plan.ticket] = self._running[plan.ticket] = plan
                yield StartStream(plan, session.number)
            passed = 0 if plan is not None else passed + 1
            if session.waiting:
                self._turns.append(session.client_id)

    def _next_plan(self, session: Session) -> StreamPlan | None:
        if len(session.running) >= self._limits.running_per_client:
            return None
        return next((plan for plan in session.waiting if session.may_start(plan)), None)


def _is_named(plan: StreamPlan, message: StopData) -> bool:
    """True where a StopData means this stream: by its id, or by market and data type."""
    if message.stream_id != NO_STREAM:
        return plan.version > 1 and plan.stream_id == message.stream_id
    return (plan.exchange_id, plan.symbol_id, plan.data_type) == (
        message.exchange_id,
        message.symbol_id,
        message.data_type_id,
    )


def _is_on(plan: StreamPlan, exchange_id: int) -> bool:
    """True for every stream of the exchange; the null exchange means all."""
    return exchange_id in (ExchangeId.NULL, plan.exchange_id)
