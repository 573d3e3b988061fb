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
  invented. A login that was not saved may be refused then, by who has no room or did not ask
  for its proof, but not without a word.
* Who is taken over hears the new epoch, and of each stream that ran, in its version's words.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from qd_gateway.core.actions import Action, Ignored, Reply
from qd_gateway.core.limits import Limits
from qd_gateway.core.machine import GatewayMachine
from qd_gateway.core.plans import Refusal
from qd_gateway.core.saved import SavedSession
from qd_gateway.core.sessions import Session
from qd_gateway.core.slots import SLOTS, slot_of
from qd_schemas.codec import encode
from qd_schemas.enums import DataErrorType, DataType, Reason
from qd_schemas.identity import PERIOD_S, challenge, key_of, login_proof, signed
from qd_schemas.messages import (
    ClientLogin,
    LoginProof,
    StartData,
)
from support.control_records import (
    CLIENTS,
    OPEN_CLIENTS,
    TOKEN_CLIENTS,
    garbage,
    in_session,
    leases_ms,
    login_ids,
    request_bytes,
)
from support.machine_checks import (
    LOGINS,
    check_answer,
    check_taken_over,
    is_about_login,
    is_signed_right,
    request_of,
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

names = st.sampled_from(NAMES)
token_clients = st.sampled_from(TOKEN_CLIENTS)
refusals = st.builds(Refusal, st.sampled_from(DataErrorType), st.sampled_from(list(Reason)[1:]))


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
        for session in machine.sessions:  # an unsigned heartbeat alone is not worth saving
            saved = SavedSession.from_json(self.saved[session.client_id])
            assert replace(saved, offset=session.offset) == session.saved()

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
        if protected and is_signed_right(payload, protected, counter):
            assert session is not None
            assert session.counter > counter
        elif protected:
            assert shell.shapes(but=None).get(client or 0) == own
            assert isinstance(asked, LOGINS) or [type(one) for one in actions] == [Ignored]
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

    @initialize()
    def some_are_there(self) -> None:
        for client in OPEN_CLIENTS[:2]:
            self.log_in(client, 2, 5)
        self.prove(TOKEN_CLIENTS[0], 0, 5, 0)

    @precondition(lambda self: self.sessions())
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        """Somebody who is logged in asks for a few things, as clients do."""
        session = data.draw(st.sampled_from(self.sessions()))
        asked = in_session(st.just(session.client_id), damaged=False)
        for body in data.draw(st.lists(request_bytes(asked), min_size=1, max_size=8)):
            if session.key is None:
                self.send(body)
            else:
                self.send(signed(session.key, session.client_id, session.counter + 1, body))

    @precondition(lambda self: self.sessions())
    @rule(data=st.data(), count=st.sampled_from([1, 2, 4]), version=st.sampled_from([1, 2, 2]))
    def stream(self, data: st.DataObject, count: int, version: int) -> None:
        """Somebody who is logged in asks for streams, each with an id and symbol of its own."""
        session = data.draw(st.sampled_from(self.sessions()))
        kind = DataType.TRADES if version == 1 else DataType.TRADES_EXACT
        for number in range(10, 10 + count):
            body = encode(StartData(session.client_id, 1, number, 0, kind, number), version)
            if session.key is not None:
                body = signed(session.key, session.client_id, session.counter + 1, body)
            self.send(body)

    @precondition(lambda self: any(session.key for session in self.sessions()))
    @rule(data=st.data(), step=st.sampled_from([1, 5, 0, -1]), right=st.booleans())
    def sign(self, data: st.DataObject, step: int, right: bool) -> None:
        session = data.draw(st.sampled_from([one for one in self.sessions() if one.key]))
        body = data.draw(request_bytes(in_session(st.just(session.client_id))))
        key = session.key if right and session.key else b"\0" * 32
        self.send(signed(key, session.client_id, session.counter + step, body))

    @precondition(lambda self: any(session.key for session in self.sessions()))
    @rule(data=st.data())
    def forge(self, data: st.DataObject) -> None:
        """Somebody asks in the name of a client that signs, without a signature."""
        session = data.draw(st.sampled_from([one for one in self.sessions() if one.key]))
        asked = in_session(st.just(session.client_id), damaged=False)
        self.send(data.draw(request_bytes(asked)))

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
        judged_anew = set() if parks else self.lose(slots)
        if parks:
            self.park(name, slots, meanwhile)
        actions = shell.machine.disown(slots)
        assert moved(actions)
        shell.book(actions)
        self.take_over(other, slots)
        if parks:
            self.check_same(other, before, [], slots)
            self.read(other)
        else:
            self.check_same(other, before, self.read(other), slots, judged_anew)

    def park(self, name: str, slots: frozenset[int], meanwhile: bytes) -> None:
        shell = self.shells[name]
        shell.book(shell.machine.park(slots))
        left = {c: found for c, found in shell.shapes(but=None).items() if slot_of(c) in slots}
        self.send(meanwhile)
        for client in left:
            assert shell.machine.end_client(client) == []
        assert left.items() <= shell.shapes(but=None).items()
        self.save(name)

    def lose(self, slots: frozenset[int]) -> set[int]:
        """What was handled and not saved will be handled again; returns whose that is."""
        clients = set()
        for offset in list(self.done):
            client = request_of(self.log[offset]).client_id  # type: ignore[union-attr]
            if slot_of(client) in slots and offset > self.handled[slot_of(client)]:
                del self.done[offset]
                clients.add(client)
        return clients

    def check_same(
        self,
        name: str,
        before: dict[int, Identity],
        actions: list[Action],
        slots: frozenset[int] = frozenset(range(SLOTS)),
        judged_anew: Collection[int] = (),
    ) -> None:
        """All sessions are there again, or their clients are told to log in anew.

        Another gateway than the one that handled a login may believe another proof, and have
        room for a session, or none.
        """
        after = {c: i for c, i in self.shells[name].identities().items() if slot_of(c) in slots}
        told = [action for action in actions if isinstance(action, Reply)]
        to_log_in = {reply.client_id for reply in told if is_about_login(reply)}
        for client, was in before.items():
            proven = was[3] is not None
            may_be_told = proven or client in judged_anew
            assert after.get(client) == was or (may_be_told and client in to_log_in)
        assert after.keys() <= before.keys() | set(judged_anew)

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


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
