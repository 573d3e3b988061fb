"""The session and stream machine: records and clock ticks in, actions out.

It does no I/O and reads no clock, so any history can be tested. Invariants:

* Bytes that are no request from a client yield one `Ignored` and change nothing; where they are
  too long to be one, whose they seem to be may be told so.
* A record is handled at most once, and only in a slot that is served here.
* A refused request yields at most one error, to the client that it names.
* A client's records never change another client's session or streams, except that a
  waiting stream of another client may start when a place becomes free.
* Where a session began with a proof, only its client's signed requests change it, each once.
* A stream starts at most once, and is stopped, advanced or aborted only while it runs.
* No count passes its limit, except that sessions taken over are all kept.
* From what `changes` and `handled` gave, and the records after that, another machine makes
  the same sessions: none is lost, none invented, and no record is handled twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from qd_gateway.core.actions import Action, CloseSession, EndCause, Ignored, IgnoreReason
from qd_gateway.core.admission import Admission, Policy, check_signature
from qd_gateway.core.limits import Limits
from qd_gateway.core.logins import Logins
from qd_gateway.core.plans import Refusal, StreamPlan
from qd_gateway.core.rates import Rate
from qd_gateway.core.replies import client_error, refused, request_error, too_long
from qd_gateway.core.requests import Asked, claimed_client, read_request
from qd_gateway.core.saved import SavedSession
from qd_gateway.core.sessions import Session, Sessions
from qd_gateway.core.slots import NOTHING_HANDLED, Slots, slot_of
from qd_gateway.core.streaming import Streaming
from qd_schemas.enums import ClientErrorType, DataErrorType, Reason
from qd_schemas.messages import ClientLogin, ClientLogout, Heartbeat, LoginProof, StreamAck

_FORGET_SECONDS = 1.0  # between the sweeps over what is remembered of clients


class GatewayMachine:
    """All sessions and streams of one gateway; it serves no slot until told to `own` some.

    Every `now` is in seconds, of one clock that never goes back.

    Parameters
    ----------
    limits : Limits
        How much it takes.
    policy : Policy
        Who is let in.
    secret : bytes
        What challenges are made with; nobody else knows it.
    began_s : float
        What a `now` of 0 is, in seconds since the epoch.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        policy: Policy | None = None,
        secret: bytes = b"",
        began_s: float = 0.0,
    ) -> None:
        self._limits = limits = limits or Limits()
        self._admission = Admission(policy or Policy(), secret, limits.proofs)
        self._slots = Slots()
        self._sessions = Sessions()
        self._logins = Logins(limits, self._admission, self._sessions, began_s)
        self._streaming = Streaming(limits, self._sessions)
        self._requests = Rate(limits.requests_per_second)
        self._heartbeats = Rate(limits.heartbeats_per_second)
        self._strangers = Rate(limits.strangers_per_second)
        self._tries = Rate(limits.strangers_per_second)
        self._refusals = Rate(limits.refusals_per_second)
        self._rates = (
            self._requests,
            self._heartbeats,
            self._strangers,
            self._tries,
            self._refusals,
        )
        self._forget_at = 0.0

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions, for looking at."""
        return tuple(self._sessions)

    @property
    def session_count(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    def has_session(self, client_id: int) -> bool:
        """Whether a client is logged in here."""
        return self._sessions.get(client_id) is not None

    @property
    def running(self) -> tuple[StreamPlan, ...]:
        """The streams that have a place, for looking at."""
        return tuple(self._streaming.places.running.values())

    @property
    def waiting(self) -> int:
        """How many streams wait for a place."""
        return self._streaming.places.waiting

    @property
    def others(self) -> int:
        """Records passed over so far because another gateway serves their clients."""
        return self._slots.others

    @property
    def repeated(self) -> int:
        """Records passed over so far because they had been handled before."""
        return self._slots.repeated

    def remembered(self) -> int:
        """How much is kept in mind of clients beside their sessions, for a few seconds."""
        return sum(map(len, self._rates)) + self._admission.remembered()

    # --- what happens -----------------------------------------------------------------

    def on_record(self, payload: bytes, offset: int, now: float) -> list[Action]:
        """One record of the control topic; those that were handled are passed over."""
        client_id = claimed_client(payload)
        if not self._slots.take(client_id, offset):
            return []
        session = None if client_id is None else self._sessions.get(client_id)
        if session is not None and offset <= session.offset:
            self._slots.repeated += 1
            return []
        asked = read_request(payload, self._limits.message_bytes)
        if isinstance(asked, Ignored):
            return [asked, *self._too_long(asked, session, now)]
        actions = self._on_request(asked, session, now)
        after = self._sessions.get(asked.request.client_id)
        if after is not None:
            after.offset = offset
        return actions

    def on_tick(self, now: float) -> list[Action]:
        """Time passed: sessions whose clients were silent for their lease end."""
        silent = [session for session in self._sessions if session.is_silent(now)]
        actions: list[Action] = []
        for session in silent:
            if self._slots.serves(session.client_id):
                actions += self._end(session, EndCause.LEASE_EXPIRED)
        self._forget_old(now)
        return actions

    def on_reconnected(self, now: float) -> None:
        """The gateway was deaf until `now`: no client's silence before counts against it."""
        for session in self._sessions:
            session.heard_at = now

    def on_new_log(self) -> None:
        """The control topic was made anew: its offsets begin again."""
        self._slots.restart()
        for session in self._sessions:
            session.offset = NOTHING_HANDLED
            self._sessions.mark(session.client_id)

    def on_client_gone(self, client_id: int, session: int) -> list[Action]:
        """The topics of a session's client cannot be written any more."""
        found = self._sessions.get(client_id)
        if found is None or found.number != session:
            return []
        return self._end(found, EndCause.CLIENT_GONE)

    def on_stream_ended(self, ticket: int, refused: Refusal | None = None) -> list[Action]:
        """A stream's task ended; `refused` is what its client must be told, if anything."""
        return self._streaming.on_ended(ticket, refused)

    def note_sent(self, rows: Mapping[int, int]) -> None:
        """Streams, by their tickets, have sent so many rows: to be saved, for operators."""
        self._streaming.note_sent(rows)

    # --- what the shell decides -------------------------------------------------------

    def set_keys(self, keys: Mapping[int, bytes]) -> list[Action]:
        """The ids that have a token, and the key of each.

        A session ends whose id was given a token, or another one, or has none any more: whoever
        holds the token now has to prove it.
        """
        replaced = self._admission.set_keys(keys)
        return self._end_unproven(replaced)

    def own(
        self,
        slots: Iterable[int],
        saved: Sequence[SavedSession],
        epoch: int,
        now: float,
        handled: Mapping[int, int] | None = None,
    ) -> list[Action]:
        """Serve slots from now on, and go on with the sessions that are saved of them.

        Parameters
        ----------
        slots : iterable of int
            Which; none of them is held.
        saved : sequence of SavedSession
            As they were when the offsets of `handled` were saved.
        epoch : int
            What tells clients that another process serves them.
        handled : mapping
            For each slot, the offset up to which its records were handled. The next record
            that is fed is to be at most one above the lowest; those that were handled for
            other slots are passed over. A slot that is not there goes on with the next record.
        """
        owned = frozenset(slots)
        self._slots.hold(owned, epoch, handled or {})
        self._admission.on_taken_over(now)
        actions: list[Action] = []
        for one in saved:
            if slot_of(one.client_id) in owned:
                actions += self._restore(one, now)
        return actions + self._end_unproven()

    def park(self, slots: Iterable[int]) -> list[Action]:
        """Handle nothing more for slots; their streams end, their sessions wait to be moved."""
        parked = frozenset(slots)
        self._slots.park(parked)
        actions: list[Action] = []
        for session in self._sessions:
            if slot_of(session.client_id) in parked:
                actions += self._streaming.interrupt(session)
        return actions

    def disown(self, slots: Iterable[int]) -> list[Action]:
        """Forget slots and their sessions, which are another gateway's; nobody is told."""
        given = frozenset(slots)
        self._slots.release(given)
        actions: list[Action] = []
        for session in self.sessions:
            if slot_of(session.client_id) in given:
                self._sessions.forget(session)
                actions += self._drop(session, EndCause.MOVED)
        self._sessions.unmark(lambda client_id: slot_of(client_id) in given)
        return actions

    def end_client(self, client_id: int) -> list[Action]:
        """An operator ends a client's session, if it is served here."""
        session = self._sessions.get(client_id)
        if session is None or not self._slots.serves(client_id):
            return []
        return self._tell_end(session, Reason.ENDED_BY_OPERATOR, EndCause.OPERATOR)

    def end_stream(self, client_id: int, ticket: int) -> list[Action]:
        """An operator ends a stream, if its client is served here."""
        session = self._sessions.get(client_id)
        if session is None or not self._slots.serves(client_id):
            return []
        return self._streaming.end(session, ticket)

    @property
    def has_changed(self) -> bool:
        """Whether `changes` has anything to give."""
        return self._sessions.has_changed

    def changes(self) -> list[SavedSession | int]:
        """Each session that changed since the last call; of one that is over, its client."""
        return self._sessions.changes()

    def unsaved(self, changes: Iterable[SavedSession | int]) -> None:
        """What `changes` gave could not be saved: the next call gives it again, as it is then."""
        for change in changes:
            client_id = change if isinstance(change, int) else change.client_id
            if self._slots.holds(client_id):
                self._sessions.mark(client_id)

    def handled(self) -> dict[int, int]:
        """For each slot that is held: the offset up to which its records were handled.

        To be saved together with `changes`, for `own` after a restart.
        """
        return self._slots.handled()

    # --- requests ---------------------------------------------------------------------

    def _on_request(self, asked: Asked, session: Session | None, now: float) -> list[Action]:
        client_id = asked.request.client_id
        if session is None or asked.opens_session:
            # Logins apart: what else comes in a client's name must not keep it out.
            rate = self._tries if isinstance(asked.request, ClientLogin) else self._strangers
            if not rate.take(client_id, now) and not self._is_proven(asked, now):
                return [_too_fast(asked)]
            return self._logins.on_request(asked, session, self._slots.epoch_of(client_id), now)
        if (ignored := check_signature(session, asked)) is not None:
            return [ignored]
        session.heard_at = now
        if session.key is not None:
            self._sessions.mark(client_id)  # so that its counter never goes back
        match asked.request:
            case Heartbeat():
                return [self._beat(asked, session, now)]
            case StreamAck() as ack:
                return self._streaming.advance(session, ack)
            case ClientLogout():
                return self._end(session, EndCause.LOGOUT)
            case _ if self._requests.take(client_id, now):
                return self._streaming.on_request(asked, session)
            case _:
                return [self._slow_down(asked, session, now)]

    def _is_proven(self, asked: Asked, now: float) -> bool:
        """Whether it is a right proof, which a flood in its client's name must not keep out."""
        proof = asked.request
        return isinstance(proof, LoginProof) and bool(self._admission.session_key_of(proof, now))

    def _beat(self, asked: Asked, session: Session, now: float) -> Action:
        """Answer a heartbeat, but not on the data topic of a version 1 client.

        That one knows no such message; whoever beats in its name is told that the id is taken.
        """
        if not self._heartbeats.take(session.client_id, now):
            return _too_fast(asked)
        if session.version > 1:
            return session.beat
        error, reason = ClientErrorType.ALREADY_LOGGED_IN, Reason.ID_IN_USE
        return refused(asked, session.number, error, reason)

    def _slow_down(self, asked: Asked, session: Session, now: float) -> Action:
        """Tell a client that it asks too often, unless it was just told."""
        if not self._refusals.take(session.client_id, now):
            return _too_fast(asked)
        limit = self._limits.requests_per_second
        refusal = Refusal(DataErrorType.CHANNEL_FAILED, Reason.TOO_FAST, limit)
        return request_error(asked, session.number, refusal)

    def _too_long(self, ignored: Ignored, session: Session | None, now: float) -> list[Action]:
        """Tell a client that its record was too long to be read.

        Not one who signs, as anybody may have sent it; and version 1 has no word for it.
        """
        if ignored.reason is not IgnoreReason.TOO_LONG or session is None:
            return []
        if session.key or session.version == 1:
            return []
        if not self._refusals.take(session.client_id, now):
            return []
        return [too_long(session.client_id, session.number, self._limits.message_bytes)]

    # --- returns and ends -------------------------------------------------------------

    def _restore(self, saved: SavedSession, now: float) -> list[Action]:
        epoch = self._slots.epoch_of(saved.client_id)
        session, opened = self._logins.restore(saved, epoch, now)
        return opened + [self._streaming.lost(stream.plan, session) for stream in saved.streams]

    def _tell_end(self, session: Session, reason: Reason, cause: EndCause) -> list[Action]:
        error = ClientErrorType.NOT_LOGGED_IN
        told = client_error(session.client_id, session.number, error, session.version, reason)
        return [told, *self._end(session, cause)]

    def _end_unproven(self, replaced: frozenset[int] = frozenset()) -> list[Action]:
        """End the sessions that do not go with the tokens as they are."""
        actions: list[Action] = []
        for session in self.sessions:
            is_wrong = session.client_id in replaced or self._admission.differs(session)
            if is_wrong and self._slots.serves(session.client_id):
                actions += self._tell_end(session, Reason.NO_SESSION, EndCause.TOKEN_CHANGED)
        return actions

    def _end(self, session: Session, cause: EndCause) -> list[Action]:
        self._sessions.remove(session)
        return self._drop(session, cause)

    def _drop(self, session: Session, cause: EndCause) -> list[Action]:
        aborted = self._streaming.abort(session)
        return [*aborted, CloseSession(session.client_id, session.number, cause)]

    def _forget_old(self, now: float) -> None:
        """Keep no more in mind than the last seconds need."""
        if now < self._forget_at:
            return
        self._forget_at = now + _FORGET_SECONDS
        for rate in self._rates:
            rate.forget_full(now)
        self._admission.forget_old(now)


def _too_fast(asked: Asked) -> Ignored:
    detail = f"{type(asked.request).__name__} of client {asked.request.client_id}"
    return Ignored(IgnoreReason.TOO_FAST, detail)
