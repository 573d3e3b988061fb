"""The broker's connections in one process: sessions of tests behind real sockets."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from qd_fluvio.broker.connection import Connection, Session
from qd_fluvio.broker.hub import Hub
from qd_fluvio.broker.ports import Port
from qd_fluvio.broker.settings import SEND_CHUNK_BYTES, ConnectionLimits, Faults
from qd_fluvio.errors import FluvioError
from support.broker import WireClient

SECONDS_MAX = 30.0


class Base:
    """A session that takes requests and does nothing."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.closed = asyncio.Event()
        self.handled = 0

    async def handle(self, payload: bytearray) -> None:
        self.handled += 1

    def close(self) -> None:
        self.closed.set()


class Echo(Base):
    async def handle(self, payload: bytearray) -> None:
        await self.connection.send(struct.pack(">i", len(payload)), payload)


class Flood(Base):
    """Sends until the client's slowness stops it."""

    async def handle(self, payload: bytearray) -> None:
        while True:
            await self.connection.send(b"", bytes(SEND_CHUNK_BYTES))
            self.handled += 1


class Stuck(Base):
    """Never answers."""

    async def handle(self, payload: bytearray) -> None:
        self.handled += 1
        await asyncio.Event().wait()


class Broken(Base):
    async def handle(self, payload: bytearray) -> None:
        raise ZeroDivisionError("a defect")


class Refusing(Base):
    async def handle(self, payload: bytearray) -> None:
        raise FluvioError("this is refused")


class Server:
    """A port of such sessions, and the hub of its connections."""

    def __init__(self, hub: Hub, port: Port) -> None:
        self.hub = hub
        self.port = port
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(self, context: ssl.SSLContext | None = None) -> WireClient:
        """Connect to it."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.port.number,
            limit=1 << 16,
            ssl=context,
            server_hostname="localhost" if context else None,
        )
        self.writers.append(writer)
        return WireClient(reader, writer)


@asynccontextmanager
async def serving(
    make: Callable[[Connection], Session],
    limits: ConnectionLimits | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    faults: Faults | None = None,
) -> AsyncIterator[Server]:
    """A server of such sessions; call it to connect to it."""
    hub = Hub(limits or ConnectionLimits())
    address = ("127.0.0.1", 0)
    port = Port(hub, make, address=address, tls=tls, faults=faults or Faults())
    await port.open()
    server = Server(hub, port)
    try:
        async with asyncio.timeout(SECONDS_MAX):
            yield server
    finally:
        for writer in server.writers:
            writer.transport.abort()
        port.close()
        await hub.close()


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop run until something holds; `serving` bounds the time."""
    while True:
        if holds():
            return
        await asyncio.sleep(0)


def frame(payload: bytes) -> bytes:
    return struct.pack(">i", len(payload)) + payload
