"""One TCP connection to an SPU, shared by all that is asked of it.

Requests go out at once, as many as there are; answers come in any order and find their way by
correlation id. Who asked is told either the answer or, once, that the connection is lost.
Anything that is not the protocol ends the connection. It bounds what one answer may take, not
how many are awaited: that is the users' part.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar, cast

from qd_fluvio.errors import ConnectionLost, FluvioError, WireError
from qd_fluvio.servers import CLIENT_ID, PROTOCOL_VERSION, Address, Servers
from qd_fluvio.tls import tls_failure
from qd_fluvio.wire import admin
from qd_fluvio.wire.frames import Api, FrameBuffer, decode_response, encode_request

Q = TypeVar("Q")
R = TypeVar("R")
CORRELATION_MAX = 0x7FFF_FFFF
KEEPALIVE_S = 30
# Parts of at most so many bytes are sent as one packet, larger ones without being joined.
_JOINED_BYTES_MAX = 64 * 1024
# How much of a large answer must have come before this process is woken to take it.
_RECEIVE_LOW_BYTES_MAX = 128 * 1024
_CORRELATION_BYTES = 4
_GREETING_ENDED = (ssl.SSLError, ConnectionResetError, ConnectionAbortedError, EOFError)


class Asker(Protocol):
    """Who waits for an answer."""

    def answered(self, payload: bytearray) -> None:
        """The answer, correlation id included; `WireError` ends the connection."""

    def lost(self, error: FluvioError) -> None:
        """There will be no (more) answer."""


class Link(asyncio.BufferedProtocol):
    """One connection; made by `open_link`.

    Parameters
    ----------
    address : Address
        The SPU, for messages.
    name : str or None
        What its certificate is for, where it is secured.
    frame_bytes_max : int
        The longest answer that is taken.
    """

    def __init__(self, address: Address, name: str | None, frame_bytes_max: int) -> None:
        self.address = address
        self.users = 0
        self.abandoned_streams = 0
        self.suspect = False  # it did not answer in time: nothing new should be asked here
        self._name = name
        self._frames = FrameBuffer(frame_bytes_max)
        self._askers: dict[int, Asker] = {}
        self._streams: set[int] = set()  # ids that are answered again and again
        self._last_id = 0
        self._versions: dict[int, int] = {}
        self._error: FluvioError | None = None
        self._transport: asyncio.Transport
        self._socket: socket.socket
        self._receive_low = 1
        self._low_settable = True

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tune the connection for small requests and large answers."""
        self._transport = cast(asyncio.Transport, transport)
        self._socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Of what TLS wraps, the kernel counts other bytes than those that are missing here.
        self._low_settable = transport.get_extra_info("ssl_object") is None
        # A server whose machine is gone says nothing: ask.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where received bytes go."""
        return self._frames.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Give the answers that are now whole to who asked."""
        try:
            for payload in self._frames.received(nbytes):
                self._dispatch(payload)
        except WireError as error:
            self.fail(f"{self.address.host_port} does not answer as Fluvio does: {error}")
            return
        self._expect_more(self._frames.missing)

    def eof_received(self) -> bool:
        """The server sends no more."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody."""
        where = self.address.host_port
        if isinstance(error, ssl.SSLError):
            self._lose(tls_failure(error, where, self._name or where))
        else:
            why = f" ({error!r})" if error else ""
            self._lose(ConnectionLost(f"{where} closed the connection{why}; try again"))

    # What users call.

    @property
    def error(self) -> FluvioError | None:
        """Why it is of no more use; None while it is."""
        return self._error

    def version(self, api: Api[Any, Any]) -> int:
        """The newest version of a call that both sides speak."""
        return min(api.version_max, self._versions.get(api.key, api.version_max))

    def new_id(self) -> int:
        """A correlation id that nobody waits for."""
        while True:
            self._last_id = self._last_id % CORRELATION_MAX + 1
            if self._last_id not in self._askers:
                return self._last_id

    def send(self, number: int, asker: Asker, parts: Iterable[bytes], *, stream: bool) -> None:
        """Send a request's frame in its parts; its answer, or answers, go to `asker`."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        self._askers[number] = asker
        if stream:
            self._streams.add(number)
        parts = tuple(parts)
        if len(parts) > 1 and sum(map(len, parts)) <= _JOINED_BYTES_MAX:
            parts = (b"".join(parts),)
        for part in parts:
            # One that has just failed tells so soon, and warns of each write until then.
            if not self._transport.is_closing():
                self._transport.write(part)

    def request(self, api: Api[Q, Any], body: Q, asker: Asker, *, stream: bool = False) -> int:
        """Send a request; gives its correlation id."""
        number = self.new_id()
        frame = encode_request(
            api, body, version=self.version(api), correlation_id=number, client_id=CLIENT_ID
        )
        self.send(number, asker, (frame,), stream=stream)
        return number

    async def ask(self, api: Api[Q, R], body: Q) -> R:
        """Send a request and wait for its answer; without a deadline."""
        question = _Question()
        number = self.request(api, body, question)
        try:
            payload = await question.answer
        finally:
            self.forget(number)
        try:
            return decode_response(payload, api, self.version(api))[1]
        except WireError as error:
            self.fail(f"{self.address.host_port} does not answer as Fluvio does: {error}")
            raise cast(FluvioError, self._error).with_traceback(None) from None

    def forget(self, number: int) -> None:
        """Whatever still comes for this id is dropped."""
        if number in self._askers:
            self._askers[number] = _NOBODY
            self.abandoned_streams += number in self._streams

    def fail(self, why: str) -> None:
        """End the connection: the server is not what it should be."""
        self._lose(ConnectionLost(why))
        self._transport.abort()

    def close(self) -> None:
        """End the connection."""
        self._lose(ConnectionLost(f"the connection to {self.address.host_port} was closed"))
        self._transport.abort()

    async def greet(self) -> None:
        """Learn which versions the server speaks."""
        request = admin.ApiVersionsRequest(client_version=PROTOCOL_VERSION)
        answer = await self.ask(admin.API_VERSIONS, request)
        self._versions = {api.api_key: api.version_max for api in answer.apis}

    def _dispatch(self, payload: bytearray) -> None:
        number = int.from_bytes(payload[:_CORRELATION_BYTES])
        asker = self._askers.get(number)
        if asker is None:
            raise WireError(f"found an answer to request {number}, which nobody asked")
        # It waits until the answer is read: it must hear if that ends the connection.
        asker.answered(payload)
        if number not in self._streams:
            self._askers.pop(number, None)

    def _lose(self, error: FluvioError) -> None:
        if self._error is not None:
            return
        self._error = error
        askers, self._askers = self._askers, {}
        for asker in askers.values():
            asker.lost(error)

    def _expect_more(self, missing: int) -> None:
        """Let the kernel wake this process for much of a large answer, and speed up its rest.

        A real SPU sends an answer's head and its records apart, and the records only when the
        head was acknowledged, which the kernel would put off for 40 ms.
        """
        if self._error is not None:
            return
        low = max(1, min(missing, _RECEIVE_LOW_BYTES_MAX))
        if low != self._receive_low and self._low_settable:
            self._receive_low = low
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _Question:
    """One who waits for one answer."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytearray] = asyncio.get_running_loop().create_future()

    def answered(self, payload: bytearray) -> None:
        """Wake who waits."""
        if not self.answer.done():
            self.answer.set_result(payload)

    def lost(self, error: FluvioError) -> None:
        """Wake who waits."""
        if not self.answer.done():
            self.answer.set_exception(error.with_traceback(None))


class _Nobody:
    """Takes answers that nobody wants any more."""

    def answered(self, payload: bytearray) -> None:
        """Drop it."""

    def lost(self, error: FluvioError) -> None:
        """Nobody cares."""


_NOBODY = _Nobody()


async def open_link(servers: Servers, address: Address, frame_bytes_max: int) -> Link:
    """Connect and greet; the caller closes the link, and sets a deadline.

    Raises
    ------
    ConnectionLost
        Nobody answers as an SPU.
    TlsFailed
        No secure connection can be made.
    """
    context, name = servers.security(address)
    try:
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: Link(address, name, frame_bytes_max),
            *servers.reached(address),
            ssl=context,
            server_hostname=name,
        )
    except (OSError, ValueError, EOFError) as error:
        # Refused and unreachable are told by other numbers than what ends a TLS greeting.
        if name is not None and isinstance(error, _GREETING_ENDED):
            raise tls_failure(error, address.host_port, name) from None
        raise ConnectionLost(
            f"nobody answers at {address.host_port} ({error}); is its SPU up?"
        ) from None
    with contextlib.ExitStack() as undo:
        undo.callback(link.close)
        await link.greet()
        undo.pop_all()
    return link
