"""No history of records, ticks, ends, moves and crashes breaks the machine's invariants.

Two gateways read one log. What they save is kept as a database would keep it, all or nothing.
Each of these holds after every step, and is checked where it could break:

* What is no request yields one `Ignored` and changes nothing.
* A record is handled by one gateway, once, unless that one crashes before it saves.
* A refused request yields at most one error, to the client that it names, and says why.
* A client's records change no other client's session or streams.
* Where a session began with a proof, only rightly signed requests change it, each once.
* A stream starts once; it is stopped, advanced and aborted only while it runs; its
  acknowledgements only rise.
* No count passes its limit, but for sessions taken over; no place stays free while a stream
  could use it.
* A slot that is parked or not held yields no answer and no stream.
* After a crash, or a move, saved state and log give back the same sessions: none is lost, none
  invented. Only of a login by a proof that was not saved its client is told, to log in anew.
* Who is taken over hears the new epoch, and of each stream that ran, in its version's words.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from qd_gateway.actions import Action, Ignored, OpenSession, Reply, StartStream
from qd_gateway.limits import Limits
from qd_gateway.machine import GatewayMachine
from qd_gateway.plans import Refusal
from qd_gateway.saved import SavedSession
from qd_gateway.sessions import Session
from qd_gateway.slots import SLOTS, slot_of
from qd_schemas.codec import decode, decode_at, encode
from qd_schemas.enums import ClientErrorType, DataErrorType, EndReason, Reason
from qd_schemas.errors import DecodeError
from qd_schemas.identity import PERIOD_S, challenge, key_of, login_proof, signed
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    DataError,
    Heartbeat,
    LastOHLCVBar,
    LastTradeBar,
    LoginChallenge,
    LoginProof,
    Message,
    Signed,
)
from qd_schemas.wire import NO_COUNT
from support.control_records import (
    CLIENTS,
    OPEN_CLIENTS,
    REQUESTS,
    TOKEN_CLIENTS,
    garbage,
    in_session,
    leases_ms,
    login_ids,
    request_bytes,
)
from support.machine_shell import Identity, Shell, moved

KEYS = {client: key_of(f"token of {client}") for client in TOKEN_CLIENTS}
OFTEN = 1_000_000  # of rates, which have tests of their own
LIMITS = Limits(
    sessions=4,
    running=3,
    running_per_client=2,
    waiting=3,
    waiting_per_client=2,
    requests_per_second=OFTEN,
    heartbeats_per_second=OFTEN,
    strangers_per_second=OFTEN,
    refusals_per_second=OFTEN,
)
NAMES = ("a", "b")
LOGINS = (ClientLogin, LoginProof)

names = st.sampled_from(NAMES)
token_clients = st.sampled_from(TOKEN_CLIENTS)
refusals = st.builds(Refusal, st.sampled_from(DataErrorType), st.sampled_from(list(Reason)[1:]))


def request_of(payload: bytes) -> Message | None:
    """The request that a record holds, None where it is none of a client."""
    try:
        message, end = decode_at(payload, 0)
        if isinstance(message, Signed):
            inner = decode(payload[end:])
            same = getattr(inner, "client_id", None) == message.client_id
            message = inner if same and not isinstance(inner, LOGINS) else message
        elif end != len(payload):
            return None
    except DecodeError:
        return None
    valid = isinstance(message, REQUESTS) and 21 <= message.client_id < 65_535
    return message if valid else None


def is_signed_right(payload: bytes, key: bytes, counter: int) -> bool:
    """Whether a record is what the client with this session key sends after `counter`."""
    try:
        found, end = decode_at(payload, 0)
    except DecodeError:
        return False
    if not isinstance(found, Signed) or found.counter <= counter:
        return False
    return signed(key, found.client_id, found.counter, payload[end:]) == payload


class Histories(RuleBasedStateMachine):
    """Drives two machines over one log."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.log: list[bytes] = []
        self.saved: dict[int, str] = {}  # by client
        self.handled = dict.fromkeys(range(SLOTS), -1)
        self.owner = dict.fromkeys(range(SLOTS), "a")
        self.done: dict[int, str] = {}  # offset of a client's record: who handled it
        self.epochs = itertools.count(1)
        self.shells = {name: self.process(name) for name in NAMES}
        self.take_over("a", frozenset(range(SLOTS)))

    # --- the processes and what they keep ---------------------------------------------

    def process(self, name: str) -> Shell:
        secret = f"{name}{next(self.epochs)}".encode()
        machine = GatewayMachine(LIMITS, secret=secret)
        machine.set_keys(KEYS)
        shell = Shell(machine, secret)
        shell.next_offset = len(self.log)
        return shell

    def sessions(self) -> list[Session]:
        return [one for shell in self.shells.values() for one in shell.machine.sessions]

    def slots_of(self, name: str) -> frozenset[int]:
        return frozenset(slot for slot, owner in self.owner.items() if owner == name)

    def save(self, name: str) -> None:
        machine = self.shells[name].machine
        for change in machine.changes():
            if isinstance(change, SavedSession):
                self.saved[change.client_id] = change.to_json()
            else:
                self.saved.pop(change, None)
        handled = machine.handled()
        assert handled.keys() == self.slots_of(name)
        self.handled.update(handled)

    def take_over(self, name: str, slots: frozenset[int]) -> None:
        """Own slots by what is saved of them, and read again what was not handled."""
        shell, epoch = self.shells[name], next(self.epochs)
        texts = [text for client, text in self.saved.items() if slot_of(client) in slots]
        found = [SavedSession.from_json(text) for text in texts]
        handled = {slot: self.handled[slot] for slot in slots}
        actions = shell.machine.own(slots, found, epoch, self.now, handled)
        shell.book(actions)
        self.owner.update(dict.fromkeys(slots, name))
        shell.sessions_max = max(LIMITS.sessions, len(shell.machine.sessions))
        check_taken_over(actions, found, epoch)
        if handled:
            shell.next_offset = min(shell.next_offset, min(handled.values()) + 1)
        self.save(name)

    def read(self, name: str) -> list[Action]:
        """Feed all that is not read yet."""
        shell, actions = self.shells[name], []
        while shell.next_offset < len(self.log):
            actions += self.feed(name, shell.next_offset)
            shell.next_offset += 1
        return actions

    def feed(self, name: str, offset: int) -> list[Action]:
        shell, payload = self.shells[name], self.log[offset]
        machine, asked = shell.machine, request_of(self.log[offset])
        client = None if asked is None else asked.client_id  # type: ignore[attr-defined]
        passed = machine.others + machine.repeated
        before, session = shell.shapes(but=client), shell.session_of(client)
        own, protected = shell.shapes(but=None).get(client or 0), session and session.key
        counter = session.counter if session else -1
        actions = machine.on_record(payload, offset, self.now)
        assert shell.shapes(but=client) == before
        shell.book(actions)
        if machine.others + machine.repeated > passed:
            assert actions == []
            return actions
        if asked is None:
            assert [type(action) for action in actions] == [Ignored]
            return actions
        assert offset not in self.done
        self.done[offset] = name
        assert self.owner[slot_of(client or 0)] == name
        check_answer(asked, actions)
        if protected and not is_signed_right(payload, protected, counter):
            assert shell.shapes(but=None).get(client or 0) == own
            assert not any(isinstance(action, StartStream) for action in actions)
        return actions

    def send(self, payload: bytes) -> None:
        self.log.append(payload)
        for name in NAMES:
            self.read(name)

    # --- what clients and strangers send ----------------------------------------------

    @rule(payload=request_bytes())
    def request(self, payload: bytes) -> None:
        self.send(payload)

    @rule(payload=garbage)
    def garbled(self, payload: bytes) -> None:
        self.send(payload)

    @rule(payload=request_bytes())
    def request_while_the_other_lags(self, payload: bytes) -> None:
        self.log.append(payload)
        self.read("a")

    @rule(client=token_clients, lease=leases_ms, login=login_ids, late=st.integers(0, 2))
    def prove(self, client: int, lease: int, login: int, late: int) -> None:
        shell = self.shells[self.owner[slot_of(client)]]
        period = int(self.now // PERIOD_S) - late
        nonce = challenge(shell.secret, client, period)
        proof = login_proof(KEYS[client], nonce, client, lease, login)
        self.send(encode(LoginProof(client, lease, login, proof)))

    @rule(client=st.sampled_from(OPEN_CLIENTS), version=st.sampled_from([1, 2]), login=login_ids)
    def log_in(self, client: int, version: int, login: int) -> None:
        self.send(encode(ClientLogin(client, 0, login), version))

    @precondition(lambda self: self.sessions())
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        """Somebody who is logged in asks for a few things, as clients do."""
        session = data.draw(st.sampled_from(self.sessions()))
        asked = in_session(st.just(session.client_id), damaged=False)
        for body in data.draw(st.lists(request_bytes(asked), min_size=1, max_size=6)):
            if session.key is None:
                self.send(body)
            else:
                self.send(signed(session.key, session.client_id, session.counter + 1, body))

    @precondition(lambda self: any(session.key for session in self.sessions()))
    @rule(data=st.data(), step=st.sampled_from([1, 5, 0, -1]), right=st.booleans())
    def sign(self, data: st.DataObject, step: int, right: bool) -> None:
        session = data.draw(st.sampled_from([one for one in self.sessions() if one.key]))
        body = data.draw(request_bytes(in_session(st.just(session.client_id))))
        key = session.key if right and session.key else b"\0" * 32
        self.send(signed(key, session.client_id, session.counter + step, body))

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        self.send(data.draw(st.sampled_from(self.log)))

    # --- what else happens ------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.1, 1.0, 1.0, 100.0]))
    def tick(self, seconds: float) -> None:
        for name in NAMES:
            self.read(name)
        self.now += seconds
        for name, shell in self.shells.items():
            patient = {s.client_id for s in shell.machine.sessions if not s.lease_ms}
            shell.book(shell.machine.on_tick(self.now))
            left = shell.machine.sessions
            assert patient <= {session.client_id for session in left}
            assert not any(session.is_silent(self.now) for session in left)
            self.save(name)

    @rule(name=names, data=st.data(), refused=st.one_of(st.none(), refusals))
    def stream_ends(self, name: str, data: st.DataObject, refused: Refusal | None) -> None:
        shell = self.shells[name]
        if not shell.live:
            return
        ticket = data.draw(st.sampled_from(sorted(shell.live)))
        client = shell.end(ticket)
        told = any(ticket in s.running for s in shell.machine.sessions) and refused is not None
        actions = shell.machine.on_stream_ended(ticket, refused)
        replies = [action for action in actions if isinstance(action, Reply)]
        assert [reply.client_id for reply in replies] == [client] * told
        shell.book(actions)
        assert shell.machine.on_stream_ended(ticket, refused) == []

    @rule(name=names, client=st.sampled_from(CLIENTS), off=st.sampled_from([0, 0, 1]))
    def client_gone(self, name: str, client: int, off: int) -> None:
        shell = self.shells[name]
        before = shell.shapes(but=None if off else client)
        actions = shell.machine.on_client_gone(client, shell.open.get(client, 0) - off)
        shell.book(actions)
        assert shell.shapes(but=None) == before
        self.save(name)

    @rule(name=names, client=st.sampled_from(CLIENTS), data=st.data())
    def operator(self, name: str, client: int, data: st.DataObject) -> None:
        shell, before = self.shells[name], self.shells[name].shapes(but=client)
        session = shell.session_of(client)
        plans = [] if session is None else [*session.running, *(p.ticket for p in session.waiting)]
        ticket = data.draw(st.sampled_from([None, -1, *plans]))
        if ticket is None:
            actions = shell.machine.end_client(client)
        else:
            actions = shell.machine.end_stream(client, ticket)
        shell.book(actions)
        assert shell.shapes(but=client) == before
        told = [action for action in actions if isinstance(action, Reply)]
        ended = session is not None and (ticket is None or ticket in plans)
        assert [reply.reason for reply in told] == [Reason.ENDED_BY_OPERATOR] * ended
        self.save(name)

    @rule(name=names)
    def reconnected(self, name: str) -> None:
        machine = self.shells[name].machine
        machine.on_reconnected(self.now)
        assert all(session.heard_at == self.now for session in machine.sessions)

    # --- saving, crashes and moves ----------------------------------------------------

    @rule(name=names, fails=st.booleans())
    def saving(self, name: str, fails: bool) -> None:
        if fails:
            machine = self.shells[name].machine
            machine.unsaved(machine.changes())
        else:
            self.save(name)

    @precondition(lambda self: self.sessions())
    @rule(data=st.data(), saves=st.booleans())
    def crash(self, data: st.DataObject, saves: bool) -> None:
        """A gateway with sessions dies; another process takes its place."""
        client = data.draw(st.sampled_from(self.sessions())).client_id
        name = self.owner[slot_of(client)]
        if saves:
            self.save(name)
        self.read(name)
        slots, before = self.slots_of(name), self.shells[name].identities()
        self.lose(slots)
        self.shells[name] = self.process(name)
        self.take_over(name, slots)
        self.check_same(name, before, self.read(name))

    @rule(
        clients=st.sets(st.sampled_from(CLIENTS), min_size=1),
        parks=st.booleans(),
        meanwhile=request_bytes(),
    )
    def move(self, clients: set[int], parks: bool, meanwhile: bytes) -> None:
        """Some slots go to the other gateway, given by this one or lost by it."""
        name = self.owner[slot_of(min(clients))]
        other = NAMES[name == "a"]
        slots = frozenset(map(slot_of, clients)) & self.slots_of(name)
        self.read(name)
        shell = self.shells[name]
        before = {c: i for c, i in shell.identities().items() if slot_of(c) in slots}
        if parks:
            self.park(name, slots, meanwhile)
        else:
            self.lose(slots)
        actions = shell.machine.disown(slots)
        assert moved(actions)
        shell.book(actions)
        self.take_over(other, slots)
        if parks:
            self.check_same(other, before, [], slots)
            self.read(other)
        else:
            # It may believe a proof, given to a question of its own, that this one did not.
            self.check_same(other, before, self.read(other), slots, TOKEN_CLIENTS)

    def park(self, name: str, slots: frozenset[int], meanwhile: bytes) -> None:
        shell = self.shells[name]
        shell.book(shell.machine.park(slots))
        left = {c: found for c, found in shell.shapes(but=None).items() if slot_of(c) in slots}
        self.send(meanwhile)
        for client in left:
            assert shell.machine.end_client(client) == []
        assert left.items() <= shell.shapes(but=None).items()
        self.save(name)

    def lose(self, slots: frozenset[int]) -> None:
        """What was handled and not saved will be handled again."""
        for offset in list(self.done):
            slot = slot_of(request_of(self.log[offset]).client_id)  # type: ignore[union-attr]
            if slot in slots and offset > self.handled[slot]:
                del self.done[offset]

    def check_same(
        self,
        name: str,
        before: dict[int, Identity],
        actions: list[Action],
        slots: frozenset[int] = frozenset(range(SLOTS)),
        believed: Collection[int] = (),
    ) -> None:
        """All sessions are there again, or their clients are asked to prove once more."""
        after = {c: i for c, i in self.shells[name].identities().items() if slot_of(c) in slots}
        told = [action for action in actions if isinstance(action, Reply)]
        to_log_in = {reply.client_id for reply in told if is_about_login(reply)}
        for client, was in before.items():
            proven = was[3] is not None
            assert after.get(client) == was or (proven and client in to_log_in)
        assert after.keys() <= before.keys() | set(believed)

    # --- what always holds ------------------------------------------------------------

    @invariant()
    def limits_hold(self) -> None:
        for shell in self.shells.values():
            machine = shell.machine
            assert len(machine.sessions) <= max(shell.sessions_max, LIMITS.sessions)
            assert len(machine.running) <= LIMITS.running
            assert machine.waiting == sum(len(s.waiting) for s in machine.sessions)
            assert machine.waiting <= LIMITS.waiting
            for session in machine.sessions:
                assert len(session.running) <= LIMITS.running_per_client
                assert len(session.waiting) <= LIMITS.waiting_per_client
                marks = [mark for run in session.running.values() for mark in run.plan.marks]
                assert sorted(marks) == sorted(session.taken)

    @invariant()
    def books_agree(self) -> None:
        for name, shell in self.shells.items():
            machine = shell.machine
            assert {s.client_id: s.number for s in machine.sessions} == shell.open
            assert {plan.ticket for plan in machine.running} == set(shell.live)
            assert {slot_of(client) for client in shell.open} <= self.slots_of(name)

    @invariant()
    def no_place_is_left_free(self) -> None:
        for shell in self.shells.values():
            if len(shell.machine.running) == LIMITS.running:
                continue
            for session in shell.machine.sessions:
                full = len(session.running) == LIMITS.running_per_client
                assert full or not any(map(session.may_start, session.waiting))

    @invariant()
    def all_was_handled(self) -> None:
        """Where both have read everything, each request has been handled by somebody."""
        if all(shell.next_offset == len(self.log) for shell in self.shells.values()):
            asked = {at for at, payload in enumerate(self.log) if request_of(payload)}
            assert self.done.keys() == asked


def is_about_login(reply: Reply) -> bool:
    """True for what lets a client know that it has to log in anew."""
    challenged = isinstance(decode(reply.payload), LoginChallenge)
    return challenged or reply.error is ClientErrorType.LOGIN_FAILED


def check_answer(asked: Message, actions: list[Action]) -> None:
    """Answers go to who is named; a refusal is the only answer, and says what it refuses."""
    replies = [action for action in actions if isinstance(action, Reply)]
    assert all(reply.client_id == asked.client_id for reply in replies)  # type: ignore[attr-defined]
    refused = [reply for reply in replies if reply.error is not None]
    if refused:
        assert actions == refused[:1]
        message = decode(refused[0].payload)
        assert isinstance(message, ClientError | DataError)
        assert message.request_type in (asked.TEMPLATE, 2**16 - 1)


def check_taken_over(actions: list[Action], found: list[SavedSession], epoch: int) -> None:
    """Each client is told what it needs to go on, and nothing else."""
    opened = [action for action in actions if isinstance(action, OpenSession)]
    assert all(action.restored for action in opened)
    assert sorted(o.client_id for o in opened) == sorted(one.client_id for one in found)
    replies = [action for action in actions if isinstance(action, Reply)]
    assert len(opened) + len(replies) == len(actions)
    for saved in found:
        told = [decode(r.payload) for r in replies if r.client_id == saved.client_id]
        beats = [message for message in told if isinstance(message, Heartbeat)]
        assert beats == [Heartbeat(saved.client_id, epoch)] * (saved.version > 1)
        lasts = [m for m in told if isinstance(m, LastTradeBar | LastOHLCVBar)]
        assert all((m.end_reason, m.count) == (EndReason.INTERRUPTED, NO_COUNT) for m in lasts)
        errors = [message for message in told if isinstance(message, DataError)]
        assert all(m.data_error_type == DataErrorType.CHANNEL_FAILED for m in errors)
        versions = [stream.plan.version for stream in saved.streams]
        assert (len(lasts), len(errors)) == (versions.count(2), versions.count(1))


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
