"""One client's TCP connection: frames in, bounded bytes out.

A connection answers its requests one after another through its session. It reads no
further while too much is unanswered, and its senders wait while too much is unsent, so a
slow client costs little and delays nobody else. Anything that is not the protocol closes
that connection, with a line in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from qd_fluvio.broker.settings import (
    INBOX_BYTES_MAX,
    KEEPALIVE_S,
    OUTBOX_BYTES_MAX,
    RECEIVE_LOW_BYTES_MAX,
    REQUEST_BYTES_MAX,
    SEND_CHUNK_BYTES,
)
from qd_fluvio.errors import FluvioError, WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.frames import FrameBuffer

_log = logging.getLogger("broker.connection")


class Session(Protocol):
    """What a server does for one client."""

    async def handle(self, payload: bytearray) -> None:
        """Answer one request."""

    def close(self) -> None:
        """The connection is gone."""


class Hub:
    """The open connections of a broker."""

    def __init__(self, connections_max: int) -> None:
        self._connections_max = connections_max
        self._open: set[Connection] = set()

    def admit(self, connection: Connection) -> bool:
        """Count a new connection, unless there are too many."""
        if len(self._open) >= self._connections_max:
            return False
        self._open.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open.discard(connection)

    async def close(self) -> None:
        """Close all connections and wait for their sessions."""
        tasks = [connection.abort() for connection in list(self._open)]
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


class Connection(asyncio.BufferedProtocol):
    """One client's TCP connection."""

    def __init__(
        self, hub: Hub, make_session: Callable[[Connection], Session], *, drop_after_bytes: int = 0
    ) -> None:
        self.peer = "?"
        self._hub = hub
        self._make_session = make_session
        self._drop_after_bytes = drop_after_bytes
        self._sent_bytes = 0
        self._frames = FrameBuffer(REQUEST_BYTES_MAX)
        self._receive_low = 1
        self._inbox: deque[bytearray] = deque()
        self._inbox_bytes = 0
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._sending = asyncio.Lock()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self._transport = cast(asyncio.Transport, transport)
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = f"{host}:{port}"
        if not self._hub.admit(self):
            _log.warning("refusing %s: too many connections", self.peer)
            self._transport.abort()
            return
        self._socket = transport.get_extra_info("socket")
        # Small answers must not wait for the acknowledgement of earlier ones.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A client whose machine is gone says nothing: ask.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
        self._transport.set_write_buffer_limits(high=OUTBOX_BYTES_MAX)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where received bytes go."""
        return self._frames.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Queue the frames that are now whole."""
        try:
            frames = self._frames.received(nbytes)
        except WireError as error:
            self._refuse(str(error))
            return
        for frame in frames:
            self._inbox.append(frame)
            self._inbox_bytes += len(frame)
        if frames:
            self._arrived.set()
        if self._inbox_bytes > INBOX_BYTES_MAX:
            self._transport.pause_reading()
        self._wait_for_more(self._frames.missing)

    def pause_writing(self) -> None:
        """Too much is unsent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Most is sent."""
        self._writable.set()

    def eof_received(self) -> bool:
        """The client sends no more, so it wants no more."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """End the session."""
        self._hub.leave(self)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    # What sessions call.

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport.is_closing()

    def push(self, frame: bytes) -> None:
        """Send a whole frame now, on a connection whose frames are all sent this way."""
        self._transport.write(frame)

    async def send(self, head: bytes, records: Buffer = b"") -> None:
        """Send one frame, after those before it; waits while the client is slow."""
        async with self._sending:
            await self._send_part(head)
            for start in range(0, len(records), SEND_CHUNK_BYTES):
                await self._send_part(memoryview(records)[start : start + SEND_CHUNK_BYTES])

    def abort(self) -> asyncio.Future[None]:
        """Drop the connection; gives what ends when its session has ended."""
        self._transport.abort()
        if self._task is None:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done
        self._task.cancel()
        return self._task

    async def drained(self) -> None:
        """Return once the client has taken most of what was sent."""
        await self._writable.wait()

    async def _send_part(self, part: Buffer) -> None:
        await self._writable.wait()
        self._sent_bytes += len(part)
        if self._drop_after_bytes and self._sent_bytes > self._drop_after_bytes:
            _log.info("dropping %s after %d bytes, as told", self.peer, self._sent_bytes)
            self._transport.abort()
        if not self._transport.is_closing():
            self._transport.write(part)

    def _wait_for_more(self, missing: int) -> None:
        """Let the kernel wake this process for much of a large frame at once, not for crumbs."""
        low = max(1, min(missing, RECEIVE_LOW_BYTES_MAX))
        if low != self._receive_low:
            self._receive_low = low
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low)

    def _refuse(self, reason: str) -> None:
        _log.warning("closing %s: %s", self.peer, reason)
        self._transport.close()

    async def _serve(self) -> None:
        session = self._make_session(self)
        try:
            while True:
                await session.handle(await self._next())
        except FluvioError as error:
            self._refuse(str(error))
        except Exception:
            _log.exception("closing %s by a defect", self.peer)
            self._transport.abort()
        finally:
            session.close()

    async def _next(self) -> bytearray:
        while not self._inbox:
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._inbox.popleft()
        self._inbox_bytes -= len(frame)
        if self._inbox_bytes <= INBOX_BYTES_MAX and not self._transport.is_closing():
            self._transport.resume_reading()
        return frame
