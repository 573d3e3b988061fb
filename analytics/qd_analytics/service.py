"""The alert service: a client of the gateway that watches markets and publishes alerts.

A thin shell: `watch`, `tracker` and `ledger` decide, this module connects them to the
gateway, symdb and the alert topic, and begins again when one of these is lost.

A session is one connection to all of them. It logs in before it reads the topic back: the
gateway lets one client use an id at a time, so no other process can still be publishing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from qd_analytics.alerts import AlertTopic, read_back
from qd_analytics.backoff import SECONDS_MAX, Backoff
from qd_analytics.errors import AnalyticsError
from qd_analytics.tracker import MarketTracker
from qd_analytics.watch import MarketInfo, Watch
from qd_client import QDClient
from qd_client.errors import GatewayLost, GatewayUnavailable, NotLoggedIn
from qd_client.symdb import SymdbClient
from qd_fluvio import Fluvio, FluvioError
from qd_schemas.errors import QdError
from qd_schemas.specs import AnalyticsSettings

# What ends the session; any other error ends one market's run.
_SESSION_ERRORS: Final = (FluvioError, GatewayLost, GatewayUnavailable, NotLoggedIn)

_log = logging.getLogger("qd_analytics")


class AlertService:
    """Watches markets until it is cancelled.

    Parameters
    ----------
    settings : AnalyticsSettings
        Where everything is and what to watch.
    on_ready : callable
        Called once, when the first session works.
    chance : random.Random
        Spreads the retries.
    """

    def __init__(
        self, settings: AnalyticsSettings, on_ready: Callable[[], None], chance: random.Random
    ) -> None:
        self._settings = settings
        self._on_ready: Callable[[], None] | None = on_ready
        self._watch = Watch(settings, chance)
        self._backoff = Backoff(chance)
        self._progress = asyncio.Event()
        self._symdb_answers = True

    async def run(self) -> None:
        """Keep a session; when one is lost, log it, wait and open the next."""
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
                _log.warning("%s; trying again in %.1f s", _told(error), delay)
                await asyncio.sleep(delay)

    async def _session(self) -> None:
        settings = self._settings
        async with (
            SymdbClient(settings.symdb.host, settings.symdb.port, tls=settings.symdb_tls) as symdb,
            QDClient(
                settings.client_id,
                endpoint=settings.fluvio,
                exchange=settings.exchange,
            ) as qd,
        ):
            topic = await AlertTopic.open(qd.fluvio)
            await self._learn_published(qd.fluvio)
            if self._on_ready is not None:
                self._on_ready()
                self._on_ready = None
            await self._follow(symdb, qd, topic)

    async def _learn_published(self, fluvio: Fluvio) -> None:
        if not await read_back(fluvio, self._watch.ledger):
            _log.warning("the alert topic was made anew; publishing its alerts again")
            self._watch.forget()
            await read_back(fluvio, self._watch.ledger)
        self._watch.begin()
        _log.info("%d alerts are on the topic", len(self._watch.ledger))

    async def _follow(self, symdb: SymdbClient, qd: QDClient, topic: AlertTopic) -> None:
        """Run every market that has new trades, a few at a time, for ever."""
        clock = asyncio.get_running_loop()
        markets: Sequence[MarketInfo] = ()
        next_poll = clock.time()
        async with _first_error_only(), asyncio.TaskGroup() as group:
            while True:
                self._progress.clear()
                if clock.time() >= next_poll:
                    markets = await self._listed(symdb, markets)
                    next_poll = clock.time() + self._settings.poll_seconds
                for tracker in self._watch.due(markets, clock.time()):
                    group.create_task(self._run_market(tracker, qd, topic))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(next_poll):
                        await self._progress.wait()

    async def _listed(
        self, symdb: SymdbClient, before: Sequence[MarketInfo]
    ) -> Sequence[MarketInfo]:
        """All markets; those of the last time where symdb cannot be asked."""
        try:
            markets = await symdb.list_symbols(self._settings.exchange)
        except QdError as error:
            if self._symdb_answers:
                _log.warning("%s; asking again every poll", _told(error))
            self._symdb_answers = False
            return before
        if not self._symdb_answers:
            _log.info("symdb answers again")
        self._symdb_answers = True
        return markets

    async def _run_market(self, tracker: MarketTracker, qd: QDClient, topic: AlertTopic) -> None:
        """Stream a market from where it is to its end; only its own errors stay here."""
        clock = asyncio.get_running_loop()
        began, first = clock.time(), tracker.processed
        try:
            alerts = await _stream(tracker, qd, topic)
        except _SESSION_ERRORS:
            raise
        except Exception as error:  # a model is users' code; it must not harm other markets
            self._fail(tracker, error, clock.time())
        else:
            self._watch.finished(tracker)
            trades, seconds = tracker.processed - first, max(clock.time() - began, 1e-9)
            _log.info(
                "%s caught up: %d trades, %d alerts, %.0f trades/s",
                *(tracker.symbol, trades, alerts, trades / seconds),
            )
        # Only where the session goes on: a lost one starts no further run.
        self._progress.set()

    def _fail(self, tracker: MarketTracker, error: Exception, now: float) -> None:
        # What the gateway refused leaves the context good; anything else may not.
        rebuild = isinstance(error, AnalyticsError) or not isinstance(error, QdError)
        at = tracker.next_sequence
        delay = self._watch.failed(tracker, now, rebuild=rebuild)
        _log.error(
            "%s ended at sequence %d: %s; trying again in %.1f s from %s",
            *(tracker.symbol, at, _told(error), delay, "the first trade" if rebuild else "there"),
            exc_info=None if isinstance(error, QdError) else error,
        )


async def _stream(tracker: MarketTracker, qd: QDClient, topic: AlertTopic) -> int:
    """Evaluate a market's trades to their end; gives how many alerts they raise."""
    alerts = 0
    await _publish(tracker, topic)
    if tracker.processed < tracker.listed:
        trades = qd.trades(tracker.symbol_id, first_sequence=tracker.next_sequence)
        async with contextlib.aclosing(trades) as stream:
            async for rows in stream:
                alerts += tracker.accept(rows)
                await _publish(tracker, topic)
    await topic.publish_progress(tracker.progress())
    return alerts


async def _publish(tracker: MarketTracker, topic: AlertTopic) -> None:
    if count := len(tracker.pending):
        await topic.publish(tracker.pending)
        tracker.published(count)


@contextlib.asynccontextmanager
async def _first_error_only() -> AsyncIterator[None]:
    """Raise a task group's first error instead of the group."""
    try:
        yield
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
