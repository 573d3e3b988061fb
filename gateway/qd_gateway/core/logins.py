"""What becomes of requests that need no session: logins, proofs, and those that lack one. Pure."""

from __future__ import annotations

import itertools

from qd_gateway.core.actions import Action, OpenSession
from qd_gateway.core.admission import Admission
from qd_gateway.core.limits import Limits
from qd_gateway.core.replies import heartbeat, login_challenge, refused
from qd_gateway.core.requests import Asked
from qd_gateway.core.saved import SavedSession
from qd_gateway.core.sessions import Session, Sessions
from qd_schemas.enums import ClientErrorType, Reason
from qd_schemas.messages import ClientLogin, LoginProof


class Logins:
    """Opens sessions, or says why not.

    Parameters
    ----------
    limits : Limits
        How many sessions there may be, and their leases.
    admission : Admission
        Who is let in.
    sessions : Sessions
        Where the opened ones are put.
    began_s : float
        What a `now` of 0 is, in seconds since the epoch.
    """

    def __init__(
        self, limits: Limits, admission: Admission, sessions: Sessions, began_s: float
    ) -> None:
        self._limits = limits
        self._began_s = began_s
        self._admission = admission
        self._sessions = sessions
        self._numbers = itertools.count(1)

    def on_request(
        self, asked: Asked, session: Session | None, epoch: int, now: float
    ) -> list[Action]:
        """A request of somebody who has no session, or wants another."""
        match asked.request:
            case ClientLogin() | LoginProof() as login if session is not None:
                return [_login_again(login, asked, session, now)]
            case ClientLogin() as login:
                return self._login(login, asked, epoch, now)
            case LoginProof() as proof:
                return self._prove(proof, asked, epoch, now)
            case _:
                return [refused(asked, None, ClientErrorType.NOT_LOGGED_IN, Reason.NO_SESSION)]

    def restore(self, saved: SavedSession, epoch: int, now: float) -> tuple[Session, list[Action]]:
        """Go on with a session that another process had; all are kept, however many."""
        client_id, number, version = saved.client_id, next(self._numbers), saved.version
        beat = heartbeat(client_id, number, epoch)
        session = Session(client_id, number, version, saved.lease_ms, now, beat, saved.login_id)
        session.key, session.counter, session.offset = saved.key, saved.counter, saved.offset
        session.since_s = saved.since_s
        self._sessions.add(session)
        opened = OpenSession(client_id, number, version, restored=True)
        return session, [opened, beat] if version > 1 else [opened]

    def _login(self, login: ClientLogin, asked: Asked, epoch: int, now: float) -> list[Action]:
        reason = self._admission.refusal_of(login.client_id, asked.version)
        must_prove = self._admission.must_prove(login.client_id)
        if reason is not None or self._is_full(is_proven=must_prove):
            return [self._failed(asked, reason)]
        if must_prove:
            return [self._challenge(login.client_id, now)]
        return self._open(login, asked.version, None, epoch, now)

    def _prove(self, proof: LoginProof, asked: Asked, epoch: int, now: float) -> list[Action]:
        if self._is_full(is_proven=True):
            return [self._failed(asked, None)]
        key = self._admission.prove(proof, now)
        if isinstance(key, bytes):
            return self._open(proof, asked.version, key, epoch, now)
        if key is Reason.WRONG_PROOF and self._admission.may_answer_another(proof, now):
            return [self._challenge(proof.client_id, now)]
        return [self._failed(asked, key)]

    def _challenge(self, client_id: int, now: float) -> Action:
        return login_challenge(client_id, self._admission.challenge(client_id, now))

    def _is_full(self, *, is_proven: bool) -> bool:
        """Whether there is no place for another session.

        Anyone can log in with ids that have no token, so places are kept for those that have.
        """
        sessions, limit = self._sessions, self._limits.sessions
        kept = 0 if is_proven else min(self._admission.tokens, limit // 2)
        return len(sessions) + max(kept - sessions.proven, 0) >= limit

    def _failed(self, asked: Asked, reason: Reason | None) -> Action:
        """Refuse a login, for that reason or because there are too many sessions."""
        failed = ClientErrorType.LOGIN_FAILED
        if reason is not None:
            return refused(asked, None, failed, reason)
        return refused(asked, None, failed, Reason.SESSIONS_FULL, self._limits.sessions)

    def _open(
        self,
        login: ClientLogin | LoginProof,
        version: int,
        key: bytes | None,
        epoch: int,
        now: float,
    ) -> list[Action]:
        client_id, number = login.client_id, next(self._numbers)
        beat = heartbeat(client_id, number, epoch)
        lease_ms = self._limits.granted_ms(login.lease_ms) if version > 1 else 0
        session = Session(client_id, number, version, lease_ms, now, beat, login.login_id, key)
        session.since_s = int(self._began_s + now)
        self._sessions.add(session)
        self._sessions.mark(client_id)
        opened = OpenSession(client_id, number, version)
        return [opened, beat] if version > 1 else [opened]


def _login_again(
    login: ClientLogin | LoginProof, asked: Asked, session: Session, now: float
) -> Action:
    """A login of a client that has a session: its own one, sent again, or another's."""
    if asked.version > 1 and login.login_id == session.login_id != 0:
        if session.key is None:
            session.heard_at = now
        return session.beat
    error, reason = ClientErrorType.ALREADY_LOGGED_IN, Reason.ID_IN_USE
    return refused(asked, session.number, error, reason)
