"""Connections and watches over real sockets, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from dataclasses import replace

import pytest

from qd_fluvio.broker.connection import Connection, Session
from qd_fluvio.broker.settings import (
    INBOX_BYTES_MAX,
    OUTBOX_BYTES_MAX,
    SEND_CHUNK_BYTES,
    WATCH_BACKLOG_BYTES_MAX,
    ConnectionLimits,
)
from qd_fluvio.broker.views import topic_view
from qd_fluvio.broker.watch import Watcher, Watchers
from qd_fluvio.wire import admin
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.frames import decode_response
from qd_fluvio.wire.metadata import TOPIC, ComputedReplicas, TopicMetadata, TopicSpec
from support.broker import WireClient
from support.connections import Base, Broken, Echo, Flood, Refusing, Stuck, frame, serving, until


@pytest.mark.parametrize("size", [0, 1, 1_000, 65_536, 3_000_000])
async def test_frames_of_any_size_pass(size: int) -> None:
    async with serving(Echo) as connect:
        client = await connect()
        payload = bytes(index % 251 for index in range(1_000)) * (size // 1_000 + 1)
        message = frame(payload[:size])
        client.writer.write(message * 3)
        assert await client.reader.readexactly(3 * len(message)) == message * 3


async def test_connections_over_the_limit_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Echo, ConnectionLimits(connections_max=2)) as connect:
        first, second = await connect(), await connect()
        for client in (first, second):
            client.writer.write(frame(b"here"))
            await client.reader.readexactly(8)
        third = await connect()
        with contextlib.suppress(ConnectionError):
            assert await third.closed() == b""
        assert "too many connections" in caplog.text
        first.writer.close()
        await first.closed()
        # A place is free as soon as the server has seen it.
        while True:
            again = await connect()
            again.writer.write(frame(b"again"))
            with contextlib.suppress(ConnectionError, EOFError):
                assert await again.reader.readexactly(9) == frame(b"again")
                break


@pytest.mark.parametrize(
    ("make", "words", "level"),
    [(Broken, "by a defect", logging.ERROR), (Refusing, "this is refused", logging.WARNING)],
)
async def test_a_failed_request_closes_its_connection_only(
    make: type[Base], words: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    sessions: list[Base] = []

    def first_fails(connection: Connection) -> Session:
        sessions.append(Echo(connection) if sessions else make(connection))
        return sessions[-1]

    async with serving(first_fails) as connect:
        failing = await connect()
        failing.writer.write(frame(b"x"))
        with contextlib.suppress(ConnectionError):
            assert await failing.closed() == b""
        await sessions[0].closed.wait()
        other = await connect()
        other.writer.write(frame(b"fine"))
        assert await other.reader.readexactly(8) == frame(b"fine")
    (record,) = [item for item in caplog.records if words in item.getMessage()]
    assert record.levelno == level


async def test_a_client_that_does_not_read_stops_its_sender() -> None:
    sessions: list[Flood] = []

    def make(connection: Connection) -> Session:
        sessions.append(Flood(connection))
        return sessions[-1]

    async with serving(make) as connect:
        client = await connect()
        client.pause()
        client.writer.write(frame(b"go"))
        await until(lambda: bool(sessions) and sessions[0].connection.unsent_bytes > 0)
        session = sessions[0]
        await until(lambda: session.connection.unsent_bytes > OUTBOX_BYTES_MAX)
        sent = session.handled
        for _ in range(100):
            await asyncio.sleep(0)
        assert session.handled == sent
        assert session.connection.unsent_bytes <= OUTBOX_BYTES_MAX + SEND_CHUNK_BYTES
        client.writer.transport.abort()
        await sessions[0].closed.wait()


async def test_a_client_that_asks_too_much_is_not_read_further() -> None:
    sessions: list[Stuck] = []

    def make(connection: Connection) -> Session:
        sessions.append(Stuck(connection))
        return sessions[-1]

    async with serving(make) as connect:
        client = await connect()
        message = frame(bytes(100_000))
        client.writer.write(message * 400)
        await until(lambda: bool(sessions) and sessions[0].handled == 1)
        transport = sessions[0].connection._transport
        await until(lambda: not transport.is_reading())
        # Most of it is still with the client: the server took its limit and no more.
        assert client.writer.transport.get_write_buffer_size() > 20 * INBOX_BYTES_MAX
        assert sessions[0].handled == 1


def view(number: int, reason: str = "") -> TopicMetadata:
    plain = topic_view(f"topic-{number}", TopicSpec(ComputedReplicas(1)), 1)
    return replace(plain, status=replace(plain.status, reason=reason))


async def read_update(client: WireClient) -> admin.TopicUpdate:
    (length,) = struct.unpack(">i", await client.reader.readexactly(4))
    payload = await client.reader.readexactly(length)
    body = decode_response(payload, admin.WATCH, 19)[1].object.body
    assert isinstance(body, admin.TopicUpdate)
    return body


async def test_a_watcher_that_does_not_read_gets_all_again_instead_of_a_backlog() -> None:
    topics = [view(0)]
    watchers = Watchers(lambda label: tuple(topics))
    sessions: list[Base] = []

    def make(connection: Connection) -> Session:
        sessions.append(Base(connection))
        return sessions[-1]

    async with serving(make) as connect:
        client = await connect()
        client.writer.write(frame(b"hello"))
        await until(lambda: bool(sessions) and sessions[0].handled == 1)
        connection = sessions[0].connection
        watcher = Watcher(TOPIC, connection, 1, 19)
        watchers.add(watcher)
        assert [item.name for item in (await read_update(client)).all] == ["topic-0"]
        watchers.publish(TOPIC, admin.ChangeKind.UPDATE, (view(1),))
        assert (await read_update(client)).changes[0].object.name == "topic-1"

        client.pause()
        for _ in range(1_000):
            watchers.publish(TOPIC, admin.ChangeKind.UPDATE, (view(2, "x" * 30_000),))
            await asyncio.sleep(0)
            if watcher.catching_up:
                break
        assert watcher.catching_up
        assert connection.unsent_bytes <= 2 * WATCH_BACKLOG_BYTES_MAX
        topics.append(view(3))
        watchers.publish(TOPIC, admin.ChangeKind.UPDATE, (view(3),))
        client.resume()
        while not (update := await read_update(client)).all:
            assert update.changes[0].object.name == "topic-2"
        assert [item.name for item in update.all] == ["topic-0", "topic-3"]
        watchers.publish(TOPIC, admin.ChangeKind.DELETE, (view(3),))
        assert (await read_update(client)).changes[0].kind == admin.ChangeKind.DELETE
        watchers.remove(watcher)


async def test_a_watch_of_an_unknown_kind_gets_an_empty_update() -> None:
    watchers = Watchers(lambda label: ())
    frames: list[bytes] = []

    class Sink:
        unsent_bytes = 0
        closing = False

        def push(self, frame: bytes) -> None:
            frames.append(frame)

        async def drained(self) -> None:
            return

    watchers.add(Watcher("SpuGroup", Sink(), 7, 19))
    correlation_id, body = decode_response(frames[0][4:], admin.WATCH, 19)
    assert correlation_id == 7
    assert body.object == Labelled("SpuGroup", bytes(16))
