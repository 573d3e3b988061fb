"""The gateway's shell: carries out what the machine decides, and decides nothing itself."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter

from qd_fluvio import FluvioError, Record
from qd_fluvio.service import ready
from qd_gateway.actions import (
    AbortStream,
    Action,
    AdvanceStream,
    CloseSession,
    DeleteTopics,
    Ignored,
    OpenSession,
    Reply,
    StartStream,
    StopStream,
)
from qd_gateway.admission import Policy
from qd_gateway.channel import ClientChannel
from qd_gateway.control import ControlReader
from qd_gateway.database import Database
from qd_gateway.limits import (
    IGNORED_LINES_PER_SECOND_MAX,
    STOP_SECONDS_MAX,
    TICK_SECONDS,
    Limits,
)
from qd_gateway.link import Link
from qd_gateway.machine import GatewayMachine
from qd_gateway.plans import Refusal
from qd_gateway.runner import StreamRunner
from qd_gateway.slots import SLOTS
from qd_gateway.strangers import Strangers
from qd_schemas.specs import GatewaySettings
from qd_schemas.topics import client_topics
from qd_store import StoreError
from qd_store.credentials import dsn_of

_log = logging.getLogger("qd_gateway")

SECRET_BYTES = 32  # that challenges are made with


class Gateway:
    """One gateway service.

    Parameters
    ----------
    settings : GatewaySettings
        The cluster, the database, the default lease.
    limits : Limits, optional
        How much it takes, if not what it takes by default.
    """

    def __init__(self, settings: GatewaySettings, limits: Limits | None = None) -> None:
        self._machine = GatewayMachine(
            limits or Limits(lease_ms=settings.lease_ms),
            Policy(settings.tokens, settings.version_1),
            secrets.token_bytes(SECRET_BYTES),
        )
        self._machine.own(range(SLOTS), [], time.time_ns(), time.monotonic())
        self._link = Link()
        self._database = Database(dsn_of(settings.database))
        self._streams = StreamRunner(self._database, self._on_stream_ended)
        self._strangers = Strangers(self._link)
        self._channels: dict[int, ClientChannel] = {}  # by session number
        self._serving: dict[int, asyncio.Task[None]] = {}  # by client: its latest channel
        self._deletions: set[asyncio.Task[None]] = set()
        self._ignored = IgnoredLog()
        self._is_deaf = True  # leases do not run out while no request can arrive
        self._was_ready = False
        self._control = ControlReader(
            settings.fluvio,
            self._link,
            self._on_records,
            self._on_connected,
            self._on_lost,
            self._machine.on_new_log,
        )

    async def run(self) -> None:
        """Serve until cancelled, then stop everything within a deadline."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._try_database())
                group.create_task(self._strangers.run())
                group.create_task(self._tick())
                group.create_task(self._control_until_cancelled())
        finally:
            await self._database.aclose()

    async def _control_until_cancelled(self) -> None:
        """Read requests; when cancelled, streams end while the connection is still there."""
        reader = asyncio.create_task(self._control.run())
        try:
            await asyncio.shield(reader)
        finally:
            try:
                async with asyncio.timeout(STOP_SECONDS_MAX):
                    await self._streams.aclose()
                    await self._close_channels()
            except TimeoutError:
                _log.warning("not everything was sent within %g s", STOP_SECONDS_MAX)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _close_channels(self) -> None:
        for channel in self._channels.values():
            channel.close()
        if self._serving:
            await asyncio.wait(self._serving.values())

    async def _try_database(self) -> None:
        """Say at once in the log if the database cannot be used; a stream tries again."""
        try:
            await self._database.prepare()
        except StoreError as error:
            _log.error("no database, streams are refused until it is there: %s", error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if not self._is_deaf:
                self._apply(self._machine.on_tick(time.monotonic()))
            self._ignored.on_tick(time.monotonic())

    # --- what happens -----------------------------------------------------------------

    def _on_connected(self) -> None:
        self._machine.on_reconnected(time.monotonic())
        self._is_deaf = False
        _log.info("consuming requests")
        if not self._was_ready:
            self._was_ready = True
            ready()

    def _on_lost(self) -> None:
        self._is_deaf = True

    def _on_records(self, records: list[Record]) -> None:
        now = time.monotonic()
        for record in records:
            self._apply(self._machine.on_record(record.value, record.offset, now))

    def _on_stream_ended(self, ticket: int, refused: Refusal | None) -> None:
        self._apply(self._machine.on_stream_ended(ticket, refused))

    # --- what is to be done -----------------------------------------------------------

    def _apply(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Reply():
                    self._reply(action)
                case OpenSession():
                    self._open(action)
                case CloseSession():
                    self._close(action)
                case DeleteTopics():
                    task = asyncio.create_task(self._delete_topics(action.client_id))
                    self._deletions.add(task)
                    task.add_done_callback(self._deletions.discard)
                case StartStream():
                    self._streams.start(action.plan, self._channels[action.session])
                case StopStream():
                    self._streams.stop(action.ticket, action.reason)
                case AdvanceStream():
                    self._streams.advance(action.ticket, action.sequence)
                case AbortStream():
                    self._streams.abort(action.ticket)
                case Ignored():
                    self._ignored.add(action)

    def _reply(self, reply: Reply) -> None:
        if reply.text != "heartbeat":
            _log.info("client=%d is told: %s", reply.client_id, reply.text)
        if reply.session is None:
            self._strangers.put(reply)
        else:
            self._channels[reply.session].put(reply)

    def _open(self, opened: OpenSession) -> None:
        def on_gone() -> None:
            self._apply(self._machine.on_client_gone(opened.client_id, opened.session))

        before = self._serving.get(opened.client_id)
        channel = ClientChannel(opened, self._link, on_gone, before)
        self._channels[opened.session] = channel
        task = asyncio.create_task(channel.run(), name=f"channel-{opened.session}")
        self._serving[opened.client_id] = task
        task.add_done_callback(lambda done: self._channel_ended(opened.client_id, done))
        _log.info("%s logged in, version %d", channel, opened.version)

    def _channel_ended(self, client_id: int, task: asyncio.Task[None]) -> None:
        if self._serving.get(client_id) is task:
            del self._serving[client_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed by a defect", task.get_name(), exc_info=error)

    def _close(self, closed: CloseSession) -> None:
        channel = self._channels.pop(closed.session)
        channel.close()
        _log.info("%s ended: %s", channel, closed.cause.value)

    async def _delete_topics(self, client_id: int) -> None:
        """Delete what a dead client left; a failure only leaves it there."""
        try:
            fluvio = await self._link.get()
            for topic in client_topics(client_id).all:
                await fluvio.delete_topic(topic, missing_ok=True)
            _log.info("client=%d left topics behind: deleted", client_id)
        except FluvioError as error:
            _log.warning("client=%d left topics behind: %s", client_id, error)


class IgnoredLog:
    """Logs and counts what was ignored; a flood costs a few lines a second."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lines = 0
        self._unsaid = 0
        self._second = 0

    def add(self, ignored: Ignored) -> None:
        """Count one record and log it while there is room in this second."""
        self.counts[ignored.reason.name] += 1
        if self._lines < IGNORED_LINES_PER_SECOND_MAX:
            self._lines += 1
            _log.warning("ignored a record that is %s: %s", ignored.reason.value, ignored.detail)
        else:
            self._unsaid += 1

    def on_tick(self, now: float) -> None:
        """Begin a new second with what the last one left unsaid."""
        if int(now) == self._second:
            return
        if self._unsaid:
            _log.warning("ignored %d records more; in all %s", self._unsaid, dict(self.counts))
        self._second, self._lines, self._unsaid = int(now), 0, 0
