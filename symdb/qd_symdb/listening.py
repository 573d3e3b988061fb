"""The server's sockets and connections: where it listens, with TLS or without, how many.

Over the limit, the connection that is idle for longest makes room; where each has an open call,
the new one is closed at once. One without calls for long is closed as well.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from grpclib.config import Configuration
from grpclib.protocol import H2Protocol
from grpclib.server import Handler, Server

from qd_schemas.pem import PemFile, load_own, load_trusted
from qd_schemas.renewed import renewed_server
from qd_schemas.specs import ServerTlsSettings, SymdbSettings
from qd_symdb.codec import CheckedCodec
from qd_symdb.errors import CannotListen
from qd_symdb.limits import IDLE_SECONDS_MAX, WINDOW_BYTES
from qd_symdb.metrics import Metrics

_CONFIGURATION = Configuration(
    http2_connection_window_size=WINDOW_BYTES, http2_stream_window_size=WINDOW_BYTES
)
_log = logging.getLogger("qd_symdb")


class BoundedServer(Server):
    """A gRPC server with a limit of connections.

    Parameters
    ----------
    services : collection
        What it serves.
    connections_max : int
        Connections at once.
    metrics : Metrics
        Where they are counted.
    """

    def __init__(self, services: Collection[Any], connections_max: int, metrics: Metrics) -> None:
        super().__init__(services, codec=CheckedCodec(), config=_CONFIGURATION)
        self._connections_max = connections_max
        self._metrics = metrics
        self._connections: dict[_Connection, None] = {}  # in the order in which they were used
        self._full = False
        metrics.show("connections", "Clients connected.", lambda: len(self._connections))

    def close_connections(self) -> None:
        """Close all connections, and every one that is made from now on."""
        self._connections_max = 0
        for connection in list(self._connections):
            connection.processor.close("the service stops")

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        # The library forgets the handlers that were closed; one that is never begun, as TLS
        # fails or it is one too many, would stay for ever.
        assert isinstance(made.handler, Handler)
        self._handlers.discard(made.handler)
        return _Connection(made, self._connections, partial(self._admit, made.handler))

    def _admit(self, handler: Handler) -> bool:
        """Take one more if there is room; asked when it is there, TLS included."""
        if not self._has_room():
            return False
        self._handlers.add(handler)
        return True

    def _has_room(self) -> bool:
        if len(self._connections) < self._connections_max:
            self._full = False
            return True
        self._metrics.refused()
        if not self._full:
            _log.warning("too many connections: %d are open", len(self._connections))
        self._full = True
        idle = next((one for one in self._connections if not one.processor.streams), None)
        if idle is None or not self._connections_max:
            return False
        del self._connections[idle]
        idle.processor.close("others need its place")
        return True


class _Connection(H2Protocol):
    """A client's connection, counted while it is open."""

    def __init__(
        self, made: H2Protocol, connections: dict[_Connection, None], admit: Callable[[], bool]
    ) -> None:
        super().__init__(made.handler, made.config, made.h2_config)
        self._connections = connections
        self._admit = admit
        self._idle: asyncio.TimerHandle | None = None
        self._seen = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, or close it where it is too many."""
        if not self._admit():
            assert isinstance(transport, asyncio.Transport)
            transport.set_protocol(asyncio.Protocol())
            transport.close()
            return
        self._connections[self] = None
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Note that it is used."""
        if self in self._connections:
            del self._connections[self]
            self._connections[self] = None
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it no more."""
        self._connections.pop(self, None)
        if self._idle is not None:
            self._idle.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Close it if there was no call since the last look and none is open."""
        started = self.connection.streams_started
        if started == self._seen and not self.processor.streams:
            self.processor.close("no calls for long")
            return
        self._seen = started
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(IDLE_SECONDS_MAX, self._look)


def server_context(settings: ServerTlsSettings) -> ssl.SSLContext:
    """What the service shows clients, and which it trusts, by the files as they are then.

    Raises
    ------
    SettingError
        A file cannot be read, or is not what its setting says.
    """
    paths = filter(None, (settings.cert, settings.key, settings.client_ca))
    return renewed_server(lambda: _context(settings), paths)


def _context(settings: ServerTlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    cert = PemFile("QD_SYMDB_TLS_CERT", settings.cert)
    load_own(context, cert, PemFile("QD_SYMDB_TLS_KEY", settings.key))
    if settings.client_ca:
        authorities = PemFile("QD_SYMDB_TLS_CLIENT_CA", settings.client_ca)
        load_trusted(context, authorities, "clients' certificates")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def listening_socket(where: SymdbSettings) -> socket.socket:
    """Bind a socket.

    Raises
    ------
    CannotListen
        The address is taken, or not this machine's.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            where.host,
            where.port,
            type=socket.SOCK_STREAM,
            proto=socket.IPPROTO_TCP,
            flags=socket.AI_PASSIVE,
        )
        family, kind, protocol, _, address = found[0]
        # asyncio sends small messages at once only where it is told that this is TCP.
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {where.endpoint} ({error.strerror}); "
            "expected a free port of this machine in QD_SYMDB, or port 0"
        ) from error
