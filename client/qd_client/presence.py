"""Whether the gateway knows this client: what is sent for that, and what its answers mean.

Sans-IO: answers and clock readings in; messages to send and news about the session out. It logs
in, sends the login again while nobody answers, proves who the client is where it is asked, beats,
and finds out whether a session that may be lost is there still.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from qd_client.errors import (
    AlreadyLoggedIn,
    NotLoggedIn,
    SessionEnded,
    StreamInterrupted,
    TokenMissing,
    TokenRefused,
)
from qd_client.limits import (
    DOUBT_SECONDS_MAX,
    HEARTBEATS_PER_LEASE,
    LOGIN_RESEND_SECONDS,
    LOGIN_SECONDS_V1,
    LOGIN_SECONDS_V1_SHARED,
    NONCES_MAX,
    PROOF_SECONDS_MAX,
)
from qd_client.refusals import client_refusal
from qd_schemas.codec import encode
from qd_schemas.errors import QdError
from qd_schemas.identity import key_of, login_proof, session_key, signed
from qd_schemas.messages import ClientError, ClientLogin, Heartbeat, LoginProof, Message
from qd_schemas.wire import NO_COUNT, NO_DETAIL, VERSION_REFERENCE


@dataclass(frozen=True, slots=True)
class Send:
    """This message is due; it takes the place of one that could not be sent yet."""

    message: Message


@dataclass(frozen=True, slots=True)
class CheckErrors:
    """Read the error topic up to its present end, then say so by `on_checked`."""


@dataclass(frozen=True, slots=True)
class CameIn:
    """The session is there: streams may be asked for."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """What keeps the client from its session. Streams that run are lost: ask for them again."""

    error: QdError


@dataclass(frozen=True, slots=True)
class Refuse:
    """There will be no session any more."""

    error: QdError


News: TypeAlias = Send | CheckErrors | CameIn | Interrupted | Refuse


class Phase(enum.Enum):
    """What is known of the session."""

    APART = enum.auto()  # the topics are not read
    ASKING = enum.auto()  # a login was sent
    PROVING = enum.auto()  # and a proof
    MAKING_SURE = enum.auto()  # answered, but perhaps not to us
    CHECKING = enum.auto()  # the error topic is read to its end
    IN = enum.auto()
    DOUBTED = enum.auto()  # somebody was told that there is none; the streams run on
    SOUGHT = enum.auto()  # it may be there still; the streams are lost


_LOGGING_IN = (Phase.ASKING, Phase.PROVING, Phase.MAKING_SURE, Phase.CHECKING)
_INSIDE = (Phase.IN, Phase.DOUBTED)


class Presence:
    """A version 2 client's session, as far as the client knows.

    Parameters
    ----------
    client_id : int
        The id.
    lease_ms : int
        How long either side may be silent.
    token : str or None
        What proves that the id is this client's.
    new_login_id : callable
        Gives numbers that nobody can guess, one for each login.

    Attributes
    ----------
    epoch : int
        Which gateway process serves the client, as it said last; NO_COUNT before it did.
    """

    def __init__(
        self, client_id: int, lease_ms: int, token: str | None, new_login_id: Callable[[], int]
    ) -> None:
        self._client_id = client_id
        self._lease_ms = lease_ms
        self._key = None if token is None else key_of(token)
        self._new_login_id = new_login_id
        self.phase = Phase.APART
        self._is_shared = False  # the topics may be another one's, whose answers come here too
        self._login_id = self._logins = 0
        self._nonce: bytes | None = None
        self._keys: list[bytes] = []  # of proofs that may have begun the session; the last is used
        self._wrong_proofs = self._sent_proofs = self._refused_proofs = 0
        self._logins_sent = self._challenges = 0
        self._wrong_proof: tuple[QdError, float] | None = None  # told so since when
        self._doubt: QdError | None = None  # what makes it doubted whether the session is there
        self._has_old_key = False
        self._is_asked = False  # with a heartbeat, whether it was this login that was answered
        self._counter = 0
        self.epoch = NO_COUNT
        self._phase_at = 0.0
        self._sent_at = 0.0  # or put off to
        self._said_at = 0.0  # really
        self._taken_at: float | None = None  # since when the id seems to be another one's
        self.has_been_in = False

    @property
    def is_in(self) -> bool:
        """True where streams may be asked for."""
        return self.phase in _INSIDE

    @property
    def is_taken(self) -> bool:
        """True where somebody else seems to have the id."""
        return self._taken_at is not None

    def record_of(self, message: Message) -> bytes:
        """A request as the gateway takes it: signed where the session began with a proof."""
        payload = encode(message)
        if not self._keys or isinstance(message, ClientLogin | LoginProof):
            return payload
        self._counter += 1
        return signed(self._keys[-1], self._client_id, self._counter, payload)

    # --- what happens -----------------------------------------------------------------

    def begin(self, now: float, *, is_shared: bool) -> list[News]:
        """The topics are read from now on; `is_shared` where they were there before."""
        self._is_shared = is_shared
        return list(self._seek(now) if self._login_id else self._login(now))

    def on_detached(self, error: QdError) -> list[News]:
        """The topics are not read any more: what comes meanwhile is lost."""
        was_in, self.phase = self.is_in, Phase.APART
        return [Interrupted(error)] if was_in else []

    def on_silence(self, error: QdError, now: float) -> list[News]:
        """Nothing came for a lease."""
        if not self.is_in:
            return []
        return [Interrupted(error), *self._seek(now)]

    def on_heartbeat(self, epoch: int, now: float) -> list[News]:
        """The gateway answered a login or a heartbeat."""
        before, self.epoch = self.epoch, epoch
        match self.phase:
            case Phase.PROVING if len(self._keys) > 1:
                # Answers to both proofs may come: ask once these are here.
                self._enter(Phase.MAKING_SURE, now)
                self._sent_at, self._is_asked = now, False
            case Phase.ASKING | Phase.PROVING if self._is_shared:
                self._is_asked = True
                return list(self._send(Phase.MAKING_SURE, Heartbeat(self._client_id), now))
            case Phase.MAKING_SURE if self._is_asked:
                self._enter(Phase.CHECKING, now)
                return [CheckErrors()]
            case Phase.ASKING | Phase.PROVING | Phase.SOUGHT:
                return self._come_in(now)
            case Phase.IN | Phase.DOUBTED:
                self._enter(Phase.IN, now)
                return self._other_epoch(before)
        return []

    def on_checked(self, now: float) -> list[News]:
        """The error topic was read: nobody refused the login."""
        return self._come_in(now) if self.phase is Phase.CHECKING else []

    def on_challenge(self, nonce: bytes, now: float) -> list[News]:
        """The gateway asks who this is. What somebody else was asked comes here too.

        It may ask again with another nonce, as it, or the gateway before it, did not take the
        first answer; or because a login was sent twice. Which one counts will be seen. But where
        it asks more often than it was given cause to, others are asked: then the first answer,
        which is right for some seconds, has its time.
        """
        is_new = nonce != self._nonce
        self._challenges += 1
        if self.phase is not Phase.ASKING and not (self.phase is Phase.PROVING and is_new):
            return []
        if self.phase is Phase.PROVING and self._challenges > self._logins_sent + self._sent_proofs:
            return []
        if self._key is None:
            return [
                Refuse(
                    TokenMissing(
                        f"client {self._client_id} asked to log in: the gateway wants a proof, as "
                        "the id has a token; open the client with token=, or with an id of yours"
                    )
                )
            ]
        if self._has_old_key:
            self._has_old_key = False  # of a session that is over, or nobody would be asked
            self._keys.clear()
        if is_new or not self._keys:
            self._nonce, self._wrong_proof = nonce, None
            found = session_key(self._key, nonce, self._login_id)
            self._keys = [*self._keys[1 - NONCES_MAX :], found]
        return list(self._send(Phase.PROVING, self._proof(nonce), now))

    def on_error(self, found: ClientError, now: float) -> list[News]:
        """The gateway refused something about the session."""
        if found.request_type == NO_DETAIL == found.reason:
            return []  # an answer to version 1, which somebody else spoke in this id's name
        error = client_refusal(found)
        if isinstance(error, NotLoggedIn):
            return list(self._not_logged_in(error, now))
        if isinstance(error, AlreadyLoggedIn):
            return list(self._taken(error, now))
        if isinstance(error, SessionEnded):
            return [Refuse(error)]
        if self.phase not in _LOGGING_IN:
            return []  # what somebody else asked in this id's name
        if isinstance(error, TokenRefused):
            # A copy of a proof may be refused, or one for the gateway before: wait what follows.
            self._refused_proofs += 1
            if self.phase is Phase.PROVING and self._wrong_proof is None:
                self._wrong_proof = (error, now)
            return []
        if error.retriable and self.has_been_in:
            return self._later(error, now)
        return [Refuse(error)]

    def on_tick(self, now: float) -> list[News]:
        """Time passed: what is due again."""
        if self._wrong_proof is not None:
            error, since = self._wrong_proof
            if now - since < LOGIN_RESEND_SECONDS:
                return []
            if self._refused_proofs > self._sent_proofs:  # somebody else tries with this id
                self._wrong_proof = None
                return [Interrupted(error), *self._due(now)]
            self._wrong_proofs += 1
            return [Refuse(error)] if self._wrong_proofs > 1 else list(self._login(now))
        return self._due(now)

    def _due(self, now: float) -> list[News]:
        waited_s = now - self._sent_at
        match self.phase:
            case Phase.ASKING if waited_s >= LOGIN_RESEND_SECONDS:
                return list(self._send(Phase.ASKING, self._login_message(), now))
            case Phase.PROVING if now - self._phase_at >= PROOF_SECONDS_MAX:
                return list(self._send(Phase.ASKING, self._login_message(), now))
            case Phase.PROVING if waited_s >= LOGIN_RESEND_SECONDS and self._nonce is not None:
                return list(self._send(Phase.PROVING, self._proof(self._nonce), now))
            case Phase.SOUGHT if now - self._phase_at >= DOUBT_SECONDS_MAX:
                return list(self._send(Phase.ASKING, self._login_message(), now))
            case Phase.CHECKING if now - self._phase_at >= DOUBT_SECONDS_MAX:
                return list(self._send(Phase.MAKING_SURE, Heartbeat(self._client_id), now))
            case Phase.MAKING_SURE if waited_s >= self._sure_s:
                if self._is_asked:
                    self._keys = self._keys[-1:] + self._keys[:-1]
                self._is_asked = True
                return list(self._send(self.phase, Heartbeat(self._client_id), now))
            case Phase.SOUGHT if waited_s >= LOGIN_RESEND_SECONDS:
                return list(self._send(self.phase, Heartbeat(self._client_id), now))
            case Phase.DOUBTED if self._doubt and now - self._phase_at >= DOUBT_SECONDS_MAX:
                return [Interrupted(self._doubt), *self._login(now)]
            case Phase.IN | Phase.DOUBTED if waited_s >= self._beat_s:
                return list(self._send(self.phase, Heartbeat(self._client_id), now))
        return []

    # --- steps ------------------------------------------------------------------------

    @property
    def _beat_s(self) -> float:
        return self._lease_ms / 1_000 / HEARTBEATS_PER_LEASE

    @property
    def _sure_s(self) -> float:
        """How long an answer is waited for that tells which of several keys is right."""
        is_open = self._is_asked and len(self._keys) > 1
        return DOUBT_SECONDS_MAX if is_open else LOGIN_RESEND_SECONDS

    def _enter(self, phase: Phase, now: float) -> None:
        if phase is not self.phase:
            self.phase, self._phase_at = phase, now

    def _send(self, phase: Phase, message: Message, now: float) -> Iterator[News]:
        self._enter(phase, now)
        self._sent_at = self._said_at = now
        yield Send(message)

    def _login(self, now: float) -> Iterator[News]:
        """Another login; its number tells it from every other."""
        self._login_id = self._new_login_id()
        self._logins += 1
        self._nonce = self._wrong_proof = None
        self._has_old_key = False
        self._keys.clear()
        self._counter = 0
        yield from self._send(Phase.ASKING, self._login_message(), now)

    def _seek(self, now: float) -> Iterator[News]:
        """Find out whether the session is there.

        A login of the same number is answered by the gateway that has the session, and begins
        it again where there is none. In a session that began with a proof, a heartbeat does:
        nobody else can sign it.
        """
        self._has_old_key = bool(self._keys) and self.has_been_in
        if self._has_old_key:
            yield from self._send(Phase.SOUGHT, Heartbeat(self._client_id), now)
        else:
            yield from self._send(Phase.ASKING, self._login_message(), now)

    def _login_message(self) -> ClientLogin:
        self._logins_sent += 1
        return ClientLogin(self._client_id, self._lease_ms, self._login_id)

    def _proof(self, nonce: bytes) -> LoginProof:
        assert self._key is not None
        self._sent_proofs += 1
        proof = login_proof(self._key, nonce, self._client_id, self._lease_ms, self._login_id)
        return LoginProof(self._client_id, self._lease_ms, self._login_id, proof)

    def _come_in(self, now: float) -> list[News]:
        self._enter(Phase.IN, now)
        self._sent_at = now
        self._taken_at = None
        self._wrong_proofs = self._sent_proofs = self._refused_proofs = 0
        self._logins_sent = self._challenges = 0
        self._wrong_proof = None
        self._keys = self._keys[-1:]
        self._has_old_key = False
        self.has_been_in = True
        return [CameIn()]

    def _other_epoch(self, before: int) -> list[News]:
        if NO_COUNT in (before, self.epoch) or before == self.epoch:
            return []
        return [
            Interrupted(
                StreamInterrupted(
                    f"client {self._client_id}: another gateway process serves it than before"
                )
            )
        ]

    def _not_logged_in(self, error: QdError, now: float) -> Iterator[News]:
        match self.phase:
            case Phase.IN:
                # It may be the answer to somebody else's question: ask before giving up.
                self._doubt = error
                yield from self._send(Phase.DOUBTED, Heartbeat(self._client_id), now)
            case Phase.DOUBTED if not self._keys:
                yield Interrupted(error)
                yield from self._login(now)
            case Phase.SOUGHT | Phase.MAKING_SURE | Phase.CHECKING:
                yield from self._send(Phase.ASKING, self._login_message(), now)
        # While a login is under way, it is the answer to an earlier request. In a session that
        # began with a proof, others can have any number of such answers sent here: only that
        # no heartbeat is answered tells.

    def _taken(self, error: QdError, now: float) -> Iterator[News]:
        """Another login has the id: perhaps an earlier one of ours, whose lease runs out."""
        if self.phase not in _LOGGING_IN:
            return
        if self._taken_at is None:
            self._taken_at = now
        is_first = not self.has_been_in and self._logins == 1
        if is_first and self._key is not None:
            # Others may have tried with this id, after this login even, whose own answer comes by
            # the other topic; else the session is that of a life before, and its lease runs out.
            self._enter(Phase.ASKING, now)
            yield Interrupted(error)
        elif is_first or self._said_at - self._taken_at > 2 * self._lease_ms / 1_000:
            yield Refuse(error)
        else:
            yield from self._later(error, now)

    def _later(self, error: QdError, now: float) -> list[News]:
        """Let the login go out again, in a moment."""
        self._enter(Phase.ASKING, now)
        self._sent_at = now
        return [Interrupted(error)]


class ReferencePresence(Presence):
    """A version 1 client's: no answer to a login, no heartbeats, and nothing that comes back."""

    def record_of(self, message: Message) -> bytes:
        """A request in version 1."""
        return encode(message, VERSION_REFERENCE)

    def on_detached(self, error: QdError) -> list[News]:
        """See `Presence`."""
        return [Refuse(error)]

    def on_heartbeat(self, epoch: int, now: float) -> list[News]:
        """Not of version 1."""
        return []

    def on_error(self, found: ClientError, now: float) -> list[News]:
        """See `Presence`."""
        error = client_refusal(found)
        logging_in = self.phase is Phase.ASKING
        # A login that somebody else tried is refused here too; so is what came before ours.
        is_others = isinstance(error, NotLoggedIn if logging_in else AlreadyLoggedIn)
        return [] if is_others else [Refuse(error)]

    def on_tick(self, now: float) -> list[News]:
        """See `Presence`."""
        wait_s = LOGIN_SECONDS_V1_SHARED if self._is_shared else LOGIN_SECONDS_V1
        if self.phase is Phase.ASKING and now - self._sent_at >= wait_s:
            return self._come_in(now)
        return []
