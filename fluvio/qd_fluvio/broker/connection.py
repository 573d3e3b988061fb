"""One client's TCP connection: frames in, bounded bytes out.

A connection answers its requests one after another through its session. It reads no
further while too much is unanswered or memory is short, and its senders wait while too
much is unsent, so a slow client costs little and delays nobody else. Anything that is not
the protocol closes that connection, with a line in the log.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, cast

from qd_fluvio.broker.hub import Hub
from qd_fluvio.broker.settings import (
    ACCOUNTED_BYTES_MIN,
    FETCH_BYTES_MAX,
    FETCH_BYTES_MIN,
    GATHERED_BYTES_MAX,
    INBOX_BYTES_MAX,
    KEEPALIVE_S,
    OUTBOX_BYTES_MAX,
    RECEIVE_LOW_BYTES_MAX,
    REQUEST_BYTES_MAX,
    REQUEST_OVERHEAD_BYTES,
    REQUESTS_IN_A_ROW_MAX,
    SEND_CHUNK_BYTES,
    Faults,
)
from qd_fluvio.errors import FluvioError, WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.frames import FrameBuffer

_log = logging.getLogger("broker.connection")
_NO_FAULTS = Faults()


class Session(Protocol):
    """What a server does for one client."""

    async def handle(self, payload: bytearray) -> None:
        """Answer one request."""

    def close(self) -> None:
        """The connection is gone."""


class Connection(asyncio.BufferedProtocol):
    """One client's TCP connection."""

    def __init__(
        self,
        hub: Hub,
        make_session: Callable[[Connection], Session],
        *,
        faults: Faults = _NO_FAULTS,
    ) -> None:
        self.peer = "?"
        self.requests = 0
        self._hub = hub
        self._make_session = make_session
        self._faults = faults
        self._received_bytes = 0
        self._sent_bytes = 0
        self._sending_bytes = 0
        # Faults count and delay each answer by itself.
        self._may_gather = not (faults.delay_s or faults.drop_after_bytes)
        self._gathers = False
        self._gathered = bytearray()
        self._frames = FrameBuffer(REQUEST_BYTES_MAX)
        self._growing_bytes = 0
        self._low_settable = False
        self._receive_low = 1
        self._inbox: deque[bytearray] = deque()
        self._inbox_bytes = 0
        self._handled_bytes = 0
        self._waits_for_memory = False
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
        self.peer = peer_of(transport)
        if not self._hub.admit(self):
            _log.warning("refusing %s: too many connections", self.peer)
            self._transport.abort()
            return
        self._socket = transport.get_extra_info("socket")
        tune(self._socket)
        # Under TLS bytes may already be here that the kernel knows nothing of.
        self._low_settable = transport.get_extra_info("ssl_object") is None
        self._transport.set_write_buffer_limits(high=OUTBOX_BYTES_MAX)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where received bytes go."""
        return self._frames.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Queue the frames that are now whole."""
        self._received_bytes += nbytes
        try:
            frames = self._frames.received(nbytes)
        except WireError as error:
            self._refuse(str(error))
            return
        if frames:
            self._queue(frames)
        if (
            self._frames.held_bytes != self._growing_bytes
            or self._inbox_bytes > ACCOUNTED_BYTES_MIN
        ):
            self._growing_bytes = self._frames.held_bytes
            self._account()
        self._wait_for_more(self._frames.missing)

    def pause_writing(self) -> None:
        """Too much is unsent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Most is sent."""
        self._hub.account(self)
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

    # What the hub asks.

    @property
    def half_request(self) -> bool:
        """Whether a request has begun to come, is not whole, and more of it is awaited."""
        return self._frames.partial and self._transport.is_reading()

    @property
    def awaits_client(self) -> bool:
        """Whether it is the client's turn: to send the rest, or to take what was sent."""
        return self.half_request or self.unsent_bytes > 0

    @property
    def held_bytes(self) -> int:
        """Memory that this connection holds now."""
        received = self._frames.held_bytes + self._inbox_bytes + self._handled_bytes
        return received + self._sending_bytes + self.unsent_bytes

    @property
    def moved_bytes(self) -> int:
        """Bytes that this client has sent and taken so far."""
        return self._received_bytes + self._sent_bytes - self.unsent_bytes

    def proceed(self) -> None:
        """Receive again, after having been told to wait for memory."""
        self._waits_for_memory = False
        self._read_on()

    # What sessions call.

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._transport.get_write_buffer_size() + len(self._gathered)

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport.is_closing()

    @property
    def fetch_bytes_max(self) -> int:
        """How much one answer may carry: little where memory is short."""
        return FETCH_BYTES_MIN if self._hub.pressed else FETCH_BYTES_MAX

    def push(self, frame: bytes) -> None:
        """Send a whole frame now, on a connection whose frames are all sent this way."""
        self._release()
        self._sent_bytes += len(frame)
        self._transport.write(frame)
        self._hub.account(self)

    async def delayed(self) -> None:
        """Return when an answer may be sent: at once, unless told to be slow."""
        if self._faults.delay_s:
            await asyncio.sleep(self._faults.delay_s)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait for this connection's turn to send, so that what is to be sent is read then.

        Of all that wait, one only holds the bytes of its answer.
        """
        async with self._sending:
            await self.delayed()
            await self._writable.wait()
            yield Turn(self)

    async def send(self, head: bytes, records: Buffer = b"") -> None:
        """Send one frame, after those before it; waits while the client is slow."""
        if self._gathers and not records and not self._sending.locked() and self._writable.is_set():
            self._gather(head)
            return
        size = len(head) + len(records)
        self._sending_bytes += size
        try:
            async with self._sending:
                await self.delayed()
                await self._send_parts(head, records)
        finally:
            self._sending_bytes -= size

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

    def _gather(self, frame: bytes) -> None:
        """Let the small answers to requests that came together leave together, and soon."""
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._release)
        self._gathered += frame
        self._sent_bytes += len(frame)
        self._hub.sent(len(frame))
        if len(self._gathered) > GATHERED_BYTES_MAX:
            self._release()

    def _release(self) -> None:
        if self._gathered:
            together, self._gathered = self._gathered, bytearray()
            if not self._transport.is_closing():
                self._transport.write(together)

    async def _send_parts(self, head: bytes, records: Buffer) -> None:
        if records:
            self._hub.account(self)
        await self._send_part(head)
        for start in range(0, len(records), SEND_CHUNK_BYTES):
            await self._send_part(memoryview(records)[start : start + SEND_CHUNK_BYTES])
        self._hub.sent(len(head) + len(records))

    async def _send_part(self, part: Buffer) -> None:
        await self._writable.wait()
        self._release()
        self._sent_bytes += len(part)
        drop_after = self._faults.drop_after_bytes
        if drop_after and self._sent_bytes > drop_after:
            _log.info("dropping %s after %d bytes, as told", self.peer, self._sent_bytes)
            self._transport.abort()
        if not self._transport.is_closing():
            self._transport.write(part)

    def _queue(self, frames: list[bytearray]) -> None:
        self.requests += len(frames)
        for frame in frames:
            self._inbox.append(frame)
            self._inbox_bytes += len(frame) + REQUEST_OVERHEAD_BYTES
        self._arrived.set()
        self._hub.passed(self)
        if self._inbox_bytes > INBOX_BYTES_MAX:
            self._transport.pause_reading()

    def _account(self) -> None:
        self._hub.account(self)
        if self._frames.held_bytes and self._hub.must_wait(self):
            self._waits_for_memory = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        closing = self._transport.is_closing()
        if not closing and not self._waits_for_memory and self._inbox_bytes <= INBOX_BYTES_MAX:
            self._transport.resume_reading()

    def _wait_for_more(self, missing: int) -> None:
        """Let the kernel wake this process for much of a large frame at once, not for crumbs."""
        low = max(1, min(missing, RECEIVE_LOW_BYTES_MAX))
        if self._low_settable and low != self._receive_low:
            self._receive_low = low
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low)

    def _refuse(self, reason: str) -> None:
        _log.warning("closing %s: %s", self.peer, reason)
        self._release()
        self._transport.close()

    async def _serve(self) -> None:
        session = self._make_session(self)
        try:
            while True:
                for _ in range(REQUESTS_IN_A_ROW_MAX):
                    await self._serve_one(session)
                await asyncio.sleep(0)  # the others' turn
        except FluvioError as error:
            self._refuse(str(error))
        except Exception:
            _log.exception("closing %s by a defect", self.peer)
            self._transport.abort()
        finally:
            session.close()

    async def _serve_one(self, session: Session) -> None:
        while not self._inbox:
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._inbox.popleft()
        size = self._handled_bytes = len(frame) + REQUEST_OVERHEAD_BYTES
        self._inbox_bytes -= size
        self._read_on()
        self._gathers = bool(self._inbox) and self._may_gather
        await session.handle(frame)
        self._handled_bytes = 0
        if size > ACCOUNTED_BYTES_MIN:
            self._hub.account(self)


class Turn:
    """One sender's turn on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def send(self, head: bytes, records: Buffer = b"") -> None:
        """Send one frame; waits while the client is slow."""
        connection, size = self._connection, len(head) + len(records)
        connection._sending_bytes += size
        try:
            await connection._send_parts(head, records)
        finally:
            connection._sending_bytes -= size
            connection._hub.account(connection)


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Who is at the other end, for log lines."""
    host, port = (transport.get_extra_info("peername") or ("?", "?"))[:2]
    return f"{host}:{port}"


def tune(connected: socket.socket) -> None:
    """Send small answers at once, and notice when the client's machine is gone."""
    # Small answers must not wait for the acknowledgement of earlier ones.
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
