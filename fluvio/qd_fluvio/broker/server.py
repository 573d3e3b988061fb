"""The broker as a whole: opens the data folder and both ports, and closes them.

The SC's and the SPU's ports belong to one process and one event loop, so that a topic is
usable on the second the moment the first has created it.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from qd_fluvio.broker.catalog import Catalog
from qd_fluvio.broker.cluster import Cluster
from qd_fluvio.broker.connection import Connection, Hub
from qd_fluvio.broker.consumers import ConsumerOffsets
from qd_fluvio.broker.files import FolderLock
from qd_fluvio.broker.modules import ModuleStore
from qd_fluvio.broker.sc import ScSession
from qd_fluvio.broker.settings import CONNECTIONS_MAX, BrokerSettings
from qd_fluvio.broker.spu import SpuSession
from qd_fluvio.broker.views import spu_view
from qd_fluvio.errors import LogError
from qd_schemas.errors import SettingError

_log = logging.getLogger("broker")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where clients reach the broker: they are given the SC's address only."""

    sc: str
    spu: str


@asynccontextmanager
async def broker(settings: BrokerSettings) -> AsyncIterator[Endpoints]:
    """Run a broker while the block runs.

    Raises
    ------
    LogError
        If the data folder cannot be used.
    SettingError
        If a port is taken.
    """
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(settings.data)
    except OSError as error:
        raise LogError(f"cannot use the data folder {settings.data}: {error}") from error
    try:
        catalog = Catalog(settings.data / "topics", durability=settings.durability)
        consumers = ConsumerOffsets(settings.data / "consumers.json")
        modules = ModuleStore(settings.data / "smartmodules")
        try:
            async with _ports(settings, catalog, consumers, modules) as endpoints:
                yield endpoints
        finally:
            await catalog.close()
    finally:
        lock.release()


@asynccontextmanager
async def _ports(
    settings: BrokerSettings, catalog: Catalog, consumers: ConsumerOffsets, modules: ModuleStore
) -> AsyncIterator[Endpoints]:
    hub = Hub(CONNECTIONS_MAX)

    def spu_session(connection: Connection) -> SpuSession:
        return SpuSession(
            connection,
            catalog=catalog,
            consumers=consumers,
            durability=settings.durability,
            faults=settings.faults,
        )

    def spu_connection() -> Connection:
        return Connection(hub, spu_session, drop_after_bytes=settings.faults.drop_after_bytes)

    spu = await _listen(spu_connection, settings.host, settings.spu_port)
    host = settings.advertise or settings.host
    spu_port = _port(spu)
    view = spu_view(host, spu_port, tls=False)
    cluster = Cluster(catalog, consumers, modules, spu=view, faults=settings.faults)
    sc = await _listen(
        lambda: Connection(hub, lambda connection: ScSession(connection, cluster)),
        settings.host,
        settings.sc_port,
    )
    try:
        yield Endpoints(f"{host}:{_port(sc)}", f"{host}:{spu_port}")
    finally:
        sc.close()
        spu.close()
        await hub.close()


async def _listen(make: Callable[[], Connection], host: str, port: int) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(make, host, port)
    except OSError as error:
        raise SettingError(
            f"cannot listen on {host}:{port}: {error.strerror}: free the port or choose another"
        ) from error


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


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
