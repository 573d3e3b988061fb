"""Listens, serves the symbol master, its health and reflection, and stops when cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from grpclib.health.check import ServiceCheck
from grpclib.health.service import OVERALL, Health
from grpclib.server import Server

from qd_fluvio.service import ready
from qd_fluvio.telemetry import telemetry
from qd_schemas.specs import SymdbServiceSettings, SymdbSettings
from qd_store.credentials import dsn_of
from qd_symdb.following import Follower
from qd_symdb.guard import Guard
from qd_symdb.limits import (
    CHECK_SECONDS_MAX,
    CLOSE_SECONDS_MAX,
    DRAIN_SECONDS_MAX,
    HEALTH_SECONDS,
)
from qd_symdb.listening import BoundedServer, listening_socket, server_context
from qd_symdb.master import SymbolMaster
from qd_symdb.metrics import Metrics
from qd_symdb.reflection import with_reflection
from qd_symdb.watching import Watchers

_log = logging.getLogger("qd_symdb")


async def serve(settings: SymdbServiceSettings) -> None:
    """Serve until cancelled.

    Parameters
    ----------
    settings : SymdbServiceSettings
        Where to listen; port 0 takes a free one, which the ready file tells. The database
        need not be up.

    Raises
    ------
    CannotListen
        An address is taken, or is not this machine's.
    SettingError
        A file that a setting names cannot be used.
    """
    # It tells of each call that was cancelled or late, which the metrics count.
    logging.getLogger("grpclib").setLevel(logging.WARNING)
    metrics, watchers = Metrics(), Watchers()
    follower = Follower(dsn_of(settings.database), watchers, metrics)
    services = _services(SymbolMaster(follower, watchers))
    server = BoundedServer(services, settings.connections_max, metrics)
    guard = Guard(services, settings.calls_max, settings.watches_max, metrics)
    guard.install(server)
    told = telemetry(settings.metrics, "QD_SYMDB_METRICS", metrics.registry, metrics.health)
    async with (
        told as metrics_at,
        _running(follower) as following,
        _listening(server, settings) as endpoint,
    ):
        _log.info("listening on %s", endpoint)
        ready(endpoint=endpoint, **({"metrics": metrics_at} if metrics_at else {}))
        try:
            await asyncio.wait([following])
            following.result()  # it ends by a defect only
        finally:
            watchers.end("the service stops")
            await guard.drain(DRAIN_SECONDS_MAX)
            server.close_connections()


@contextlib.asynccontextmanager
async def _running(follower: Follower) -> AsyncIterator[asyncio.Task[None]]:
    """Follow the database while the block runs; gives the task."""
    following = asyncio.ensure_future(follower.run())
    try:
        yield following
    finally:
        following.cancel()
        await asyncio.wait([following])


def _services(master: SymbolMaster) -> list[Any]:
    check = ServiceCheck(
        master.can_answer, check_ttl=HEALTH_SECONDS, check_timeout=CHECK_SECONDS_MAX * 2
    )
    return with_reflection([master, Health({master: [check], OVERALL: [check]})])


@contextlib.asynccontextmanager
async def _listening(server: Server, settings: SymdbServiceSettings) -> AsyncIterator[str]:
    """Serve while the block runs; gives ``host:port``."""
    tls = server_context(settings.tls) if settings.tls else None
    listening = await listening_socket(settings.listen)
    await server.start(sock=listening, ssl=tls)
    try:
        address = listening.getsockname()
        yield SymdbSettings(address[0], address[1]).endpoint
    finally:
        server.close()
        # A peer that does not let go holds nothing up.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await server.wait_closed()
