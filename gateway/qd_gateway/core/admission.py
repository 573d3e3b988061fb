"""Who may open a session, and whose a request is. Pure: the clock's readings come in.

An id that has a token is served only to who proves to have it: the login is answered by a
challenge, and all requests after are signed. No state is kept of challenges; only the proofs
that opened a session are remembered, while they would be right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qd_gateway.core.actions import Ignored, IgnoreReason
from qd_gateway.core.limits import PROOFS_REMEMBERED_MAX
from qd_gateway.core.requests import Asked
from qd_gateway.core.sessions import Session
from qd_schemas.enums import Reason
from qd_schemas.identity import PERIOD_S, challenge, is_same, login_proof, mac_of, session_key
from qd_schemas.messages import LoginProof
from qd_schemas.specs import TokenRule, Version1Rule

CHALLENGE_SECONDS_MAX = 2 * PERIOD_S  # for which the answer to a challenge may be right


@dataclass(frozen=True, slots=True)
class Policy:
    """Who is let in, beside those who prove to have their id's token."""

    tokens: TokenRule = TokenRule.OPTIONAL
    version_1: Version1Rule = Version1Rule.ALLOW


class Admission:
    """Decides who is let in.

    Parameters
    ----------
    policy : Policy
        Who needs a token.
    secret : bytes
        What challenges are made with; of this process alone.
    remembered_max : int
        Proofs that are remembered.
    """

    def __init__(
        self, policy: Policy, secret: bytes, remembered_max: int = PROOFS_REMEMBERED_MAX
    ) -> None:
        self._policy = policy
        self._secret = secret
        self._remembered_max = remembered_max
        self._keys: Mapping[int, bytes] = {}
        self._used: dict[bytes, float] = {}  # proofs that opened a session: until when to know
        self._asked_again: dict[bytes, float] = {}  # proofs of a former gateway's challenges
        self._trusted_from = 0.0  # when all challenges that may be answered are this process's

    def set_keys(self, keys: Mapping[int, bytes]) -> frozenset[int]:
        """Take note of the ids that have a token, and of its key; gives those with another one."""
        replaced = {one for one in self._keys.keys() & keys if self._keys[one] != keys[one]}
        self._keys = dict(keys)
        return frozenset(replaced)

    def differs(self, session: Session) -> bool:
        """Whether a session began with a proof and its id has no token, or the other way round."""
        return (session.key is None) == (session.client_id in self._keys)

    @property
    def tokens(self) -> int:
        """How many ids have a token."""
        return len(self._keys)

    def on_taken_over(self, now: float) -> None:
        """Clients that another process may have challenged are served here from now on."""
        self._trusted_from = now + CHALLENGE_SECONDS_MAX

    def forget_old(self, now: float) -> None:
        """Drop what was remembered of proofs that are not right any more."""
        for known in (self._used, self._asked_again):
            for proof in [proof for proof, until in known.items() if until <= now]:
                del known[proof]

    def remembered(self) -> int:
        """How many proofs are remembered."""
        return len(self._used) + len(self._asked_again)

    def refusal_of(self, client_id: int, version: int) -> Reason | None:
        """What refuses a login at once, if anything does."""
        has_token = client_id in self._keys
        if version == 1 and (has_token or self._policy.version_1 is Version1Rule.REFUSE):
            return Reason.VERSION_REFUSED
        if not has_token and self._policy.tokens is TokenRule.REQUIRED:
            return Reason.TOKEN_UNKNOWN
        return None

    def must_prove(self, client_id: int) -> bool:
        """True where the id has a token."""
        return client_id in self._keys

    def challenge(self, client_id: int, now: float) -> bytes:
        """The nonce to ask a client with."""
        return challenge(self._secret, client_id, _period(now))

    def prove(self, message: LoginProof, now: float) -> bytes | Reason:
        """The key of the session that a proof opens, or what refuses it; it opens one only."""
        if message.client_id not in self._keys:
            return Reason.TOKEN_UNKNOWN
        key = self.session_key_of(message, now)
        if key is None:
            return Reason.WRONG_PROOF
        if len(self._used) >= self._remembered_max:
            return Reason.TOO_FAST
        self._used[message.proof] = now + CHALLENGE_SECONDS_MAX
        return key

    def session_key_of(self, message: LoginProof, now: float) -> bytes | None:
        """The key of the session that a proof would open; None where it is wrong, or was used."""
        key = self._keys.get(message.client_id)
        if key is None or message.proof in self._used:
            return None
        for period in (_period(now), _period(now) - 1):
            nonce = challenge(self._secret, message.client_id, period)
            if is_same(message.proof, _proof_of(message, key, nonce)):
                return session_key(key, nonce, message.login_id)
        return None

    def may_answer_another(self, message: LoginProof, now: float) -> bool:
        """Whether a proof may be right for the challenge of the gateway before this one.

        Its client is asked again then, but once: who is wrong must be told so.
        """
        again = message.login_id.to_bytes(8, "little", signed=True)
        again += message.client_id.to_bytes(2, "little")
        full = len(self._asked_again) >= self._remembered_max
        if now >= self._trusted_from or full or again in self._asked_again:
            return False
        self._asked_again[again] = self._trusted_from
        return True


def check_signature(session: Session, asked: Asked) -> Ignored | None:
    """Whether a session's request is its client's; None where it is, and its counter is noted."""
    signed, key = asked.signed, session.key
    if signed is None:
        return None if key is None else _ignored(IgnoreReason.UNSIGNED, asked)
    if key is None:
        return _ignored(IgnoreReason.WRONG_MAC, asked, ", whose session began without a proof")
    if signed.counter <= session.counter:
        more = f", counter {signed.counter} after {session.counter}"
        return _ignored(IgnoreReason.REPEATED, asked, more)
    mac = mac_of(key, session.client_id, signed.counter, asked.body)
    if not is_same(signed.mac, mac):
        return _ignored(IgnoreReason.WRONG_MAC, asked)
    session.counter = signed.counter
    return None


def _ignored(reason: IgnoreReason, asked: Asked, more: str = "") -> Ignored:
    request = asked.request
    return Ignored(reason, f"{type(request).__name__} of client {request.client_id}{more}")


def _period(now: float) -> int:
    return int(now // PERIOD_S)


def _proof_of(message: LoginProof, key: bytes, nonce: bytes) -> bytes:
    return login_proof(key, nonce, message.client_id, message.lease_ms, message.login_id)
