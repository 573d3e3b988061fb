"""The alert service: a client of the gateway that watches markets and publishes alerts.

A thin shell: `watch`, `tracker` and `ledger` decide, this module connects them to the
gateway, symdb and the topics, and begins again when one of these is lost.

A session is one connection to the gateway and the cluster. It logs in before it reads the
topics back: the gateway lets one client use an id at a time, so no other process can still be
publishing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from qd_analytics.backoff import SECONDS_MAX, Backoff
from qd_analytics.checkpoints import Checkpoint, Written, written
from qd_analytics.errors import AnalyticsError, StateUnusable
from qd_analytics.metrics import Metrics
from qd_analytics.models.loading import Chosen
from qd_analytics.topics import Topics, read_back, read_before, read_checkpoints
from qd_analytics.tracker import MarketTracker, ModelTracker
from qd_analytics.watch import Watch
from qd_client import QDClient
from qd_client.errors import (
    AlreadyLoggedIn,
    GatewayLost,
    GatewayUnavailable,
    LoginFailed,
    NotLoggedIn,
    SessionEnded,
)
from qd_client.symdb import ChangeKind, SymdbClient
from qd_fluvio import Fluvio, FluvioError
from qd_fluvio.telemetry import Health, telemetry
from qd_schemas.errors import QdError
from qd_schemas.specs import AnalyticsSettings

SAVED_AT_ONCE: Final = 64
"""Checkpoints that are made before other work has its turn."""
SAVE_SECONDS_MAX: Final = 2.0
"""What a service that stops takes for its last checkpoints."""

# What ends the session; any other error ends one market's run.
_SESSION_ERRORS: Final = (
    *(FluvioError, GatewayLost, GatewayUnavailable),
    *(NotLoggedIn, AlreadyLoggedIn, LoginFailed, SessionEnded),
)

_log = logging.getLogger("qd_analytics")


class AlertService:
    """Watches markets until it is cancelled.

    Parameters
    ----------
    settings : AnalyticsSettings
        Where everything is and what to watch.
    models : sequence of Chosen
        What watches each market.
    on_ready : callable
        Called once, when the first session works, with where metrics are served.
    chance : random.Random
        Spreads the retries.
    """

    def __init__(
        self,
        settings: AnalyticsSettings,
        models: Sequence[Chosen],
        on_ready: Callable[[str], None],
        chance: random.Random,
    ) -> None:
        self._settings = settings
        self._on_ready: Callable[[str], None] | None = on_ready
        self._metrics = Metrics(lambda: self._watch.lags())
        self._watch = Watch(models, settings.watch, settings.markets_at_once, chance, self._metrics)
        self._health = Health({"gateway": "not logged in yet", "symdb": "not asked yet"})
        self._backoff = Backoff(chance)
        self._chance = chance
        self._wake = asyncio.Event()
        self._whole = asyncio.Lock()
        self._served = ""
        self._is_first = True

    async def run(self) -> None:
        """Keep a session; when one is lost, log it, wait and open the next."""
        settings = self._settings
        async with (
            telemetry(
                settings.metrics, "QD_ANALYTICS_METRICS", self._metrics.registry, self._health
            ) as self._served,
            SymdbClient(
                settings.symdb.host, settings.symdb.port, tls=settings.symdb_tls, cache_markets=0
            ) as symdb,
            _first_error_only(),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._keep_listed(symdb))
            await self._keep_session()

    async def _keep_session(self) -> None:
        clock = asyncio.get_running_loop()
        while True:
            began = clock.time()
            try:
                await self._session()
            except QdError as error:
                if (task := asyncio.current_task()) and task.cancelling():
                    # Closing the session failed while this service was being stopped.
                    raise asyncio.CancelledError from error
                if clock.time() - began > SECONDS_MAX:
                    self._backoff.reset()
                delay = self._backoff.seconds()
                self._health.bad("gateway", _told(error))
                self._metrics.failed("session")
                _log.warning("%s; trying again in %.1f s", _told(error), delay)
                await asyncio.sleep(delay)

    async def _session(self) -> None:
        settings = self._settings
        async with QDClient(
            settings.client_id,
            endpoint=settings.fluvio,
            exchange=settings.exchange,
            token=settings.token.secret() or None,
            # Another process may have had the id, and published, while this one was cut off:
            # whatever is lost, what is published is read again first.
            patience_s=0.0,
        ) as qd:
            topics = await Topics.open(qd.fluvio)
            await self._learn_published(qd.fluvio, topics)
            self._health.good("gateway")
            if self._on_ready is not None:
                self._on_ready(self._served)
                self._on_ready = None
            try:
                await self._follow(qd, topics)
            except asyncio.CancelledError:
                with contextlib.suppress(QdError, TimeoutError):
                    async with asyncio.timeout(SAVE_SECONDS_MAX):
                        await self._save(topics)
                raise

    async def _learn_published(self, fluvio: Fluvio, topics: Topics) -> None:
        """Read back what earlier processes, or the session before, have published and saved."""
        watch = self._watch
        if self._is_first:
            watch.restore(await read_checkpoints(fluvio))
            self._is_first = False
        if not await read_back(fluvio, watch.ledger):
            _log.warning("the alert topic was made anew; publishing its alerts again")
            # Before the new topic grows: a restart would take it for the one that they rely on.
            await topics.save(watch.checkpoints.revocations(), watch.checkpoints)
            watch.forget()
            await read_back(fluvio, watch.ledger)
        watch.begin()
        _log.info(
            "%d alerts are on the topic from record %d on; %d checkpoints",
            *(len(watch.ledger), watch.ledger.since, len(watch.checkpoints)),
        )

    # Which markets there are

    async def _keep_listed(self, symdb: SymdbClient) -> None:
        """Take note of every market and its changes, for ever."""
        backoff = Backoff(self._chance)
        while True:
            try:
                await symdb.exchanges()  # an exchange without markets tells of no change
                self._health.good("symdb")
                _log.info("symdb answers")
                changes = symdb.changes(self._settings.exchange, with_symbols=True)
                async with contextlib.aclosing(changes) as found:
                    async for change in found:
                        if change.kind is ChangeKind.REMOVED:
                            self._watch.removed(change.market)
                        else:
                            self._watch.changed(change.market)
                        self._metrics.watches(self._watch.markets)
                        self._wake.set()
            except QdError as error:
                delay = backoff.seconds()
                self._health.bad("symdb", _told(error))
                _log.warning("%s; trying again in %.1f s", _told(error), delay)
                await asyncio.sleep(delay)

    # Their trades

    async def _follow(self, qd: QDClient, topics: Topics) -> None:
        """Run every market that has new trades, a few at a time, for ever."""
        clock = asyncio.get_running_loop()
        async with _first_error_only(), asyncio.TaskGroup() as group:
            group.create_task(self._keep_saved(topics))
            while True:
                self._wake.clear()
                for tracker in self._watch.due(clock.time()):
                    group.create_task(self._run_market(tracker, qd, topics))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._watch.next_try(clock.time())):
                        await self._wake.wait()

    async def _run_market(self, tracker: MarketTracker, qd: QDClient, topics: Topics) -> None:
        """Stream a market from where it is to its end; only its own errors stay here."""
        clock = asyncio.get_running_loop()
        began, first = clock.time(), tracker.processed
        try:
            alerts = await self._stream(tracker, qd, topics)
        except _SESSION_ERRORS:
            raise
        except Exception as error:  # nothing of one market may harm the others
            self._fail(tracker, error, clock.time())
        else:
            self._watch.finished(tracker)
            trades, seconds = tracker.processed - first, max(clock.time() - began, 1e-9)
            _log.info(
                "%s caught up: %d trades, %d alerts, %.0f trades/s",
                *(tracker.market.symbol, trades, alerts, trades / seconds),
            )
        # Only where the session goes on: a lost one starts no further run.
        self._wake.set()

    async def _stream(self, tracker: MarketTracker, qd: QDClient, topics: Topics) -> int:
        """Evaluate a market's trades to their end; gives how many alerts they raise."""
        alerts = 0
        await self._know_all(tracker, qd.fluvio)
        await self._publish(tracker, topics)
        if tracker.has_new:
            trades = qd.trades(tracker.market.symbol_id, first_sequence=tracker.next_sequence)
            async with contextlib.aclosing(trades) as stream:
                async for rows in stream:
                    alerts += tracker.accept(rows)
                    self._report(tracker)
                    await self._publish(tracker, topics)
                    if not tracker.live:
                        break
        await topics.publish_progress([model.progress() for model in tracker.live])
        for model in tracker.live:
            model.told = model.processed
        return alerts

    async def _know_all(self, tracker: MarketTracker, fluvio: Fluvio) -> None:
        """A model that begins at the first trade must know of all alerts that are published."""
        ledger = self._watch.ledger
        if ledger.is_whole or not any(model.is_fresh for model in tracker.live):
            return
        async with self._whole:
            if not ledger.is_whole:
                await read_before(fluvio, ledger)
                _log.info("%d alerts are on the topic in all", len(ledger))

    async def _publish(self, tracker: MarketTracker, topics: Topics) -> None:
        waiting = [(model, len(model.pending)) for model in tracker.models if model.pending]
        if waiting:
            await topics.publish([alert for model, _ in waiting for alert in model.pending])
            for model, count in waiting:
                model.published(count)
                self._metrics.published(count)

    def _report(self, tracker: MarketTracker) -> None:
        """Say which models ended here, and why; they stay ended until the service is restarted."""
        for failure in tracker.failures:
            self._metrics.failed("model")
            _log.error(
                "%s: %s; it watches this market no more until the service is started again",
                *(tracker.market.symbol, failure),
            )
        tracker.failures.clear()

    def _fail(self, tracker: MarketTracker, error: Exception, now: float) -> None:
        # What the gateway refused leaves the contexts good; anything else may not.
        rebuild = isinstance(error, AnalyticsError) or not isinstance(error, QdError)
        at = tracker.next_sequence
        delay = self._watch.failed(tracker, now, rebuild=rebuild)
        self._metrics.failed("market")
        _log.error(
            "%s ended at sequence %d: %s; trying again in %.1f s from %s",
            *(tracker.market.symbol, at, _told(error), delay),
            "the first trade" if rebuild else "there",
            exc_info=None if isinstance(error, QdError) else error,
        )

    # Where they are

    async def _keep_saved(self, topics: Topics) -> None:
        """Write checkpoints of what has changed, again and again."""
        while True:
            await asyncio.sleep(self._settings.checkpoint_seconds)
            await self._save(topics)

    async def _save(self, topics: Topics) -> None:
        unsaved = self._watch.unsaved()
        for at in range(0, len(unsaved), SAVED_AT_ONCE):
            # What was pending meanwhile is for the next time.
            part = [model for model in unsaved[at : at + SAVED_AT_ONCE] if not model.pending]
            sequences = [model.processed for model in part]
            records = [record for model in part if (record := self._checkpoint(model))]
            await topics.save(records, self._watch.checkpoints)
            for model, sequence in zip(part, sequences, strict=True):
                model.saved = sequence
            self._metrics.saved(len(records))

    def _checkpoint(self, model: ModelTracker) -> Written | None:
        watch, pair = self._watch, model.pair
        try:
            return written(
                Checkpoint(
                    pair,
                    model.market.symbol,
                    watch.checkpoints.revision(pair),
                    model.mark_now(watch.ledger.end_least),
                    model.state(),
                )
            )
        except Exception as error:  # a model is users' code
            self._metrics.failed("checkpoint")
            kind = "" if isinstance(error, StateUnusable) else f"{type(error).__name__}: "
            _log.error(
                "%s of %s cannot be saved, so that a restart begins where it was saved last: %s%s",
                *(model.chosen.model.name, model.market.symbol, kind, error),
            )
            return None


@contextlib.asynccontextmanager
async def _first_error_only() -> AsyncIterator[None]:
    """Raise a task group's first error instead of the group."""
    try:
        yield
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
