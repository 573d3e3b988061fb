"""Who is let in: challenges and their answers, signed requests, and what others may not do."""

from __future__ import annotations

import dataclasses

import pytest

from qd_gateway.core.actions import Action, Channel, IgnoreReason, OpenSession, Reply
from qd_gateway.core.admission import CHALLENGE_SECONDS_MAX, Admission, Policy
from qd_gateway.core.limits import Limits
from qd_gateway.core.machine import GatewayMachine
from qd_gateway.core.slots import SLOTS
from qd_schemas.codec import encode
from qd_schemas.enums import ClientErrorType, Reason
from qd_schemas.identity import PERIOD_S, challenge, key_of, signed
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    ClientLogout,
    Heartbeat,
    LoginChallenge,
    LoginProof,
    Message,
    Signed,
    StopAllData,
)
from qd_schemas.specs import TokenRule
from support.machines import (
    CLIENT,
    EPOCH,
    OTHER,
    SECRET,
    Gateway,
    Holder,
    ignored,
    reasons,
    sent,
    start,
    tickets,
)

LATE = CHALLENGE_SECONDS_MAX + 1  # after this process was asked to serve: no other's challenges


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def gateway(holder: Holder) -> Gateway:
    """A gateway that has served for a while, where one client has a token."""
    gateway = Gateway()
    gateway.machine.set_keys({CLIENT: holder.key})
    return gateway


@pytest.fixture
def proven(gateway: Gateway, holder: Holder) -> Gateway:
    """The same, and its client has a session."""
    gateway.send(holder.proof())
    gateway.machine.changes()
    return gateway


def is_open(actions: list[Action]) -> bool:
    return isinstance(actions[0], OpenSession)


# --- challenges and proofs -------------------------------------------------------------------


def test_who_has_a_token_is_challenged_and_let_in(gateway: Gateway, holder: Holder) -> None:
    (asked,) = gateway.send(ClientLogin(CLIENT, 0, 1))
    assert isinstance(asked, Reply)
    assert (asked.channel, asked.session) == (Channel.DATA, None)
    assert sent([asked]) == [LoginChallenge(CLIENT, challenge(SECRET, CLIENT, 0))]
    opened, beat = gateway.send(holder.proof())
    assert opened == OpenSession(CLIENT, 1, 2)
    assert sent([beat]) == [Heartbeat(CLIENT, EPOCH)]
    (session,) = gateway.machine.sessions
    assert session.key == holder.session_key


@pytest.mark.parametrize("rule", TokenRule)
def test_who_has_none_is_let_in_where_none_is_required(rule: TokenRule) -> None:
    gateway = Gateway(policy=Policy(rule))
    assert is_open(gateway.send(ClientLogin(OTHER))) == (rule is TokenRule.OPTIONAL)


def test_the_lease_is_what_the_proof_says(gateway: Gateway, holder: Holder) -> None:
    gateway.send(ClientLogin(CLIENT, 6_000, 1))
    gateway.send(holder.proof(lease_ms=1_000))
    assert gateway.machine.sessions[0].lease_ms == 1_000


@pytest.mark.parametrize(
    ("asked_at", "answered_at", "right"),
    [
        (0.0, PERIOD_S - 0.1, True),
        (PERIOD_S - 0.1, 2 * PERIOD_S - 0.1, True),
        (0.0, 2 * PERIOD_S - 0.1, True),
        (0.0, 2 * PERIOD_S, False),
        (PERIOD_S, 0.0, False),  # of a period that is still to come
    ],
)
def test_a_challenge_is_right_for_ten_to_twenty_seconds(
    gateway: Gateway, holder: Holder, asked_at: float, answered_at: float, right: bool
) -> None:
    base = 3 * PERIOD_S
    proof = holder.proof(now=base + asked_at)
    assert is_open(gateway.send(proof, now=base + answered_at)) == right


@pytest.mark.parametrize(
    "changed",
    [
        {"proof": bytes(32)},
        {"login_id": 2},
        {"lease_ms": 999},
    ],
)
def test_a_proof_is_of_exactly_one_login(
    gateway: Gateway, holder: Holder, changed: dict[str, object]
) -> None:
    wrong = dataclasses.replace(holder.proof(now=LATE), **changed)  # type: ignore[arg-type]
    refused = (ClientErrorType.LOGIN_FAILED, LoginProof.TEMPLATE, Reason.WRONG_PROOF)
    assert sent(gateway.send(wrong, now=LATE)) == [ClientError(CLIENT, *refused)]


def test_a_proof_of_another_token_or_client_is_wrong(gateway: Gateway, holder: Holder) -> None:
    gateway.machine.set_keys({CLIENT: holder.key, OTHER: key_of("other")})
    thief = Holder(token="another")
    assert reasons(gateway.send(thief.proof(now=LATE), now=LATE)) == [Reason.WRONG_PROOF]
    for_other = dataclasses.replace(holder.proof(now=LATE), client_id=OTHER)
    assert reasons(gateway.send(for_other, now=LATE)) == [Reason.WRONG_PROOF]
    unknown = dataclasses.replace(holder.proof(now=LATE), client_id=23)
    assert reasons(gateway.send(unknown, now=LATE)) == [Reason.TOKEN_UNKNOWN]


def test_a_proof_opens_one_session(gateway: Gateway, holder: Holder) -> None:
    proof = holder.proof(now=LATE)
    assert is_open(gateway.send(proof, now=LATE))
    assert is_open(gateway.send(proof, now=LATE)) is False  # its own: answered again
    gateway.put(holder.sign(ClientLogout(CLIENT)), now=LATE)
    assert reasons(gateway.send(proof, now=LATE)) == [Reason.WRONG_PROOF]
    assert is_open(gateway.send(holder.proof(2, now=LATE), now=LATE))  # of the same challenge


def test_logins_that_are_sent_again_are_answered_again(proven: Gateway, holder: Holder) -> None:
    for again in (holder.proof(1), ClientLogin(CLIENT, 0, 1)):
        assert sent(proven.send(again)) == [Heartbeat(CLIENT, EPOCH)]
    for other in (holder.proof(2), ClientLogin(CLIENT, 0, 2), ClientLogin(CLIENT)):
        assert reasons(proven.send(other)) == [Reason.ID_IN_USE]


def test_a_repeated_login_keeps_only_an_unproven_session_alive(
    proven: Gateway, holder: Holder
) -> None:
    """Anybody can record a login and send it again."""
    proven.send(ClientLogin(OTHER, 6_000, 5))
    for login in (holder.proof(1), ClientLogin(CLIENT, 0, 1), ClientLogin(OTHER, 6_000, 5)):
        proven.send(login, now=5.0)
    heard = {session.client_id: session.heard_at for session in proven.machine.sessions}
    assert heard == {CLIENT: 0.0, OTHER: 5.0}


def test_a_login_without_an_id_is_never_its_own_again(gateway: Gateway) -> None:
    gateway.send(ClientLogin(OTHER))
    assert reasons(gateway.send(ClientLogin(OTHER))) == [Reason.ID_IN_USE]


def test_who_answers_the_gateway_before_is_asked_once_more(holder: Holder) -> None:
    gateway = Gateway()
    gateway.machine.set_keys({CLIENT: holder.key})
    late = holder.proof(secret=b"of the gateway before")
    assert sent(gateway.send(late)) == [LoginChallenge(CLIENT, challenge(SECRET, CLIENT, 0))]
    assert reasons(gateway.send(late)) == [Reason.WRONG_PROOF]
    assert is_open(gateway.send(holder.proof()))


def test_a_wrong_proof_is_told_once_no_other_gateway_can_have_asked(
    gateway: Gateway, holder: Holder
) -> None:
    late = holder.proof(secret=b"of the gateway before")
    assert reasons(gateway.send(late, now=LATE)) == [Reason.WRONG_PROOF]


def test_tokens_can_be_given_and_taken(gateway: Gateway, holder: Holder) -> None:
    gateway.machine.set_keys({})
    assert is_open(gateway.send(ClientLogin(CLIENT)))
    assert is_open(gateway.send(ClientLogin(OTHER)))
    ended = gateway.machine.set_keys({CLIENT: holder.key})
    assert reasons(ended) == [Reason.NO_SESSION]
    assert [session.client_id for session in gateway.machine.sessions] == [OTHER]
    assert gateway.machine.set_keys({CLIENT: holder.key}) == []
    (asked,) = sent(gateway.send(ClientLogin(CLIENT)))
    assert isinstance(asked, LoginChallenge)


@pytest.mark.parametrize("after", [{}, {CLIENT: key_of("another")}], ids=["taken", "replaced"])
def test_a_token_that_is_revoked_ends_its_session(proven: Gateway, after: dict[int, bytes]) -> None:
    assert CLIENT in {session.client_id for session in proven.machine.sessions}
    assert reasons(proven.machine.set_keys(after)) == [Reason.NO_SESSION]
    assert CLIENT not in {session.client_id for session in proven.machine.sessions}


def test_a_session_that_was_saved_ends_where_its_token_is_gone(proven: Gateway) -> None:
    saved = [session.saved() for session in proven.machine.sessions]
    heir = Gateway()
    heir.machine.disown(range(SLOTS))
    heir.machine.set_keys({})
    assert reasons(heir.machine.own(range(SLOTS), saved, EPOCH + 1, 0.0)) == [Reason.NO_SESSION]
    assert CLIENT not in {session.client_id for session in heir.machine.sessions}


def test_proofs_are_remembered_while_they_are_right_and_no_longer(holder: Holder) -> None:
    gateway = Gateway(Limits(proofs=2))
    gateway.machine.set_keys({CLIENT: holder.key})
    for login in (1, 2):
        assert is_open(gateway.send(holder.proof(login, now=LATE), now=LATE))
        holder.counter = 0
        gateway.put(holder.sign(ClientLogout(CLIENT)), now=LATE)
    assert reasons(gateway.send(holder.proof(3, now=LATE), now=LATE)) == [Reason.TOO_FAST]
    assert gateway.machine.remembered() >= 2
    gateway.machine.on_tick(LATE + CHALLENGE_SECONDS_MAX)
    assert gateway.machine.remembered() == 0
    after = LATE + CHALLENGE_SECONDS_MAX
    assert is_open(gateway.send(holder.proof(3, now=after), now=after))


def test_what_is_asked_once_more_is_bounded() -> None:
    admission = Admission(Policy(), SECRET, remembered_max=3)
    admission.on_taken_over(0.0)
    wrong = [LoginProof(CLIENT, 0, login, bytes(32)) for login in range(10)]
    assert [admission.may_answer_another(proof, 1.0) for proof in wrong] == [True] * 3 + [False] * 7
    admission.forget_old(LATE)
    assert admission.remembered() == 0


# --- signed requests -------------------------------------------------------------------------


def test_signed_requests_are_served(proven: Gateway, holder: Holder) -> None:
    assert sent(proven.put(holder.sign(Heartbeat(CLIENT)))) == [Heartbeat(CLIENT, EPOCH)]
    assert len(tickets(proven.put(holder.sign(start())))) == 1
    assert len(proven.put(holder.sign(ClientLogout(CLIENT), 1))) == 2
    assert proven.machine.sessions == ()


def repeated(holder: Holder, request: Message) -> bytes:
    holder.counter = 0
    return holder.sign(request)


def changed(holder: Holder, request: Message) -> bytes:
    record = bytearray(holder.sign(request))
    record[-1] ^= 1
    return bytes(record)


def of_another_session(holder: Holder, request: Message) -> bytes:
    return signed(bytes(32), CLIENT, 99, encode(request))


def with_another_counter(holder: Holder, request: Message) -> bytes:
    record = holder.sign(request)
    whole = encode(Signed(CLIENT, 77, record[20:52]))
    return whole + encode(request)


def plain(holder: Holder, request: Message) -> bytes:
    del holder
    return encode(request)


@pytest.mark.parametrize("request_", [Heartbeat(CLIENT), ClientLogout(CLIENT), start()])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (plain, IgnoreReason.UNSIGNED),
        (repeated, IgnoreReason.REPEATED),
        (changed, IgnoreReason.WRONG_MAC),
        (of_another_session, IgnoreReason.WRONG_MAC),
        (with_another_counter, IgnoreReason.WRONG_MAC),
    ],
)
def test_what_is_not_its_clients_is_ignored(
    proven: Gateway, holder: Holder, request_: Message, make: object, reason: IgnoreReason
) -> None:
    proven.put(holder.sign(Heartbeat(CLIENT)))
    proven.machine.changes()
    (session,) = proven.machine.sessions
    before = session.saved(), session.heard_at
    assert callable(make)
    actions = proven.put(make(holder, request_), now=2.0)
    assert ignored(actions) == [reason]
    after = dataclasses.replace(session.saved(), offset=before[0].offset)
    assert (after, session.heard_at) == before
    assert proven.machine.changes() == []


def test_a_recorded_request_is_refused_by_the_successor_too(
    proven: Gateway, holder: Holder
) -> None:
    record = holder.sign(Heartbeat(CLIENT))
    proven.put(record)
    saved = [session.saved() for session in proven.machine.sessions]
    successor = GatewayMachine(secret=b"another")
    successor.set_keys({CLIENT: holder.key})
    successor.own(range(SLOTS), saved, EPOCH + 1, 0.0, proven.machine.handled())
    assert ignored(successor.on_record(record, 1_000, 0.0)) == [IgnoreReason.REPEATED]
    assert sent(successor.on_record(holder.sign(Heartbeat(CLIENT)), 1_001, 0.0)) == [
        Heartbeat(CLIENT, EPOCH + 1)
    ]


def test_a_signed_request_in_an_unproven_session_is_ignored(gateway: Gateway) -> None:
    gateway.send(ClientLogin(OTHER))
    record = signed(bytes(32), OTHER, 1, encode(Heartbeat(OTHER)))
    assert ignored(gateway.put(record)) == [IgnoreReason.WRONG_MAC]


def test_who_signs_without_a_session_is_told_so(gateway: Gateway, holder: Holder) -> None:
    holder.proof()
    actions = gateway.put(holder.sign(StopAllData(CLIENT, 0)))
    error = (ClientErrorType.NOT_LOGGED_IN, StopAllData.TEMPLATE, Reason.NO_SESSION)
    assert sent(actions) == [ClientError(CLIENT, *error)]


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (encode(ClientLogin(CLIENT)), IgnoreReason.NOT_A_REQUEST),
        (encode(LoginProof(CLIENT, 0, 1, bytes(32))), IgnoreReason.NOT_A_REQUEST),
        (encode(Signed(CLIENT, 1, bytes(32))), IgnoreReason.NOT_A_REQUEST),
        (encode(Heartbeat(OTHER)), IgnoreReason.WRONG_MAC),
        (encode(Heartbeat(CLIENT)) * 2, IgnoreReason.NOT_A_MESSAGE),
        (b"", IgnoreReason.NOT_A_MESSAGE),
        (b"garbage", IgnoreReason.NOT_A_MESSAGE),
    ],
)
def test_a_signature_covers_exactly_one_request_of_its_client(
    proven: Gateway, holder: Holder, inner: bytes, reason: IgnoreReason
) -> None:
    record = signed(holder.session_key, CLIENT, 5, inner)
    assert ignored(proven.put(record)) == [reason]
    assert proven.machine.sessions[0].counter == -1


def test_places_are_kept_for_those_who_have_a_token() -> None:
    """However many others log in, of whom nobody knows who they are; but half are theirs."""
    gateway, holder, late = Gateway(Limits(sessions=4)), Holder(CLIENT), Holder(OTHER)
    gateway.machine.set_keys({CLIENT: holder.key, OTHER: late.key, 23: late.key})
    for stranger in range(100, 105):
        gateway.send(ClientLogin(stranger), now=LATE)
    assert len(gateway.machine.sessions) == 2
    assert reasons(gateway.send(ClientLogin(200), now=LATE)) == [Reason.SESSIONS_FULL]
    for one in (holder, late):
        assert [type(m) for m in sent(gateway.send(ClientLogin(one.client_id), now=LATE))] == [
            LoginChallenge
        ]
        gateway.send(one.proof(now=LATE), now=LATE)
    assert len(gateway.machine.sessions) == 4
    assert reasons(gateway.send(ClientLogin(23), now=LATE)) == [Reason.SESSIONS_FULL]
    gateway.put(holder.sign(ClientLogout(CLIENT)), now=LATE)
    assert reasons(gateway.send(ClientLogin(200), now=LATE)) == [Reason.SESSIONS_FULL]
    gateway.send(ClientLogout(100), now=LATE)
    gateway.send(ClientLogin(200), now=LATE)
    assert 200 in {session.client_id for session in gateway.machine.sessions}
