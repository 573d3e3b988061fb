"""What becomes of the streams that clients ask for: begun, stopped, interrupted, ended. Pure.

Which of them run at a time is decided by their places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qd_gateway.core.actions import AbortStream, Action, AdvanceStream, StopStream
from qd_gateway.core.limits import Limits
from qd_gateway.core.places import Places
from qd_gateway.core.plans import Refusal, StreamPlan, plan_of
from qd_gateway.core.replies import data_error, first_message, last_message, request_error
from qd_gateway.core.requests import Asked
from qd_gateway.core.sessions import Session, Sessions
from qd_schemas.enums import DataErrorType, EndReason, ExchangeId, Reason
from qd_schemas.messages import StartData, StopAllData, StopData, StreamAck
from qd_schemas.wire import NO_COUNT, NO_STREAM

_STOPPING = Refusal(DataErrorType.CHANNEL_FAILED, Reason.STOPPING)
_ENDED_BY_OPERATOR = Refusal(DataErrorType.CHANNEL_FAILED, Reason.ENDED_BY_OPERATOR)


class Streaming:
    """The streams of all sessions.

    Parameters
    ----------
    limits : Limits
        How many there may be.
    sessions : Sessions
        Told whose streams have changed.
    """

    def __init__(self, limits: Limits, sessions: Sessions) -> None:
        self.places = Places(limits)
        self._sessions = sessions
        self._last_ticket = 0

    # --- what clients ask for ---------------------------------------------------------

    def on_request(self, asked: Asked, session: Session) -> list[Action]:
        """A request about streams."""
        self._sessions.mark(session.client_id)
        match asked.request:
            case StartData() as start:
                return self._start(start, session, asked)
            case StopData() as stop:
                return self._stop(session, lambda plan: _is_named(plan, stop))
            case StopAllData() as stop_all:
                return self._stop(session, lambda plan: _is_on(plan, stop_all.exchange_id))
            case _:
                raise AssertionError(f"{asked.request} is no request about streams")

    def advance(self, session: Session, ack: StreamAck) -> list[Action]:
        """A client has taken rows; said of no running stream, or again, it is of no use."""
        ticket = session.taken.get(("id", ack.stream_id))
        if ticket is None or ack.sequence <= session.running[ticket].acked:
            return []
        session.running[ticket].acked = ack.sequence
        return [AdvanceStream(ticket, ack.sequence)]

    def _start(self, message: StartData, session: Session, asked: Asked) -> list[Action]:
        self._last_ticket += 1
        plan = plan_of(message, asked.version, self._last_ticket)
        if isinstance(plan, StreamPlan):
            refusal = self.places.refusal_of(session)
            if refusal is None:
                self.places.add(session, plan)
                return self._fill()
            plan = refusal
        return [request_error(asked, session.number, plan)]

    def _stop(self, session: Session, named: Callable[[StreamPlan], bool]) -> list[Action]:
        """Stop what is named; nothing to stop is no error, the stream may just have ended."""
        actions: list[Action] = []
        for plan in [plan for plan in session.waiting if named(plan)]:
            self.places.withdraw(session, plan)
            if plan.version > 1:  # in version 1 they would seem to be another stream's
                actions += _never_begun(plan, session, EndReason.STOPPED)
        for ticket, running in session.running.items():
            if named(running.plan) and not running.stopping:
                running.stopping = True
                actions.append(StopStream(ticket, EndReason.STOPPED))
        return actions

    # --- what else ends them ----------------------------------------------------------

    def on_ended(self, ticket: int, refused: Refusal | None) -> list[Action]:
        """A stream's task ended; `refused` is what its client must be told, if anything."""
        plan = self.places.release(ticket)
        if plan is None:
            return []
        actions: list[Action] = []
        session = self._sessions.get(plan.client_id)
        if session is not None and self.places.finish(session, ticket):
            self._sessions.mark(session.client_id)
            if refused is not None:
                actions.append(data_error(plan, session.number, refused))
        return actions + self._fill()

    def end(self, session: Session, ticket: int) -> list[Action]:
        """An operator ends one of a session's streams."""
        actions: list[Action] = []
        if ticket in session.running:
            actions += self._cut(session, ticket, _ENDED_BY_OPERATOR)
        for plan in [plan for plan in session.waiting if plan.ticket == ticket]:
            self.places.withdraw(session, plan)
            actions.append(data_error(plan, session.number, _ENDED_BY_OPERATOR))
        if actions:
            self._sessions.mark(session.client_id)
        return actions + self._fill()

    def note_sent(self, rows: Mapping[int, int]) -> None:
        """Streams, by their tickets, have sent so many rows."""
        for ticket, count in rows.items():
            plan = self.places.running.get(ticket)
            session = None if plan is None else self._sessions.get(plan.client_id)
            running = None if session is None else session.running.get(ticket)
            if session is not None and running is not None and running.sent != count:
                running.sent = count
                self._sessions.mark(session.client_id)

    def interrupt(self, session: Session) -> list[Action]:
        """End all streams of a session that goes on elsewhere, where they are asked for again."""
        actions: list[Action] = []
        if session.waiting or session.running:
            self._sessions.mark(session.client_id)
        for plan in list(session.waiting):
            self.places.withdraw(session, plan)
            if plan.version > 1:
                actions += _never_begun(plan, session, EndReason.INTERRUPTED)
            else:
                actions.append(data_error(plan, session.number, _STOPPING))
        for ticket, running in list(session.running.items()):
            if running.stopping:
                continue
            if running.plan.version == 1:  # it has no word for this but an error
                actions += self._cut(session, ticket, _STOPPING)
            else:
                running.stopping = True
                actions.append(StopStream(ticket, EndReason.INTERRUPTED))
        return actions

    def lost(self, plan: StreamPlan, session: Session) -> Action:
        """Tell a client that its stream died with the gateway before."""
        self._last_ticket = max(self._last_ticket, plan.ticket)
        self._sessions.mark(session.client_id)
        if plan.version == 1:
            return data_error(plan, session.number, _STOPPING)
        return last_message(plan, session.number, EndReason.INTERRUPTED, NO_COUNT)

    def abort(self, session: Session) -> list[Action]:
        """End all streams of a session that is over; nobody is told."""
        self.places.drop(session)
        return [AbortStream(ticket) for ticket in session.running]

    def _fill(self) -> list[Action]:
        """Let those begin for whom a place is free now, whoever's they are."""
        started = self.places.fill()
        for begun in started:
            self._sessions.mark(begun.plan.client_id)
        return [*started]

    def _cut(self, session: Session, ticket: int, refusal: Refusal) -> list[Action]:
        """End a running stream at once with an error."""
        plan = session.running[ticket].plan
        self.places.finish(session, ticket)
        return [AbortStream(ticket), data_error(plan, session.number, refusal)]


def _never_begun(plan: StreamPlan, session: Session, reason: EndReason) -> list[Action]:
    """The messages of a stream that ended while it waited."""
    return [first_message(plan, session.number), last_message(plan, session.number, reason, 0)]


def _is_named(plan: StreamPlan, message: StopData) -> bool:
    """True where a StopData means this stream: by its id, or by market and data type."""
    if message.stream_id != NO_STREAM:
        return plan.version > 1 and plan.stream_id == message.stream_id
    return (plan.exchange_id, plan.symbol_id, plan.data_type) == (
        message.exchange_id,
        message.symbol_id,
        message.data_type_id,
    )


def _is_on(plan: StreamPlan, exchange_id: int) -> bool:
    """True for every stream of the exchange; the null exchange means all."""
    return exchange_id in (ExchangeId.NULL, plan.exchange_id)
