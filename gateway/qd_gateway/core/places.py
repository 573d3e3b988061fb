"""Which streams run and which wait for a place, clients taking turns. Pure.

A place is taken until the shell says that the stream's task has ended, whatever became of
its session. A client stands in line only while one of its streams may be able to start, so
a place that becomes free costs as much as is started, however many wait.
"""

from __future__ import annotations

from collections import deque

from qd_gateway.core.actions import StartStream
from qd_gateway.core.limits import Limits
from qd_gateway.core.plans import Refusal, StreamPlan
from qd_gateway.core.sessions import Session
from qd_schemas.enums import DataErrorType, Reason


class Places:
    """The places of all streams.

    Attributes
    ----------
    running : dict
        Streams that have a place, by ticket.
    waiting : int
        How many streams wait for one.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turns: deque[Session] = deque()  # those in line, next one first
        self.running: dict[int, StreamPlan] = {}
        self.waiting = 0

    def refusal_of(self, session: Session) -> Refusal | None:
        """What refuses one more stream, if anything does."""
        if len(session.waiting) >= self._limits.waiting_per_client:
            limit = self._limits.waiting_per_client
            return Refusal(DataErrorType.CHANNEL_FAILED, Reason.CLIENT_STREAMS_FULL, limit)
        if self.waiting >= self._limits.waiting:
            limit = self._limits.waiting
            return Refusal(DataErrorType.CHANNEL_FAILED, Reason.STREAMS_FULL, limit)
        return None

    def add(self, session: Session, plan: StreamPlan) -> None:
        """A stream was asked for: it waits for its place, if only until the next `fill`."""
        session.waiting.append(plan)
        self.waiting += 1
        self._line_up(session)

    def withdraw(self, session: Session, plan: StreamPlan) -> None:
        """A stream that waits will not run."""
        session.waiting.remove(plan)
        self.waiting -= 1

    def finish(self, session: Session, ticket: int) -> bool:
        """A stream is over for its session; False where it was so before."""
        if not session.finish(ticket):
            return False
        self._line_up(session)
        return True

    def release(self, ticket: int) -> StreamPlan | None:
        """A stream's place is free; None where it had none."""
        return self.running.pop(ticket, None)

    def drop(self, session: Session) -> None:
        """A session is over: nothing of it will start."""
        self.waiting -= len(session.waiting)
        session.waiting.clear()
        if session.has_turn:
            self._turns.remove(session)
            session.has_turn = False

    def _line_up(self, session: Session) -> None:
        if session.waiting and not session.has_turn:
            session.has_turn = True
            self._turns.append(session)

    def fill(self) -> list[StartStream]:
        """Give free places to waiting streams, one for each client in turn."""
        started: list[StartStream] = []
        while self._turns and len(self.running) < self._limits.running:
            session = self._turns.popleft()
            session.has_turn = False
            plan = self._next_plan(session)
            if plan is None:
                continue  # it lines up again when one of its streams is over
            self.withdraw(session, plan)
            session.begin(plan)
            self.running[plan.ticket] = plan
            started.append(StartStream(plan, session.number))
            self._line_up(session)
        return started

    def _next_plan(self, session: Session) -> StreamPlan | None:
        if len(session.running) >= self._limits.running_per_client:
            return None
        return next((plan for plan in session.waiting if session.may_start(plan)), None)
