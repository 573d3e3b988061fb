"""The broker's two ports: opened, closed, and closed for a moment where a restart is played.

A port gives each client a connection, behind a door where TLS is spoken. What is said on
it is its sessions' business.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

from qd_fluvio.broker.connection import Connection, Session
from qd_fluvio.broker.hub import Hub
from qd_fluvio.broker.settings import RESTART_PAUSE_S, Faults
from qd_fluvio.broker.tls import Door
from qd_schemas.errors import SettingError

_BACKLOG = 1_024  # connections that the kernel keeps until they are accepted
_log = logging.getLogger("broker.ports")


class Port:
    """One listening port; once opened it keeps its number."""

    def __init__(
        self,
        hub: Hub,
        make_session: Callable[[Connection], Session],
        *,
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
        faults: Faults,
    ) -> None:
        self._hub = hub
        self._make_session = make_session
        self._host, self.number = address
        self._tls = tls
        self._faults = faults
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen.

        Raises
        ------
        SettingError
            If the port is taken, or the address is not this machine's.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._accept, self._host, self.number, backlog=_BACKLOG
            )
        except OSError as error:
            raise SettingError(
                f"cannot listen on {self._host}:{self.number}: {error.strerror}: "
                "free the port or choose another"
            ) from error
        self.number = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    def _accept(self) -> asyncio.BaseProtocol:
        if self._tls is None:
            return self._connection()
        return Door(self._hub, self._tls, self._connection)

    def _connection(self) -> Connection:
        return Connection(self._hub, self._make_session, faults=self._faults)


async def play_restarts(hub: Hub, ports: tuple[Port, ...], faults: Faults) -> None:
    """Close everything and open it again, each time it is due; for ever, unless never due.

    Raises
    ------
    SettingError
        If a port was taken meanwhile.
    """
    while faults.restart_after_bytes or faults.restart_after_s:
        if faults.restart_after_bytes:
            await hub.has_sent(faults.restart_after_bytes)
        else:
            await asyncio.sleep(faults.restart_after_s)
        _log.info("closing all connections and both ports for %g s, as told", RESTART_PAUSE_S)
        for port in ports:
            port.close()
        await hub.close()
        await asyncio.sleep(RESTART_PAUSE_S)
        for port in ports:
            await port.open()
