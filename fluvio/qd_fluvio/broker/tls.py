"""TLS at the broker's ports: the server's side of it, and the door before each connection.

A connection behind the door sees only clients that agreed on TLS. The door counts as a
connection while it waits, and says in the log why a client did not come through.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import cast

from qd_fluvio.broker.connection import Connection, peer_of
from qd_fluvio.broker.hub import Hub
from qd_fluvio.broker.settings import TLS_GOODBYE_S_MAX, TLS_HANDSHAKE_S_MAX, TlsFiles
from qd_schemas.pem import PemFile, load_own, load_trusted
from qd_schemas.renewed import renewed_server

_log = logging.getLogger("broker.tls")


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """What the broker shows clients, and which clients it trusts, by the files as they are then.

    Raises
    ------
    SettingError
        If a file cannot be read, or is not what it should be.
    """
    paths = (path for path in (files.cert, files.key, files.client_ca) if path is not None)
    return renewed_server(lambda: _context(files), paths)


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_own(context, PemFile("--tls-cert", files.cert), PemFile("--tls-key", files.key))
    if files.client_ca is not None:
        authorities = PemFile("--tls-client-ca", files.client_ca)
        load_trusted(context, authorities, "clients' certificates")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Door(asyncio.Protocol):
    """One client's TCP connection until TLS is agreed on; then its connection takes over."""

    def __init__(self, hub: Hub, context: ssl.SSLContext, make: Callable[[], Connection]) -> None:
        self.peer = "?"
        self._hub = hub
        self._context = context
        self._make = make
        self._early = bytearray()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None

    # What the hub asks: a door holds nothing that counts, and has its own time limit.

    requests = 0
    half_request = False
    awaits_client = True
    held_bytes = 0
    moved_bytes = 0

    def proceed(self) -> None:
        """Nothing waits here."""

    def abort(self) -> asyncio.Future[None]:
        """Drop the connection; gives what ends when the door is gone."""
        self._transport.abort()
        assert self._task is not None, "a door that was counted has its task"
        self._task.cancel()
        return self._task

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to agree on TLS."""
        self._transport = cast(asyncio.Transport, transport)
        self.peer = peer_of(transport)
        self._transport.pause_reading()  # TLS reads what comes
        if not self._hub.admit(self):
            _log.warning("refusing %s: too many connections", self.peer)
            self._transport.abort()
            return
        self._task = asyncio.get_running_loop().create_task(self._agree())

    def data_received(self, data: bytes) -> None:
        """Keep what comes between the agreement and the connection's start."""
        self._early += data

    async def _agree(self) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=TLS_HANDSHAKE_S_MAX,
                ssl_shutdown_timeout=TLS_GOODBYE_S_MAX,
            )
        except OSError as error:  # TLS's own errors are such, too
            _log.warning("closing %s: no TLS: %s", self.peer, _why(error))
            self._transport.abort()
            return
        finally:
            self._hub.leave(self)
        if secured is not None and not secured.is_closing():
            self._hand_over(secured)

    def _hand_over(self, secured: asyncio.Transport) -> None:
        connection = self._make()
        secured.set_protocol(connection)
        connection.connection_made(secured)
        while self._early and not secured.is_closing():
            space = connection.get_buffer(len(self._early))
            count = min(len(space), len(self._early))
            space[:count] = self._early[:count]
            del self._early[:count]
            connection.buffer_updated(count)


_WHY = {
    "HTTP_REQUEST": "the client speaks HTTP",
    "WRONG_VERSION_NUMBER": "the client speaks no TLS",
    "UNEXPECTED_MESSAGE": "the client speaks no TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client showed no certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the client does not trust this broker's certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the client does not trust this broker's certificate",
    "TLSV1_ALERT_DECRYPT_ERROR": "the client does not trust this broker's certificate",
}


def _why(error: OSError) -> str:
    """What to tell about a failed agreement, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return _WHY.get(error.reason, error.reason)
    return str(error) or type(error).__name__
