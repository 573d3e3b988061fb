"""Carries out what the machine decides: opens channels, sends replies, starts and stops streams.

It decides nothing. Every event is counted, and becomes one line of the log; what anybody can cause
as often as he likes is summed up there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from qd_fluvio.logs import field_logger
from qd_gateway.core.actions import (
    AbortStream,
    Action,
    AdvanceStream,
    CloseSession,
    Ignored,
    OpenSession,
    Reply,
    StartStream,
    StopStream,
)
from qd_gateway.core.limits import (
    IGNORED_LINES_PER_SECOND_MAX,
    STRANGERS_LINES_PER_SECOND_MAX,
)
from qd_gateway.core.slots import slot_of
from qd_gateway.metrics import GatewayMetrics
from qd_gateway.streams.runner import StreamRunner
from qd_gateway.topics.channel import ClientChannel
from qd_gateway.topics.link import Link
from qd_gateway.topics.strangers import Strangers
from qd_schemas.enums import Reason

_log = field_logger("qd_gateway")


class Dispatcher:
    """Hands actions to those who carry them out.

    Parameters
    ----------
    link : Link
        The connection to the cluster.
    streams : StreamRunner
        Runs the streams.
    strangers : Strangers
        Answers clients without a session.
    metrics : GatewayMetrics
        Counts what happens.
    on_gone : callable
        Called with client and session where a client's topics turn out not to exist.
    """

    def __init__(
        self,
        link: Link,
        streams: StreamRunner,
        strangers: Strangers,
        metrics: GatewayMetrics,
        on_gone: Callable[[int, int], None],
    ) -> None:
        self._link = link
        self._streams = streams
        self._strangers = strangers
        self._metrics = metrics
        self._on_gone = on_gone
        self._channels: dict[int, ClientChannel] = {}  # by session number
        self._serving: dict[int, asyncio.Task[None]] = {}  # by client: its latest channel
        self._ignored = FewLines(_log.warning, "ignored records", IGNORED_LINES_PER_SECOND_MAX)
        self._refused = FewLines(
            _log.info, "told clients without a session", STRANGERS_LINES_PER_SECOND_MAX
        )

    def apply(self, actions: Iterable[Action]) -> None:
        """Carry out actions, in order."""
        for action in actions:
            match action:
                case Ignored(reason, detail):
                    self._metrics.ignored(reason)
                    text = "ignored a record that is %s: %s"
                    self._ignored.add(reason.name, text, reason.value, detail)
                case Reply():
                    self._reply(action)
                case OpenSession():
                    self._open(action)
                case CloseSession():
                    self._close(action)
                case StartStream():
                    self._streams.start(action.plan, self._channels[action.session])
                case StopStream():
                    self._streams.stop(action.ticket, action.reason)
                case AdvanceStream():
                    self._streams.advance(action.ticket, action.sequence)
                case AbortStream():
                    self._streams.abort(action.ticket)

    def on_tick(self, now: float) -> None:
        """Time passed."""
        for lines in (self._ignored, self._refused):
            lines.on_tick(now)
        waiting = sum(channel.waiting for channel in self._channels.values())
        self._metrics.replies_waiting(waiting + self._strangers.waiting)

    async def flush(self, slots: frozenset[int]) -> None:
        """Wait until all that was said to the clients of these slots is acknowledged."""
        channels = [each for each in self._channels.values() if slot_of(each.client_id) in slots]
        await asyncio.gather(*(channel.flush() for channel in channels))

    async def aclose(self) -> None:
        """Close all channels once their replies are out."""
        for channel in self._channels.values():
            channel.close()
        if self._serving:
            await asyncio.wait(self._serving.values())

    def _reply(self, reply: Reply) -> None:
        if reply.error is not None:
            self._metrics.refused(reply.error, reply.reason)
            self._say(reply)
        if reply.session is None:
            self._strangers.put(reply)
        else:
            self._channels[reply.session].put(reply)

    def _say(self, refusal: Reply) -> None:
        text, client, kind = "told: %s", refusal.client_id, refusal.reason.name.lower()
        reason = "-" if refusal.reason is Reason.NONE else kind
        if refusal.session is None:
            self._refused.add(kind, text, refusal.text, client=client, reason=reason)
        else:
            _log.info(text, refusal.text, client=client, reason=reason)

    def _open(self, opened: OpenSession) -> None:
        before = self._serving.get(opened.client_id)
        channel = ClientChannel(
            opened,
            self._link,
            lambda: self._on_gone(opened.client_id, opened.session),
            before,
            self._metrics,
        )
        self._channels[opened.session] = channel
        task = asyncio.create_task(channel.run(), name=f"channel-{opened.session}")
        self._serving[opened.client_id] = task
        task.add_done_callback(lambda done: self._channel_ended(opened.client_id, done))
        if opened.restored:
            self._metrics.restored(1)
        else:
            self._metrics.logged_in(opened.version)
        event = "restored" if opened.restored else "logged in"
        channel.log.info(event, version=opened.version)

    def _channel_ended(self, client_id: int, task: asyncio.Task[None]) -> None:
        if self._serving.get(client_id) is task:
            del self._serving[client_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed by a defect", task.get_name(), exc_info=error)

    def _close(self, closed: CloseSession) -> None:
        channel = self._channels.pop(closed.session)
        channel.close()
        self._metrics.session_ended(closed.cause)
        channel.log.info("ended: %s", closed.cause.value)


class FewLines:
    """Lines of one kind, a few in a second; then one about all that were left out.

    Parameters
    ----------
    log : callable
        Writes them.
    what : str
        What one about many says it is about.
    per_second : int
        Lines for single events.
    """

    def __init__(self, log: Callable[..., None], what: str, per_second: int) -> None:
        self._counts: Counter[str] = Counter()
        self._log = log
        self._what = what
        self._per_second = per_second
        self._lines = 0
        self._unsaid = 0
        self._second = 0

    def add(self, kind: str, text: str, *args: object, **fields: object) -> None:
        """Count one event by its kind, and log it while there is room in this second."""
        self._counts[kind] += 1
        if self._lines < self._per_second:
            self._lines += 1
            self._log(text, *args, **fields)
        else:
            self._unsaid += 1

    def on_tick(self, now: float) -> None:
        """Begin a new second with what the last one left unsaid."""
        if int(now) == self._second:
            return
        if self._unsaid:
            self._log("%s: %d more; in all %s", self._what, self._unsaid, dict(self._counts))
        self._second, self._lines, self._unsaid = int(now), 0, 0
