"""The broker as a whole: opens the data folder and both ports, and closes them.

The SC's and the SPU's ports belong to one process and one event loop, so that a topic is
usable on the second the moment the first has created it.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace

from qd_fluvio.broker.background import beside
from qd_fluvio.broker.catalog import Catalog
from qd_fluvio.broker.cleaning import keep_clean
from qd_fluvio.broker.cluster import Cluster
from qd_fluvio.broker.connection import Connection
from qd_fluvio.broker.consumers import ConsumerOffsets
from qd_fluvio.broker.files import FolderLock
from qd_fluvio.broker.hub import Hub
from qd_fluvio.broker.metrics import BrokerMetrics
from qd_fluvio.broker.modules import ModuleStore
from qd_fluvio.broker.ports import Port, play_restarts
from qd_fluvio.broker.sc import ScSession
from qd_fluvio.broker.settings import BrokerSettings
from qd_fluvio.broker.sharing import all_ended
from qd_fluvio.broker.smartmodules.filters import TopicFilters
from qd_fluvio.broker.smartmodules.runner import ModuleRunner
from qd_fluvio.broker.spu import SpuSession
from qd_fluvio.broker.stream import now_ms
from qd_fluvio.broker.tls import server_context
from qd_fluvio.broker.views import spu_view
from qd_fluvio.errors import LogError
from qd_fluvio.telemetry import telemetry

_log = logging.getLogger("broker")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where clients reach the broker: they are given the SC's address only."""

    sc: str
    spu: str
    metrics: str = ""
    """Where metrics and health are; empty: nowhere."""


@asynccontextmanager
async def broker(settings: BrokerSettings) -> AsyncIterator[Endpoints]:
    """Run a broker while the block runs.

    Raises
    ------
    LogError
        If the data folder cannot be used.
    SettingError
        If a port is taken, or a file for TLS cannot be used.
    CannotListen
        If the address for metrics and health is taken.
    """
    metrics = BrokerMetrics()
    told = telemetry(settings.metrics, "QD_BROKER_METRICS", metrics.registry, metrics.health)
    # First, so that it tells what a long start is about.
    async with told as metrics_at, _open(settings, metrics) as endpoints:
        yield replace(endpoints, metrics=metrics_at)


@asynccontextmanager
async def _open(settings: BrokerSettings, metrics: BrokerMetrics) -> AsyncIterator[Endpoints]:
    tls = None if settings.tls is None else server_context(settings.tls)
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(settings.data)
    except OSError as error:
        raise LogError(f"cannot use the data folder {settings.data}: {error}") from error
    try:
        modules = ModuleStore(settings.data / "smartmodules")
        catalog = Catalog(
            settings.data / "topics",
            durability=settings.durability,
            has_module=modules.has,
        )
        consumers = ConsumerOffsets(settings.data / "consumers.log")
        try:
            consumers.keep_topics({topic.name for topic in catalog.topics()})
            with closing(ModuleRunner(modules.payload)) as runner:
                async with _serving(
                    settings, metrics, tls, catalog, consumers, modules, runner
                ) as endpoints:
                    yield endpoints
        finally:
            consumers.close()
            await catalog.close()
    finally:
        lock.release()


@asynccontextmanager
async def _serving(
    settings: BrokerSettings,
    metrics: BrokerMetrics,
    tls: ssl.SSLContext | None,
    catalog: Catalog,
    consumers: ConsumerOffsets,
    modules: ModuleStore,
    runner: ModuleRunner,
) -> AsyncIterator[Endpoints]:
    hub = Hub(settings.limits)
    filters = TopicFilters(runner, now_ms)
    faults = settings.faults

    def spu_session(connection: Connection) -> SpuSession:
        return SpuSession(
            connection,
            catalog=catalog,
            consumers=consumers,
            runner=runner,
            filters=filters,
            durability=settings.durability,
            faults=faults,
        )

    def sc_session(connection: Connection) -> ScSession:
        return ScSession(connection, cluster)

    spu = Port(hub, spu_session, address=(settings.host, settings.spu_port), tls=tls, faults=faults)
    sc = Port(hub, sc_session, address=(settings.host, settings.sc_port), tls=tls, faults=faults)
    try:
        await spu.open()
        host = settings.advertise or settings.host
        view = spu_view(host, spu.number, tls=tls is not None)
        cluster = Cluster(catalog, consumers, modules, spu=view, faults=faults)
        await sc.open()
        async with beside(
            hub.run(), keep_clean(catalog, consumers), play_restarts(hub, (sc, spu), faults)
        ):
            metrics.serving(hub, catalog, settings.data)
            yield Endpoints(f"{host}:{sc.number}", f"{host}:{spu.number}")
    finally:
        metrics.stopped()
        sc.close()
        spu.close()
        await hub.close()
        await all_ended()  # with the files that are closed next
        filters.close()


def allow_files() -> None:
    """Raise this process's limit of open files to what the system allows.

    Every connection and every segment is one.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def serve(settings: BrokerSettings, started: Callable[[Endpoints], None]) -> None:
    """Run a broker until cancelled; `started` is told once clients can connect."""
    allow_files()
    async with broker(settings) as endpoints:
        _log.info("serving %s, SPU at %s", endpoints.sc, endpoints.spu)
        started(endpoints)
        await asyncio.Event().wait()
