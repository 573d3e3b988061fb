"""A shell around the machine that sends nothing: it keeps its own book, and checks each action."""

from __future__ import annotations

from qd_gateway.core.actions import (
    AbortStream,
    Action,
    AdvanceStream,
    Channel,
    CloseSession,
    EndCause,
    Ignored,
    OpenSession,
    Reply,
    StartStream,
    StopStream,
)
from qd_gateway.core.machine import GatewayMachine
from qd_gateway.core.sessions import Session
from qd_schemas.codec import decode, version_of
from qd_schemas.enums import Reason
from qd_schemas.messages import ClientError, DataError
from qd_schemas.topics import CLIENT_ID_MAX, CLIENT_ID_MIN
from qd_schemas.wire import NO_DETAIL

Shape = tuple[int, frozenset[int], float, int, dict[int, int]]
Identity = tuple[int, int, int, bytes | None, int]


def shape(session: Session) -> Shape:
    """What of a session another client's records must not change."""
    plans = [*session.running, *(plan.ticket for plan in session.waiting)]
    acked = {ticket: running.acked for ticket, running in session.running.items()}
    return session.number, frozenset(plans), session.heard_at, session.counter, acked


def identity(session: Session) -> Identity:
    """What of a session outlives its gateway."""
    key = session.key
    return session.version, session.lease_ms, session.login_id, key, session.counter


class Shell:
    """What one gateway process does, on paper.

    Attributes
    ----------
    open : dict
        The session of each client that has one.
    live : dict
        The client of each stream that runs, by ticket.
    next_offset : int
        Of the control topic: what is read next.
    """

    def __init__(self, machine: GatewayMachine, secret: bytes) -> None:
        self.machine = machine
        self.secret = secret
        self.open: dict[int, int] = {}
        self.live: dict[int, int] = {}
        self.next_offset = 0
        self.sessions_max = 0  # what was taken over may be more than the limit
        self._tickets: set[int] = set()
        self._numbers: set[int] = set()
        self._advanced: dict[int, int] = {}
        self._stopped: set[int] = set()
        self._aborted: set[int] = set()

    def shapes(self, but: int | None) -> dict[int, Shape]:
        return {s.client_id: shape(s) for s in self.machine.sessions if s.client_id != but}

    def identities(self) -> dict[int, Identity]:
        return {session.client_id: identity(session) for session in self.machine.sessions}

    def session_of(self, client_id: int | None) -> Session | None:
        return next((s for s in self.machine.sessions if s.client_id == client_id), None)

    def book(self, actions: list[Action]) -> None:
        """Apply the actions as the shell would, checking each one."""
        for action in actions:
            match action:
                case OpenSession():
                    assert action.client_id not in self.open
                    assert action.session not in self._numbers
                    self._numbers.add(action.session)
                    self.open[action.client_id] = action.session
                case CloseSession():
                    assert self.open.pop(action.client_id) == action.session
                case StartStream():
                    self._start(action)
                case StopStream() | AdvanceStream() | AbortStream():
                    self._steer(action)
                case Reply():
                    self._reply(action)
                case Ignored():
                    assert action.detail

    def end(self, ticket: int) -> int:
        """A stream's task ends; returns whose it was."""
        return self.live.pop(ticket)

    def _start(self, action: StartStream) -> None:
        ticket = action.plan.ticket
        assert ticket not in self._tickets
        assert self.open[action.plan.client_id] == action.session
        self._tickets.add(ticket)
        self.live[ticket] = action.plan.client_id
        self._advanced[ticket] = action.plan.first_sequence

    def _steer(self, action: StopStream | AdvanceStream | AbortStream) -> None:
        ticket = action.ticket
        assert ticket in self.live
        assert ticket not in self._aborted
        match action:
            case StopStream():
                assert ticket not in self._stopped
                self._stopped.add(ticket)
            case AdvanceStream():
                assert action.sequence > self._advanced[ticket]
                self._advanced[ticket] = action.sequence
            case AbortStream():
                self._aborted.add(ticket)

    def _reply(self, action: Reply) -> None:
        assert CLIENT_ID_MIN <= action.client_id <= CLIENT_ID_MAX
        assert self.open.get(action.client_id) == action.session
        message = decode(action.payload)
        is_refusal = isinstance(message, ClientError | DataError)
        assert is_refusal == (action.channel is Channel.ERROR) == (action.error is not None)
        assert is_refusal == (action.reason is not Reason.NONE)
        if isinstance(message, ClientError | DataError):
            said = version_of(action.payload) > 1
            assert message.reason == (action.reason if said else NO_DETAIL)


def moved(actions: list[Action]) -> bool:
    """True where all that is done is to let go of sessions and streams."""
    return all(
        isinstance(action, AbortStream)
        or (isinstance(action, CloseSession) and action.cause is EndCause.MOVED)
        for action in actions
    )
