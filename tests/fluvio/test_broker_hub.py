"""What all connections together may hold, and which go first; sweeps are called by hand."""

from __future__ import annotations

import asyncio
import contextlib
import struct

import pytest

from qd_fluvio.broker.connection import Connection, Session
from qd_fluvio.broker.hub import Hub
from qd_fluvio.broker.settings import REQUEST_BYTES_MAX, REQUESTS_IN_A_ROW_MAX, ConnectionLimits
from qd_schemas.errors import SettingError
from support.broker import WireClient
from support.connections import Base, Echo, Flood, Server, frame, serving, until

MEMORY = REQUEST_BYTES_MAX
LARGE = MEMORY * 3 // 4
TIGHT = ConnectionLimits(memory_bytes_max=MEMORY)


async def asserts_closed(client: WireClient) -> None:
    with contextlib.suppress(ConnectionError):
        assert await client.closed() == b""


async def asserts_served(client: WireClient, payload: bytes = b"fine") -> None:
    client.writer.write(frame(payload))
    assert await client.reader.readexactly(len(payload) + 4) == frame(payload)


async def begun(server: Server, size: int, sent: int) -> WireClient:
    """A client that has sent a part of a large request, all of it received."""
    before = server.hub.held_bytes
    client = await server()
    await asserts_served(client)
    client.writer.write(struct.pack(">i", size) + bytes(sent))
    await until(lambda: server.hub.held_bytes >= before + sent)
    return client


@pytest.mark.parametrize("sent", [b"", b"\0", b"\0\0\0\x09half"])
async def test_who_never_says_a_whole_request_goes(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Echo) as server:
        silent, other = await server(), await server()
        silent.writer.write(sent)
        await asserts_served(other)
        await until(lambda: server.hub.members == 2)
        server.hub.sweep(9)
        assert server.hub.members == 2
        server.hub.sweep(2)
        await asserts_closed(silent)
        await asserts_served(other)
    assert "found no request within 10 s" in caplog.text


async def test_half_a_request_may_not_stay_one(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Echo) as server:
        half = await begun(server, 1_000_000, 200_000)
        resting = await server()
        await asserts_served(resting)
        server.hub.sweep(0)
        server.hub.sweep(29)
        assert server.hub.members == 2
        half.writer.write(bytes(800_000))  # now it is whole, and the time begins anew
        await half.reader.readexactly(1_000_004)
        half.writer.write(b"\0\0")
        await until(lambda: all(member.half_request for member in [*server.hub][:1]))
        server.hub.sweep(2)
        assert server.hub.members == 2
        server.hub.sweep(31)
        await asserts_closed(half)
        await asserts_served(resting)
        assert swept(server.hub) == 0
    assert "found half a request, expected the rest within 30 s" in caplog.text


async def test_a_client_that_the_broker_lets_wait_is_not_late() -> None:
    """Half a request of one whose earlier requests are not answered yet is our fault."""
    release = asyncio.Event()

    class Slow(Echo):
        async def handle(self, payload: bytearray) -> None:
            await release.wait()
            await super().handle(payload)

    async with serving(Slow) as server:
        client = await server()
        message = frame(bytes(900_000))
        client.writer.write(message * 3 + message[:-1])
        (member,) = await found(server.hub, 1)
        await until(lambda: not member._transport.is_reading())
        for _ in range(3):
            server.hub.sweep(40)
        release.set()
        client.writer.write(message[-1:])
        assert len(await client.reader.readexactly(4 * len(message))) == 4 * len(message)


def swept(hub: Hub) -> int:
    """What is held after a look at every connection."""
    hub.sweep(0)
    return hub.held_bytes


async def found(hub: Hub, count: int) -> list[Connection]:
    await until(lambda: hub.members == count)
    return [member for member in hub if isinstance(member, Connection)]


async def test_large_requests_wait_for_each_other_where_memory_is_short() -> None:
    async with serving(Echo, TIGHT) as server:
        clients = [await begun(server, LARGE, LARGE - 1) for _ in range(2)]
        # The first two are over the limit together: one goes on, a third waits.
        third = await server()
        await asserts_served(third)
        third.writer.write(struct.pack(">i", LARGE) + bytes(LARGE))
        members = await found(server.hub, 3)
        await until(lambda: not members[2]._transport.is_reading())
        assert server.hub.held_bytes < 2 * LARGE + (1 << 21)
        await asserts_served(await server(), b"x" * 10_000)  # small ones do not wait
        for client in clients:
            client.writer.write(b"\0")
            assert len(await client.reader.readexactly(LARGE + 4)) == LARGE + 4
        assert len(await third.reader.readexactly(LARGE + 4)) == LARGE + 4
        await until(lambda: swept(server.hub) == 0)


async def test_who_holds_memory_and_stalls_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Echo, TIGHT) as server:
        stalled = [await begun(server, LARGE, LARGE - 1) for _ in range(2)]
        waiting = await server()
        await asserts_served(waiting)
        waiting.writer.write(frame(bytes(LARGE)))
        members = await found(server.hub, 3)
        await until(lambda: not members[2]._transport.is_reading())
        answer = asyncio.create_task(waiting.reader.readexactly(LARGE + 4))
        while not answer.done():
            server.hub.sweep(TIGHT.stall_s_max / 100)
            await asyncio.sleep(0)
        assert len(await answer) == LARGE + 4
        await asserts_closed(stalled[0])
    assert "memory is short" in caplog.text


async def test_who_takes_no_answers_makes_room_too(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Echo, TIGHT) as server:
        slow = [await server() for _ in range(2)]
        for client in slow:
            client.pause()
            client.writer.write(frame(bytes(LARGE // 2)))  # held twice: asked and answered
        await until(lambda: server.hub.pressed)
        members = await found(server.hub, 2)
        await until(lambda: all(member.unsent_bytes for member in members))
        server.hub.sweep(0)
        assert server.hub.members == 2
        server.hub.sweep(TIGHT.stall_s_max + 0.1)
        assert server.hub.members == 1  # one was enough
        assert not server.hub.pressed
        await asserts_served(await server())
    assert "and does not move" in caplog.text


async def test_memory_is_counted_back_to_nothing() -> None:
    async with serving(Echo) as server:
        for size in (0, 10, 70_000, 3_000_000):
            client = await server()
            client.writer.write(frame(bytes(size)) * 2)
            await client.reader.readexactly(2 * (size + 4))
            await until(lambda: swept(server.hub) == 0)
            client.writer.write(struct.pack(">i", 5_000_000) + bytes(100_000))
            await until(lambda: server.hub.held_bytes > 0)
            client.writer.transport.abort()
            await until(lambda: server.hub.members == 0)
            assert server.hub.held_bytes == 0


async def test_a_flood_of_silent_connections_pushes_out_itself() -> None:
    async with serving(Echo, ConnectionLimits(connections_max=5)) as server:
        clients = [await server() for _ in range(2)]
        for client in clients:
            await asserts_served(client)
        silent = [await server() for _ in range(50)]
        for client in silent[:40]:
            await asserts_closed(client)
        for client in [*clients, await server()]:
            await asserts_served(client)
        assert server.hub.members <= 5


async def test_a_flood_of_requests_leaves_others_their_turn() -> None:
    turns: list[str] = []

    class Noting(Base):
        async def handle(self, payload: bytearray) -> None:
            turns.append(payload.decode())

    async with serving(Noting) as server:
        busy, other = await server(), await server()
        await until(lambda: server.hub.members == 2)
        busy.writer.write(frame(b"busy") * 5_000)
        other.writer.write(frame(b"other"))
        await until(lambda: len(turns) == 5_001)
    # While the flood was worked off, the other came in between, not after it.
    assert turns.index("other") < 5_000 - REQUESTS_IN_A_ROW_MAX


async def test_of_all_that_wait_to_send_one_only_holds_its_bytes() -> None:
    sessions: list[Flood] = []
    reading = 0

    def make(connection: Connection) -> Session:
        sessions.append(Flood(connection))
        return sessions[-1]

    async def portion(connection: Connection) -> None:
        nonlocal reading
        async with connection.turn() as turn:
            reading += 1
            await turn.send(b"", bytes(1 << 20))

    async with serving(make) as server:
        client = await server()
        client.pause()
        await until(lambda: bool(sessions))
        tasks = [asyncio.create_task(portion(sessions[0].connection)) for _ in range(200)]
        await until(lambda: sessions[0].connection.unsent_bytes > 1 << 18)
        for _ in range(100):
            await asyncio.sleep(0)
        assert reading < 20  # what the kernel took, and the one whose turn it is
        client.resume()
        await client.reader.readexactly(200 << 20)
        await asyncio.gather(*tasks)
        assert reading == 200


@pytest.mark.parametrize("limits", [(0, 1 << 30), (10, 1_000), (-1, -1)])
def test_limits_that_make_no_sense(limits: tuple[int, int]) -> None:
    with pytest.raises(SettingError, match="found limits of"):
        ConnectionLimits(*limits)
