"""The gateway's shell: joins its parts, starts them, and stops them within a deadline.

What requests mean is decided by the machine, which clients are served by the ownership; what
either wants is carried out elsewhere. Here each is told what happens to the others.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from qd_fluvio import FluvioError, Record
from qd_fluvio.logs import field_logger
from qd_fluvio.service import ready
from qd_fluvio.telemetry import Health, telemetry
from qd_gateway.core.actions import Action, Ignored
from qd_gateway.core.admission import Policy
from qd_gateway.core.limits import (
    END_OFFSET_SECONDS_MAX,
    MAY_ACT_SECONDS,
    PARK_SECONDS_MAX,
    PROGRESS_SECONDS,
    PROGRESS_STREAMS_MAX,
    STOP_SECONDS_MAX,
    TICK_SECONDS,
    Limits,
)
from qd_gateway.core.machine import GatewayMachine
from qd_gateway.core.plans import Refusal
from qd_gateway.core.requests import claimed_client
from qd_gateway.core.saved import SavedSession
from qd_gateway.core.slots import NOTHING_HANDLED, slot_of
from qd_gateway.metrics import ControlResult, GatewayMetrics
from qd_gateway.ownership import Drop, Ownership, Park, Step
from qd_gateway.state import StateKeeper, lease_clock, member_of, sessions_of
from qd_gateway.streams.database import Database
from qd_gateway.streams.runner import StreamRunner
from qd_gateway.topics.control import ControlReader
from qd_gateway.topics.dispatch import Dispatcher
from qd_gateway.topics.link import Link
from qd_gateway.topics.replay import Replay, is_too_old, replay_of
from qd_gateway.topics.strangers import Strangers
from qd_gateway.topics.sweeping import Sweeper, Unused
from qd_schemas.specs import GatewaySettings
from qd_schemas.topics import CONTROL
from qd_store.credentials import dsn_of
from qd_store.gateway_state import Loaded, Order

_log = field_logger("qd_gateway")

SECRET_BYTES = 32  # that challenges are made with
PAUSE_SECONDS_MIN = 1.0  # between two ticks: no client's silence counts meanwhile


class Gateway:
    """One gateway service.

    Parameters
    ----------
    settings : GatewaySettings
        The cluster, the database, its name and group, its limits.
    limits : Limits, optional
        How much it takes, if not what the settings say.
    """

    def __init__(self, settings: GatewaySettings, limits: Limits | None = None) -> None:
        self._settings = settings
        limits = limits or Limits.of(settings)
        policy = Policy(settings.tokens, settings.version_1)
        self._metrics = metrics = GatewayMetrics()
        self._health = Health({"cluster": "not connected yet", "database": "not asked yet"})
        secret, began_s = secrets.token_bytes(SECRET_BYTES), time.time() - time.monotonic()
        self._machine = GatewayMachine(limits, policy, secret, began_s)
        self._link = link = Link(self.may_act)
        self._database = Database(dsn_of(settings.database))
        self._streams = StreamRunner(self._database, self._on_stream_ended, metrics)
        self._strangers = Strangers(link, metrics)
        self._dispatcher = Dispatcher(
            link, self._streams, self._strangers, metrics, self._on_client_gone
        )
        self._control = ControlReader(settings.fluvio, link, self)
        member = member_of(settings.group, settings.name)
        self._ownership = Ownership(member.name)
        self._keeper = StateKeeper(dsn_of(settings.database), member, self._ownership, self)
        self._unused = Unused(limits.abandoned_s)
        self._sweeper = Sweeper(link, self._is_unused, self._unused, metrics)
        self._connected = asyncio.Event()
        self._stream_ended = asyncio.Event()
        self._parkings: set[asyncio.Task[None]] = set()
        self._timed: dict[int, int] = {}  # slots whose old records are passed over, until where
        self._progress_at = 0.0  # when it is saved what streams have sent
        self._is_deaf = True  # leases do not run out while no request can arrive
        self._is_ready = False

    async def run(self) -> None:
        """Serve until cancelled, then stop everything within a deadline.

        Raises
        ------
        NameTaken
            Another process has this gateway's name.
        """
        where, health = self._settings.metrics, self._health
        async with telemetry(where, "QD_GATEWAY_METRICS", self._metrics.registry, health):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._strangers.run())
                    group.create_task(self._sweeper.run())
                    group.create_task(self._tick())
                    group.create_task(self._serve())
            except ExceptionGroup as errors:
                if len(errors.exceptions) > 1:
                    raise
                raise errors.exceptions[0] from None
            finally:
                await self._database.aclose()

    async def _serve(self) -> None:
        """Read requests; when cancelled, streams end while the connection is still there."""
        reader = asyncio.create_task(self._control.run())
        keeper = asyncio.create_task(self._keep_state())
        try:
            await asyncio.wait([reader, keeper], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*(task for task in (reader, keeper) if task.done()))
        finally:
            try:
                async with asyncio.timeout(STOP_SECONDS_MAX):
                    await self._stop(keeper)
            except TimeoutError:
                _log.warning("not everything was sent within %g s", STOP_SECONDS_MAX)
            for task in (reader, keeper):
                task.cancel()
            await asyncio.gather(reader, keeper, return_exceptions=True)

    async def _keep_state(self) -> None:
        """Keep the state, once it is known from where requests are read."""
        await self._connected.wait()
        await self._keeper.run()

    async def _stop(self, keeper: asyncio.Task[None]) -> None:
        """End the streams, say so, save, and leave the clients to other gateways."""
        self._health.bad("service", "stopping")
        self.carry_out(self._ownership.stop())
        await asyncio.gather(*self._parkings)
        await self._streams.aclose()
        self._keeper.leave()
        if self._connected.is_set():
            await asyncio.wait([keeper])
        await self._dispatcher.aclose()

    async def _tick(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            if now - before > PAUSE_SECONDS_MIN:  # what clients sent meanwhile is not read yet
                self._machine.on_reconnected(now)
            before = now
            if self._acts() and not self._is_deaf:
                self._apply(self._machine.on_tick(now))
            self._dispatcher.on_tick(now)
            self._measure()

    def _measure(self) -> None:
        machine, metrics = self._machine, self._metrics
        metrics.sessions(machine.session_count)
        metrics.streams(len(machine.running), machine.waiting)
        metrics.slots(len(self._ownership.served))

    # --- who may act ------------------------------------------------------------------

    async def may_act(self) -> None:
        """Return when clients may be served: at once, but after a pause, or with no lease."""
        while not self._acts():  # noqa: ASYNC110  (a clock decides it, too)
            await asyncio.sleep(MAY_ACT_SECONDS)

    def _acts(self) -> bool:
        now = lease_clock()
        self.carry_out(self._ownership.on_tick(now))
        return self._ownership.may_act(now) or not self._ownership.held

    # --- what happens on the cluster --------------------------------------------------

    def on_connected(self) -> None:
        """The control topic is read from now on."""
        self._machine.on_reconnected(time.monotonic())
        self._is_deaf = False
        self._health.good("cluster")
        self._metrics.cluster(up=True)
        self._connected.set()
        _log.info("consuming requests", offset=self._control.next_offset)

    def on_lost(self) -> None:
        """The cluster cannot be reached."""
        self._is_deaf = True
        self._health.bad("cluster", "the connection was lost")
        self._metrics.cluster(up=False)

    def on_new_log(self) -> None:
        """The control topic was made anew."""
        self._machine.on_new_log()
        self._keeper.changed()

    def on_records(self, records: list[Record]) -> None:
        """Records of the control topic, in order."""
        now, wall_ms = time.monotonic(), time.time() * 1_000
        machine, ignored = self._machine, 0
        others, repeated = machine.others, machine.repeated
        for record in records:
            client_id = claimed_client(record.value)
            if client_id is not None:
                if self._timed and self._is_passed_over(client_id, record, wall_ms):
                    ignored += 1
                    continue
                self._unused.heard(client_id, now)
            actions = machine.on_record(record.value, record.offset, now)
            ignored += bool(actions) and isinstance(actions[0], Ignored)  # it comes first
            self._apply(actions)
        others, repeated = machine.others - others, machine.repeated - repeated
        for result, count in (
            (ControlResult.HANDLED, len(records) - ignored - others - repeated),
            (ControlResult.IGNORED, ignored),
            (ControlResult.OTHERS, others),
            (ControlResult.REPEATED, repeated),
        ):
            if count:
                self._metrics.control(result, count)
        sent_ms = records[-1].timestamp_ms
        self._metrics.lag(max(wall_ms - sent_ms, 0.0) / 1_000 if sent_ms >= 0 else 0.0)

    def _is_passed_over(self, client_id: int, record: Record, wall_ms: float) -> bool:
        until = self._timed.get(slot_of(client_id), 0)
        return record.offset < until and is_too_old(record.timestamp_ms, wall_ms)

    def _on_stream_ended(self, ticket: int, refused: Refusal | None) -> None:
        self._apply(self._machine.on_stream_ended(ticket, refused))
        self._stream_ended.set()

    def _on_client_gone(self, client_id: int, session: int) -> None:
        self._apply(self._machine.on_client_gone(client_id, session))

    def _is_unused(self, client_id: int) -> bool:
        """Whether a client is this gateway's to look after, and is not logged in.

        Without a lease nobody knows: it may be logged in by what the database would say.
        """
        is_mine = slot_of(client_id) in self._ownership.served
        has_lease = self._ownership.has_lease(lease_clock())
        return is_mine and has_lease and not self._machine.has_session(client_id)

    def _apply(self, actions: list[Action]) -> None:
        """Carry out what the machine decided, and save it soon if it changed a session."""
        self._dispatcher.apply(actions)
        if self._machine.has_changed:
            self._keeper.changed()

    # --- what the keeper of the state asks for ----------------------------------------

    def carry_out(self, steps: Iterable[Step]) -> None:
        """Park or drop slots."""
        for step in steps:
            match step:
                case Park(slots):
                    self._apply(self._machine.park(slots))
                    task = asyncio.create_task(self._park(slots))
                    self._parkings.add(task)
                    task.add_done_callback(self._parkings.discard)
                case Drop(slots):
                    _log.info("serving no more", slots=len(slots))
                    self._strangers.forget(slots)
                    self._apply(self._machine.disown(slots))

    async def restore(self, loaded: Loaded, slots: frozenset[int]) -> None:
        """Serve slots that were loaded from now on."""
        ahead = max((offset for offset, _ in loaded.offsets.values()), default=0)
        end = await self._end_offset(ahead)
        slots &= self._ownership.loading  # they may have been lost meanwhile, or all given back
        if slots:
            replay = self._replay(slots, loaded.offsets, end)
            self._own(slots, sessions_of(loaded), replay)
            self._ownership.on_loaded(slots)

    async def _end_offset(self, offset: int) -> int:
        """The end of the control topic, or a lower bound where that makes no difference."""
        position = self._control.next_offset or 0
        if offset <= position:
            return position
        try:
            async with asyncio.timeout(END_OFFSET_SECONDS_MAX):
                fluvio = await self._link.get()
                return max(await fluvio.end_offset(CONTROL), position)
        except (FluvioError, TimeoutError):
            return offset

    def _replay(
        self, slots: frozenset[int], saved: Mapping[int, tuple[int, float]], end: int
    ) -> Replay:
        position = self._control.next_offset
        assert position is not None  # nothing is asked of the database before
        return replay_of(slots, saved, position, max(end, position))

    def _own(self, slots: frozenset[int], saved: list[SavedSession], replay: Replay) -> None:
        """Serve slots; what was sent for them and is not handled is read again."""
        known = [
            replace(one, offset=NOTHING_HANDLED)
            if slot_of(one.client_id) in replay.restarted
            else one
            for one in saved
        ]
        position = self._control.next_offset
        for slot in replay.timed:
            self._timed[slot] = position or 0
        epoch, now = time.time_ns(), time.monotonic()
        _log.info("serving", slots=len(slots), sessions=len(saved), offset=replay.begin)
        self._apply(self._machine.own(slots, known, epoch, now, replay.handled))
        self._control.rewind(replay.begin)

    async def _park(self, slots: frozenset[int]) -> None:
        """Wait until nothing is done any more for slots that are given back."""
        try:
            async with asyncio.timeout(PARK_SECONDS_MAX):
                while self._running(slots):
                    self._stream_ended.clear()
                    await self._stream_ended.wait()
                await self._dispatcher.flush(slots)
        except TimeoutError:
            late = self._running(slots)
            _log.warning("not everything was sent within %g s", PARK_SECONDS_MAX, streams=len(late))
            for ticket in late:
                self._streams.abort(ticket)
        self._ownership.on_parked(slots)
        self._keeper.hurry()

    def _running(self, slots: frozenset[int]) -> list[int]:
        """The streams of these slots' clients that run."""
        plans = self._machine.running
        return [plan.ticket for plan in plans if slot_of(plan.client_id) in slots]

    def changes(self) -> Sequence[SavedSession | int]:
        """What is to be saved; from time to time also what streams have sent."""
        now = time.monotonic()
        if now >= self._progress_at:
            self._progress_at = now + PROGRESS_SECONDS
            self._machine.note_sent(self._streams.sent(PROGRESS_STREAMS_MAX))
        return self._machine.changes()

    def unsaved(self, changes: Iterable[SavedSession | int]) -> None:
        """That could not be saved."""
        self._machine.unsaved(changes)

    def handled(self) -> Mapping[int, int]:
        """How far the control topic was handled, for each slot."""
        return self._machine.handled()

    def set_keys(self, keys: Mapping[int, bytes]) -> None:
        """The clients that must prove who they are."""
        self._apply(self._machine.set_keys(keys))
        _log.info("tokens read", clients=len(keys))

    def on_order(self, order: Order) -> None:
        """An operator wants a session or a stream ended."""
        _log.info("an operator ends it", client=order.client_id, ticket=order.ticket or "-")
        if order.ticket is None:
            self._apply(self._machine.end_client(order.client_id))
        else:
            self._apply(self._machine.end_stream(order.client_id, order.ticket))

    def on_database(self, trouble: str) -> None:
        """The database answers, or what is wrong with it."""
        self._metrics.database(up=not trouble)
        if trouble:
            self._health.bad("database", trouble)
        else:
            self._health.good("database")

    def on_settled(self) -> None:
        """It was decided which clients are served."""
        if not self._is_ready:
            self._is_ready = True
            ready()
