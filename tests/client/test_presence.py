"""A client finds its session, or begins another, whatever is lost between it and the gateway.

The client's core talks to the gateway's in one pass, without a cluster: requests and answers lie
in lists, from which a random history loses, repeats and delays what it likes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_client import errors
from qd_client.presence import (
    CameIn,
    CheckErrors,
    Interrupted,
    News,
    Phase,
    Presence,
    ReferencePresence,
    Refuse,
    Send,
)
from qd_gateway.core.actions import Action, Ignored, Reply
from qd_gateway.core.admission import Policy
from qd_gateway.core.machine import GatewayMachine
from qd_gateway.core.saved import SavedSession
from qd_schemas.codec import decode, encode
from qd_schemas.enums import ClientErrorType, DataType, Reason
from qd_schemas.errors import QdError
from qd_schemas.identity import PERIOD_S, key_of
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    Heartbeat,
    LoginChallenge,
    LoginProof,
    Message,
    StartData,
)
from qd_schemas.specs import TokenRule, Version1Rule

CLIENT = 21
LEASE_MS = 6_000
TICK_S = 0.25
TOKEN = "a token"
SLOTS = range(64)
START = StartData(CLIENT, 1, 7, 0, DataType.TRADES_EXACT, stream_id=5)


class Pair:
    """A client and a gateway, and what lies between them."""

    def __init__(
        self, token: str | None = None, *, known: str | None = None, policy: Policy | None = None
    ) -> None:
        self.now = 1_000.0
        numbers = itertools.count(1)
        self.presence = Presence(CLIENT, LEASE_MS, token, lambda: next(numbers))
        self.news: list[News] = []
        self.requests: list[bytes] = []
        self.answers: list[Message] = []
        self._policy = policy or Policy()
        self._keys = {} if known is None else {CLIENT: key_of(known)}
        self._offsets = itertools.count()
        self._epochs = itertools.count(1)
        self.saved: dict[int, SavedSession] = {}
        self.restart()

    # --- the gateway ---

    def restart(self, *, forgets: bool = False) -> None:
        """Another process serves the client, with what was saved or without."""
        epoch = next(self._epochs)
        self.machine = GatewayMachine(policy=self._policy, secret=bytes([epoch % 256]))
        self.machine.set_keys(self._keys)
        saved = [] if forgets else list(self.saved.values())
        self._answer(self.machine.own(SLOTS, saved, epoch, self.now))

    def handle(self, *, loses_answers: bool = False) -> list[Action]:
        """The gateway reads its topic."""
        actions: list[Action] = []
        for request in self.requests:
            actions += self.machine.on_record(request, next(self._offsets), self.now)
        self.requests.clear()
        if not loses_answers:
            self._answer(actions)
        for change in self.machine.changes():
            if isinstance(change, SavedSession):
                self.saved[change.client_id] = change
            else:
                self.saved.pop(change, None)
        return actions

    def _answer(self, actions: list[Action]) -> None:
        self.answers += [decode(one.payload) for one in actions if isinstance(one, Reply)]

    # --- the client ---

    def begin(self, *, is_shared: bool = False) -> None:
        self.take(self.presence.begin(self.now, is_shared=is_shared))

    def hear(self) -> None:
        """The client reads its topics."""
        answers, self.answers = self.answers, []
        for answer in answers:
            match answer:
                case Heartbeat():
                    self.take(self.presence.on_heartbeat(answer.epoch, self.now))
                case LoginChallenge():
                    self.take(self.presence.on_challenge(answer.nonce, self.now))
                case ClientError():
                    self.take(self.presence.on_error(answer, self.now))

    def take(self, news: list[News]) -> None:
        self.news += news
        for one in news:
            if isinstance(one, Send):
                self.requests.append(self.presence.record_of(one.message))
            elif isinstance(one, CheckErrors):
                self.take(self.presence.on_checked(self.now))

    def settle(self) -> None:
        """Let both say what they have to say."""
        while self.requests or self.answers:
            self.handle()
            self.hear()

    def wait(self, seconds: float, meanwhile: Callable[[], object]) -> None:
        for _ in range(int(seconds / TICK_S)):
            self.now += TICK_S
            self._answer(self.machine.on_tick(self.now))
            self.take(self.presence.on_tick(self.now))
            meanwhile()

    def ask(self) -> bool:
        """Whether the gateway takes a request of this client."""
        self.requests.append(self.presence.record_of(START))
        return not any(isinstance(action, Ignored) for action in self.handle())

    @property
    def refusals(self) -> list[QdError]:
        return [one.error for one in self.news if isinstance(one, Refuse)]

    @property
    def interruptions(self) -> list[QdError]:
        return [one.error for one in self.news if isinstance(one, Interrupted)]


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_login_is_answered(token: str | None, is_shared: bool) -> None:
    pair = Pair(token, known=token)
    pair.begin(is_shared=is_shared)
    pair.settle()
    assert pair.presence.is_in
    assert not pair.interruptions
    assert pair.ask()


@pytest.mark.parametrize(
    ("token", "known", "policy", "kind"),
    [
        (None, TOKEN, Policy(), errors.TokenMissing),
        ("another", TOKEN, Policy(), errors.TokenRefused),
        (None, None, Policy(TokenRule.REQUIRED), errors.TokenUnknown),
        (TOKEN, None, Policy(TokenRule.REQUIRED), errors.TokenUnknown),
    ],
)
def test_who_cannot_prove_who_it_is_is_told(
    token: str | None, known: str | None, policy: Policy, kind: type[errors.Refused]
) -> None:
    pair = Pair(token, known=known, policy=policy)
    pair.begin()
    pair.settle()
    pair.wait(6.0, pair.settle)  # for another try: the proof may have been late
    assert {type(error) for error in pair.refusals} == {kind}


def test_what_others_try_in_its_name_keeps_no_right_proof_out() -> None:
    """Their answers come here too, and its own requests wait among theirs for a long time."""
    pair = Pair(TOKEN, known=TOKEN)
    forged = [
        encode(ClientLogin(CLIENT), 1),
        encode(ClientLogin(CLIENT, LEASE_MS, 7)),
        *(encode(LoginProof(CLIENT, LEASE_MS, 7, bytes([n] * 32))) for n in range(3)),
    ]
    own: list[bytes] = []

    def answer_others() -> None:
        own.extend(pair.requests)
        pair.requests = list(forged)
        pair.handle()
        pair.hear()

    pair.now += PERIOD_S - 3.0
    pair.begin()
    pair.wait(7.0, answer_others)  # others are asked with another nonce meanwhile
    assert not pair.refusals
    pair.requests = own + pair.requests
    pair.settle()
    assert pair.presence.is_in
    assert pair.ask()


def test_what_is_told_to_others_first_does_not_end_a_login_with_a_proof() -> None:
    """The refusal of another login comes before the answer to its own, by the other topic."""
    pair = Pair(TOKEN, known=TOKEN)
    pair.begin()
    pair.handle()
    pair.hear()  # the challenge
    pair.handle()
    own, pair.answers = pair.answers, []
    taken = ClientError(CLIENT, ClientErrorType.ALREADY_LOGGED_IN, reason=Reason.ID_IN_USE)
    pair.answers = [taken] * 3 + own
    pair.hear()
    assert not pair.refusals
    pair.wait(2.0, pair.settle)
    assert pair.presence.is_in
    assert pair.ask()


def test_who_has_the_token_comes_in_once_the_lease_of_a_life_before_is_over() -> None:
    before = logged_in(TOKEN)
    after = Pair(TOKEN, known=TOKEN)
    after.machine, after._offsets = before.machine, before._offsets
    after.presence = Presence(CLIENT, LEASE_MS, TOKEN, lambda: 99)
    after.begin(is_shared=True)
    after.settle()
    assert {type(error) for error in after.interruptions} == {errors.AlreadyLoggedIn}
    after.wait(LEASE_MS / 1_000 + 2.0, after.settle)
    assert not after.refusals
    assert after.presence.is_in
    assert after.ask()


def test_version_1_may_be_refused() -> None:
    presence = ReferencePresence(CLIENT, LEASE_MS, None, lambda: 1)
    (login,) = presence.begin(0.0, is_shared=False)
    assert isinstance(login, Send)
    machine = GatewayMachine(policy=Policy(version_1=Version1Rule.REFUSE))
    machine.own(SLOTS, [], 1, 0.0)
    (reply,) = machine.on_record(presence.record_of(login.message), 0, 0.0)
    assert isinstance(reply, Reply)
    answer = decode(reply.payload)
    assert isinstance(answer, ClientError)
    (refused,) = presence.on_error(answer, 0.0)
    assert isinstance(refused, Refuse)
    assert isinstance(refused.error, errors.LoginFailed)  # version 1 cannot say why


@pytest.mark.parametrize(("is_shared", "in_after"), [(False, 0.5), (True, 5.0)])
def test_version_1_waits_longer_for_a_refusal_where_the_id_may_be_somebodys(
    is_shared: bool, in_after: float
) -> None:
    presence = ReferencePresence(CLIENT, LEASE_MS, None, lambda: 1)
    presence.begin(0.0, is_shared=is_shared)
    assert presence.on_tick(in_after - 0.01) == []
    assert presence.on_tick(in_after) == [CameIn()]


STEPS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *("settle", "lose requests", "lose answers", "restart", "forget"),
                *("read anew", "silence", "again", "handle", "hear"),
            ]
        ),
        st.floats(0.25, 25.0),
    ),
    max_size=20,
)


@settings(max_examples=150)
@given(STEPS, st.booleans(), st.booleans())
def test_whatever_is_lost_the_client_comes_in(
    steps: list[str | float], with_token: bool, is_shared: bool
) -> None:
    """No history ends in a refusal, nor in a session whose requests the gateway ignores."""
    token = TOKEN if with_token else None
    pair = Pair(token, known=token)
    pair.begin(is_shared=is_shared)
    for step in steps:
        play(pair, step)
    pair.wait(6 * LEASE_MS / 1_000, pair.settle)  # an old session may have to end first
    assert not pair.refusals
    assert pair.presence.is_in
    assert pair.ask()
    pair.news.clear()
    pair.wait(LEASE_MS / 1_000 * 3, pair.settle)
    assert pair.presence.is_in, "its heartbeats keep the session"
    assert not pair.interruptions


def play(pair: Pair, step: str | float) -> None:
    match step:
        case "settle":
            pair.settle()
        case "handle":
            pair.handle()
        case "hear":
            pair.hear()
        case "lose requests":
            pair.requests.clear()
        case "lose answers":
            pair.handle(loses_answers=True)
        case "restart":
            pair.restart()
        case "forget":
            pair.restart(forgets=True)
            pair.saved.clear()
        case "read anew":
            pair.take(pair.presence.on_detached(errors.GatewayLost("unread")))
            pair.answers.clear()
            pair.begin(is_shared=True)
        case "silence":
            pair.take(pair.presence.on_silence(errors.GatewayLost("silent"), pair.now))
        case "again":
            pair.requests += pair.requests
        case float():
            pair.wait(step, lambda: None)


def logged_in(token: str | None = None) -> Pair:
    pair = Pair(token, known=token)
    pair.begin()
    pair.settle()
    assert pair.presence.is_in
    pair.news.clear()
    return pair


def test_another_epoch_interrupts_the_streams_and_keeps_the_session() -> None:
    pair = logged_in(TOKEN)
    pair.restart()
    pair.settle()
    assert [type(error) for error in pair.interruptions] == [errors.StreamInterrupted]
    assert pair.presence.is_in
    assert pair.ask()


def test_a_gateway_that_forgot_is_asked_once_more_before_another_login() -> None:
    pair = logged_in()
    pair.restart(forgets=True)
    pair.wait(2.5, lambda: None)
    pair.settle()
    sent = [type(one.message) for one in pair.news if isinstance(one, Send)]
    assert sent == [Heartbeat, Heartbeat, ClientLogin]
    assert [type(error) for error in pair.interruptions] == [errors.NotLoggedIn]
    assert pair.presence.is_in


def test_the_answer_to_somebody_elses_question_interrupts_nothing() -> None:
    pair = logged_in()
    pair.answers.append(ClientError(CLIENT, ClientErrorType.NOT_LOGGED_IN))
    pair.settle()
    assert not pair.interruptions
    assert pair.presence.is_in


@pytest.mark.parametrize(
    "answer",
    [
        LoginChallenge(CLIENT, bytes(32)),
        ClientError(CLIENT, ClientErrorType.ALREADY_LOGGED_IN, reason=Reason.ID_IN_USE),
        ClientError(CLIENT, ClientErrorType.LOGIN_FAILED, reason=Reason.WRONG_PROOF),
        ClientError(CLIENT, ClientErrorType.LOGIN_FAILED, reason=Reason.SESSIONS_FULL),
    ],
)
def test_what_others_try_in_its_name_does_not_harm_it(answer: Message) -> None:
    pair = logged_in(TOKEN)
    pair.answers.append(answer)
    pair.settle()
    assert not pair.news
    assert pair.ask()


def test_only_silence_ends_a_session_with_a_proof() -> None:
    """Any number of answers that others asked for come here; that none is its own, they do not."""
    pair = logged_in(TOKEN)
    error = ClientError(CLIENT, ClientErrorType.NOT_LOGGED_IN, reason=Reason.NO_SESSION)

    def answer_others() -> None:
        pair.answers += [error] * 3
        pair.settle()

    pair.wait(20.0, answer_others)
    assert not pair.interruptions
    pair.restart(forgets=True)
    pair.wait(20.0, answer_others)
    assert [type(error) for error in pair.interruptions] == [errors.NotLoggedIn]
    assert pair.presence.is_in
    assert pair.ask()


def test_an_operators_end_is_the_end() -> None:
    pair = logged_in()
    pair.answers += [
        decode(one.payload) for one in pair.machine.end_client(CLIENT) if isinstance(one, Reply)
    ]
    pair.settle()
    assert [type(error) for error in pair.refusals] == [errors.SessionEnded]


def test_an_id_in_use_is_refused_at_once() -> None:
    owner = logged_in()
    other = Presence(CLIENT, LEASE_MS, None, lambda: 99)
    (login,) = other.begin(0.0, is_shared=True)
    assert isinstance(login, Send)
    owner.requests.append(other.record_of(login.message))
    owner.handle()
    (answer,) = owner.answers
    # The owner's heartbeats come to the other, too; they are no answer to its login.
    (beat,) = other.on_heartbeat(1, 0.1)
    assert isinstance(beat, Send)
    assert isinstance(answer, ClientError)
    (refused,) = other.on_error(answer, 0.2)
    assert isinstance(refused, Refuse)
    assert isinstance(refused.error, errors.AlreadyLoggedIn)
    owner.settle()
    assert owner.presence.is_in


def test_an_id_that_another_took_meanwhile_is_given_up_after_two_leases() -> None:
    pair = logged_in()
    pair.restart(forgets=True)
    thief = Presence(CLIENT, LEASE_MS, None, lambda: 99)

    def steal() -> None:
        for one in thief.begin(pair.now, is_shared=True):
            if isinstance(one, Send):
                pair.requests.insert(0, thief.record_of(one.message))
        pair.handle()
        pair.answers = [one for one in pair.answers if isinstance(one, ClientError)]
        pair.hear()

    pair.requests.clear()
    pair.take(pair.presence.on_silence(errors.GatewayLost("silent"), pair.now))
    pair.wait(2 * LEASE_MS / 1_000 + 3, steal)
    assert errors.AlreadyLoggedIn in {type(error) for error in pair.refusals}
    assert pair.presence.is_taken


def test_an_old_answer_that_waited_for_a_stopped_client_does_not_refuse_it() -> None:
    """What counts is when the login went out that is refused, not when its answer is read."""
    pair = logged_in()
    pair.restart(forgets=True)
    thief = Presence(CLIENT, LEASE_MS, None, lambda: 99)
    (login,) = thief.begin(pair.now, is_shared=True)
    assert isinstance(login, Send)
    pair.requests[:] = [thief.record_of(login.message)]
    pair.handle(loses_answers=True)
    pair.take(pair.presence.on_silence(errors.GatewayLost("silent"), pair.now))
    pair.handle()
    pair.hear()
    assert pair.presence.is_taken
    pair.wait(2.0, pair.handle)
    assert any(isinstance(answer, ClientError) for answer in pair.answers)
    pair.now += 10 * LEASE_MS / 1_000  # the client stood still, and nobody has the id any more
    pair.hear()
    assert not pair.refusals
    pair.wait(3.0, pair.settle)
    assert pair.presence.is_in


def test_a_proof_is_of_the_challenge_and_the_login() -> None:
    pair = Pair(TOKEN, known=TOKEN)
    pair.begin()
    pair.handle()
    pair.hear()
    proofs = [one.message for one in pair.news if isinstance(one, Send)]
    assert [type(one) for one in proofs] == [ClientLogin, LoginProof]
    assert pair.presence.phase is Phase.PROVING
    pair.settle()
    assert any(isinstance(one, CameIn) for one in pair.news)
