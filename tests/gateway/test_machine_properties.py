"""No history of records, ticks and ended streams breaks the machine's invariants."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from qd_gateway.actions import (
    AbortStream,
    Action,
    AdvanceStream,
    Channel,
    CloseSession,
    DeleteTopics,
    Ignored,
    OpenSession,
    Reply,
    StartStream,
    StopStream,
)
from qd_gateway.limits import Limits
from qd_gateway.machine import GatewayMachine, Session
from qd_gateway.plans import Refusal
from qd_gateway.slots import SLOTS
from qd_schemas.codec import decode, encode
from qd_schemas.enums import DataErrorType, Reason
from qd_schemas.errors import DecodeError
from qd_schemas.messages import (
    MESSAGES,
    ClientError,
    ClientLogin,
    ClientLogout,
    DataError,
    Heartbeat,
    Message,
    StartData,
    StopAllData,
    StopData,
)
from qd_schemas.wire import NO_STREAM, NO_TIME

CLIENTS = (21, 22, 23, 24)

client_ids = st.sampled_from([*CLIENTS, *CLIENTS, 0, 1, 20, 65_535])
exchanges = st.sampled_from([0, 1, 2])
symbols = st.sampled_from([1, 2])
stream_ids = st.sampled_from([1, 2, 3, NO_STREAM])
data_types = st.sampled_from([1, 2, 3, 4, 0, 9])
paces = st.sampled_from([0.0, 1.0, 1e9, -1.0, float("nan"), float("inf")])
i64 = st.sampled_from([0, 1, 1_000, -5, NO_TIME, -(2**63)])

logins = st.builds(ClientLogin, client_ids, st.sampled_from([0, 1, 1_000, 2**32 - 1]))
starts = st.builds(
    StartData,
    client_id=client_ids,
    exchange_id=exchanges,
    symbol_id=symbols,
    time_resolution=st.integers(0, 10),
    data_type_id=data_types,
    stream_id=stream_ids,
    first_sequence=i64,
    start_time=i64,
    end_time=i64,
    pace=paces,
)
stops = st.builds(StopData, client_ids, exchanges, symbols, data_types, stream_ids)
requests = st.one_of(
    logins,
    st.builds(ClientLogout, client_ids),
    st.builds(Heartbeat, client_ids),
    starts,
    starts,
    stops,
    st.builds(StopAllData, client_ids, exchanges),
)


@st.composite
def request_bytes(draw: st.DrawFn) -> bytes:
    """A well-formed request in one of the versions that have it."""
    request = draw(requests)
    return encode(request, draw(st.sampled_from([1, 2])) if request.SINCE == 1 else 2)


@st.composite
def damaged_bytes(draw: st.DrawFn) -> bytes:
    """A request that is cut, grown or changed in a few bytes."""
    payload = bytearray(draw(request_bytes()))
    for _ in range(draw(st.integers(0, 3))):
        payload[draw(st.integers(0, len(payload) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.integers(0, len(payload)))
    return bytes(payload[:cut]) + draw(st.binary(max_size=4))


unasked = st.sampled_from(
    [
        encode(kind(*(21 for _ in range(len(kind.__slots__)))))
        for kind in MESSAGES
        if kind.TEMPLATE > 203
    ]
)
garbage = st.one_of(st.binary(max_size=64), damaged_bytes(), unasked, st.just(b"\0" * 5_000))
errors = st.one_of(
    st.none(), st.builds(Refusal, st.sampled_from(DataErrorType), st.sampled_from(Reason))
)


LIMITS = Limits(sessions=3, running=4, running_per_client=3, waiting_per_client=2)

Shape = tuple[int, frozenset[int], float]


def shape(session: Session) -> Shape:
    """What of a session another client's records must not change."""
    plans = [*session.running, *(plan.ticket for plan in session.waiting)]
    return session.number, frozenset(plans), session.heard_at


class Histories(RuleBasedStateMachine):
    """Drives the machine and keeps its own book of what the actions mean."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = GatewayMachine(LIMITS)
        self.machine.own(range(SLOTS), [], 1, 0.0)
        self.offset = 0
        self.now = 0.0
        self.open: dict[int, int] = {}  # client -> session number
        self.live: dict[int, int] = {}  # ticket -> client, streams the shell runs
        self.tickets: set[int] = set()
        self.numbers: set[int] = set()

    def next_offset(self) -> int:
        self.offset += 1
        return self.offset

    def shapes(self, but: int | None) -> dict[int, Shape]:
        return {s.client_id: shape(s) for s in self.machine.sessions if s.client_id != but}

    def book(self, actions: list[Action]) -> None:
        """Apply the actions as the shell would, checking each one."""
        for action in actions:
            match action:
                case OpenSession():
                    assert action.client_id not in self.open
                    assert action.session not in self.numbers
                    self.numbers.add(action.session)
                    self.open[action.client_id] = action.session
                case DeleteTopics():
                    assert action.client_id not in self.open
                case CloseSession():
                    assert self.open.pop(action.client_id) == action.session
                case StartStream():
                    assert action.plan.ticket not in self.tickets
                    assert self.open[action.plan.client_id] == action.session
                    self.tickets.add(action.plan.ticket)
                    self.live[action.plan.ticket] = action.plan.client_id
                case StopStream() | AbortStream() | AdvanceStream():
                    assert action.ticket in self.live
                case Reply():
                    assert 21 <= action.client_id < 65_535
                    assert self.open.get(action.client_id) == action.session
                    decode(action.payload)
                case Ignored():
                    assert action.detail

    @rule(payload=st.one_of(request_bytes(), request_bytes()))
    def request(self, payload: bytes) -> None:
        client = self.client_of(payload)
        before = self.shapes(but=client)
        actions = self.machine.on_record(payload, self.next_offset(), self.now)
        assert self.shapes(but=client) == before
        self.book(actions)
        replies = [action for action in actions if isinstance(action, Reply)]
        assert all(reply.client_id == client for reply in replies)
        refusals = [reply for reply in replies if reply.channel is Channel.ERROR]
        assert len(refusals) <= 1
        if refusals:
            assert isinstance(decode(refusals[0].payload), ClientError | DataError)
            assert actions == refusals

    @rule(payload=garbage)
    def garbled(self, payload: bytes) -> None:
        before = self.shapes(but=self.client_of(payload))
        actions = self.machine.on_record(payload, self.next_offset(), self.now)
        assert self.shapes(but=self.client_of(payload)) == before
        self.book(actions)
        if self.client_of(payload) is None:
            assert [type(action) for action in actions] == [Ignored]

    @rule(seconds=st.sampled_from([0.1, 1.0, 100.0]))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        patient = {s.client_id for s in self.machine.sessions if not s.lease_ms}
        self.book(self.machine.on_tick(self.now))
        left = self.machine.sessions
        assert patient <= {s.client_id for s in left}
        assert all(not s.is_silent(self.now) for s in left)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), error=errors)
    def stream_ends(self, data: st.DataObject, error: Refusal | None) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.live)))
        client = self.live.pop(ticket)
        told = any(ticket in s.running for s in self.machine.sessions) and error is not None
        actions = self.machine.on_stream_ended(ticket, error)
        replies = [action for action in actions if isinstance(action, Reply)]
        assert [reply.client_id for reply in replies] == [client] * told
        self.book(actions)
        assert self.machine.on_stream_ended(ticket, error) == []

    @precondition(lambda self: self.open)
    @rule(data=st.data(), offset=st.sampled_from([0, 0, 1]))
    def client_gone(self, data: st.DataObject, offset: int) -> None:
        client = data.draw(st.sampled_from(sorted(self.open)))
        before = self.shapes(but=None if offset else client)
        self.book(self.machine.on_client_gone(client, self.open[client] - offset))
        assert self.shapes(but=None) == before

    @rule()
    def reconnected(self) -> None:
        self.machine.on_reconnected(self.now)
        assert all(s.heard_at == self.now for s in self.machine.sessions)

    @invariant()
    def limits_hold(self) -> None:
        assert len(self.machine.sessions) <= LIMITS.sessions
        assert len(self.machine.running) <= LIMITS.running
        for session in self.machine.sessions:
            assert len(session.running) <= LIMITS.running_per_client
            assert len(session.waiting) <= LIMITS.waiting_per_client

    @invariant()
    def books_agree(self) -> None:
        assert {s.client_id: s.number for s in self.machine.sessions} == self.open
        assert {plan.ticket for plan in self.machine.running} == set(self.live)

    @invariant()
    def no_place_is_left_free(self) -> None:
        if len(self.machine.running) < LIMITS.running:
            for session in self.machine.sessions:
                full = len(session.running) == LIMITS.running_per_client
                assert full or not any(map(session.may_start, session.waiting))

    @staticmethod
    def client_of(payload: bytes) -> int | None:
        """The client that the payload's request names, None where it is no request."""
        try:
            message: Message = decode(payload)
        except DecodeError:
            return None
        if message.TEMPLATE > 203:
            return None
        client_id: int = message.client_id  # type: ignore[attr-defined]
        return client_id if 21 <= client_id < 65_535 else None


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
