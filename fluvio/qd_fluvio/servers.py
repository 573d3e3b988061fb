"""Connections to a cluster's servers for a few questions, one at a time.

Each connection greets, learns which versions the server speaks, and may be secured by TLS.
Everything that goes wrong with one becomes a typed error here. One to each server may be kept
for a moment: who asks, asks several things. It sets no deadlines: callers do. No records
pass through this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from qd_fluvio.errors import ClusterUnreachable, ConnectionLost, FluvioError, TlsFailed, WireError
from qd_fluvio.tls import ALERT, client_context, client_refused, server_name, tls_failure
from qd_fluvio.wire import admin
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.frames import LENGTH, Api, decode_response, encode_request
from qd_schemas.renewed import RenewedContext
from qd_schemas.specs import FluvioSettings

RESPONSE_BYTES_MAX = 64 * 1024 * 1024
CLIENT_ID = "qd"
# Servers refuse a greeting without a semver version: that of the official client of today.
PROTOCOL_VERSION = "0.15.2"
# For agreeing on TLS: a server that speaks none may wait for more, and say nothing.
HANDSHAKE_SECONDS = 4.0
KEEP_SECONDS = 1.0  # for the next question: the calls of one task follow each other at once
_GREETING_ENDED = (ConnectionResetError, ConnectionAbortedError, EOFError)
_CORRELATION_BYTES = 4
Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is; `spu` is its name, empty for the SC."""

    host_port: str
    spu: str = ""


class Servers:
    """Opens connections to the servers of one cluster.

    Parameters
    ----------
    cluster : FluvioSettings
        Its endpoint, and how it is secured.
    keeps : bool
        Whether a connection is kept for the next question; `close` ends it.
    """

    def __init__(self, cluster: FluvioSettings, *, keeps: bool = False) -> None:
        self._cluster = cluster
        self._context: RenewedContext | None = None
        self._keeps = keeps
        self._kept: dict[Address, tuple[Server, asyncio.TimerHandle]] = {}
        self.sc = Address(cluster.endpoint)

    def security(self, address: Address) -> tuple[ssl.SSLContext | None, str | None]:
        """What asyncio takes as `ssl` and `server_hostname`; `TlsFailed` for unusable files."""
        tls = self._cluster.tls
        if tls is None:
            return None, None
        if self._context is None:
            paths = filter(None, (tls.ca, tls.cert, tls.key))
            self._context = RenewedContext(lambda: client_context(tls), paths)
        return self._context.now(), server_name(tls, self._cluster.endpoint, address.spu)

    def reached(self, address: Address) -> tuple[str, int]:
        """Host and port to connect to; ValueError where the cluster tells nonsense."""
        host, _, port = self._cluster.reached(address.host_port).rpartition(":")
        return host.strip("[]"), int(port)

    @contextlib.asynccontextmanager
    async def server(self, address: Address) -> AsyncIterator[Server]:
        """A connection while the block runs; what fails in it is not asked again."""
        server = await self._take(address) or await self.open(address)
        try:
            with self.failures(address):
                yield server
        finally:
            self._give_back(address, server)

    async def _take(self, address: Address) -> Server | None:
        """The connection that is kept to a server, unless it has ended."""
        if address not in self._kept:
            return None
        for _ in range(2):  # one look at the sockets, and what was found there is told
            await asyncio.sleep(0)
        if address not in self._kept:  # somebody else was faster
            return None
        server, ending = self._kept.pop(address)
        ending.cancel()
        if server.is_usable:
            return server
        server.close()
        return None

    def _give_back(self, address: Address, server: Server) -> None:
        if not self._keeps or not server.is_usable or address in self._kept:
            server.close()
            return
        loop = asyncio.get_running_loop()
        self._kept[address] = server, loop.call_later(KEEP_SECONDS, self._let_go, address)

    def _let_go(self, address: Address) -> None:
        server, ending = self._kept.pop(address)
        ending.cancel()
        server.close()

    def close(self) -> None:
        """End the connections that are kept, and keep no more."""
        self._keeps = False
        for address in list(self._kept):
            self._let_go(address)

    async def open(self, address: Address) -> Server:
        """A connection that greeted; the caller closes it."""
        context, name = self.security(address)
        if name is None:
            return await self._greeted(address, context, name)
        try:
            return await self._greeted(address, context, name)
        except (ClusterUnreachable, ConnectionLost) as error:
            if not isinstance(error.__cause__, ConnectionResetError | EOFError):
                raise
        try:
            return await self._greeted(address, context, name)
        except (ClusterUnreachable, ConnectionLost) as error:
            # Once it may have died; who does so twice after TLS was agreed does not like us.
            cause = error.__cause__
            if isinstance(cause, ConnectionResetError | EOFError):
                raise client_refused(address.host_port) from None
            raise

    async def _greeted(
        self, address: Address, context: ssl.SSLContext | None, name: str | None
    ) -> Server:
        try:
            reader, writer = await asyncio.open_connection(
                *self.reached(address),
                ssl=context,
                server_hostname=name,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
            )
        except (OSError, ValueError, EOFError) as error:
            raise self._refused(error, address, name) from None
        server = Server(reader, writer)
        try:
            with self.failures(address):
                await server.greet()
        except BaseException:
            server.close()
            raise
        return server

    def _refused(self, error: Exception, address: Address, name: str | None) -> FluvioError:
        # Refused and unreachable are told by other numbers than what ends a TLS greeting.
        if name is not None and isinstance(error, (ssl.SSLError, *_GREETING_ENDED)):
            return tls_failure(error, address.host_port, name)
        return self._lost(address)(
            f"nobody answers at {address.host_port} ({error}); is the cluster up?"
        )

    @contextlib.contextmanager
    def failures(self, address: Address) -> Iterator[None]:
        """Give a type to what goes wrong on a connection to this server."""
        where = address.host_port
        try:
            yield
        except ssl.SSLError as error:
            raise tls_failure(error, where, self.security(address)[1] or where) from None
        except (OSError, EOFError) as error:
            raise self._lost(address)(
                f"{where} closed the connection ({error!r}); try again"
                + ("" if self._cluster.tls else ", or with QD_FLUVIO_TLS_CA if it expects TLS")
            ) from error
        except _SpeaksTls:
            raise TlsFailed(
                f"{where} expects TLS; set QD_FLUVIO_TLS_CA to the certificates that sign its own"
            ) from None
        except WireError as error:
            raise self._lost(address)(f"{where} does not answer as Fluvio does: {error}") from None

    def _lost(self, address: Address) -> type[FluvioError]:
        return ConnectionLost if address.spu else ClusterUnreachable


class _SpeaksTls(Exception):
    """The server answered with an alert of TLS."""


class Server:
    """One connection, one question at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._versions: dict[int, int] = {}
        self._asked = 0
        self._answered = 0
        self.platform_version = ""

    @property
    def is_usable(self) -> bool:
        """Whether another question may be asked: the last one was answered, and it is open."""
        has_ended = self._writer.is_closing() or self._reader.at_eof() or self._reader.exception()
        return self._asked == self._answered and not has_ended

    async def greet(self) -> None:
        """Learn which versions the server speaks."""
        answer = await self.ask(
            admin.API_VERSIONS, admin.ApiVersionsRequest(client_version=PROTOCOL_VERSION)
        )
        self._versions = {api.api_key: api.version_max for api in answer.apis}
        self.platform_version = answer.platform_version

    async def ask(self, api: Api[Q, R], request: Q) -> R:
        """Send a request and read its response; what streams bring meanwhile is dropped."""
        self._asked += 1
        self._writer.write(self.encode(api, request))
        while True:
            payload = await self._frame()
            if int.from_bytes(payload[:_CORRELATION_BYTES]) == self._asked:
                answer = decode_response(payload, api, self._version(api))[1]
                self._answered = self._asked
                return answer

    async def _frame(self) -> bytes:
        head = await self._reader.readexactly(LENGTH.size)
        (length,) = LENGTH.unpack(head)
        if not _CORRELATION_BYTES <= length <= RESPONSE_BYTES_MAX:
            if head.startswith(ALERT):
                raise _SpeaksTls
            raise WireError(f"a response of {length} bytes; at most {RESPONSE_BYTES_MAX} expected")
        return await self._reader.readexactly(length)

    def encode(self, api: Api[Q, Any], request: Q) -> bytes:
        """A request's bytes, in the newest version both sides speak."""
        return encode_request(
            api,
            request,
            version=self._version(api),
            correlation_id=self._asked,
            client_id=CLIENT_ID,
        )

    def _version(self, api: Api[Any, Any]) -> int:
        return min(api.version_max, self._versions.get(api.key, api.version_max))

    async def list(self, kind: str, *names: str, system: bool = False) -> tuple[Any, ...]:
        """All objects of one kind, or those of these names; the users' or the system's own."""
        wanted = Labelled(kind, admin.ListObjects(names, system=system))
        answer = await self.ask(admin.LIST, admin.ListRequest(wanted))
        objects: tuple[Any, ...] = answer.object.body.objects
        return objects

    def close(self) -> None:
        """Close at once; nothing is under way that would be lost."""
        self._writer.transport.abort()
