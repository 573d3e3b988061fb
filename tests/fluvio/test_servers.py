"""Connections to servers: kept for the next question, unless one ended or was left midway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from qd_fluvio import connect
from qd_fluvio.servers import Servers
from qd_fluvio.wire import metadata
from qd_schemas.specs import ClientKind, FluvioSettings


class Way:
    """A way to a server that counts connections, and ends them when a test wants it."""

    def __init__(self, endpoint: str) -> None:
        self._host, _, self._port = endpoint.rpartition(":")
        self._open: list[asyncio.StreamWriter] = []
        self._speaks = asyncio.Event()
        self._speaks.set()
        self.accepted = 0
        self.asked = asyncio.Event()
        """The client has asked something."""
        self.ended = asyncio.Event()
        """A connection has ended."""

    def cut(self) -> None:
        """End all connections."""
        for writer in self._open:
            writer.close()

    def be_silent(self) -> None:
        """Pass nothing that the server says."""
        self._speaks.clear()
        self.asked.clear()

    def speak(self) -> None:
        self._speaks.set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._pass_both, "127.0.0.1")
        async with server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self.cut()

    async def _pass_both(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        answers, asking = await asyncio.open_connection(self._host, int(self._port))
        self._open += [writer, asking]
        await asyncio.gather(self._ask(reader, asking), self._answer(answers, writer))

    async def _ask(self, reader: asyncio.StreamReader, asking: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                self.asked.set()
                asking.write(data)
        except ConnectionError:
            pass
        self.ended.set()
        asking.close()

    async def _answer(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await answers.read(65_536):
            await self._speaks.wait()
            writer.write(data)
        writer.close()


@pytest.fixture(autouse=True)
def kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine ends no connection that a test expects to be kept."""
    monkeypatch.setattr("qd_fluvio.servers.KEEP_SECONDS", 600.0)


@pytest.fixture
def way(fluvio_endpoint: str) -> Way:
    """A way to the cluster's SC."""
    return Way(fluvio_endpoint)


async def topics(servers: Servers) -> set[str]:
    async with servers.server(servers.sc) as sc:
        return {topic.name for topic in await sc.list(metadata.TOPIC)}


async def test_questions_that_follow_each_other_share_a_connection(
    way: Way, fluvio_endpoint: str, topic: str
) -> None:
    async with way.listening() as endpoint:
        told = FluvioSettings(
            fluvio_endpoint, ClientKind.NATIVE, addresses=((fluvio_endpoint, endpoint),)
        )
        async with connect(told) as fluvio:
            await fluvio.create_topic(topic)
            await (await fluvio.producer(topic)).send(b"x")
            assert way.accepted == 1
            await fluvio.delete_topic(topic)


async def test_who_does_not_keep_connections_ends_each(way: Way) -> None:
    async with way.listening() as endpoint:
        servers = Servers(FluvioSettings(endpoint))
        for times in (1, 2):
            await topics(servers)
            assert way.accepted == times


async def test_a_kept_connection_that_the_server_ended_is_not_used(way: Way) -> None:
    async with way.listening() as endpoint:
        servers = Servers(FluvioSettings(endpoint), keeps=True)
        await topics(servers)
        way.cut()
        await way.ended.wait()
        await topics(servers)
        assert way.accepted == 2
        servers.close()


async def test_a_connection_that_was_left_in_the_middle_is_not_kept(way: Way) -> None:
    async with way.listening() as endpoint:
        servers = Servers(FluvioSettings(endpoint), keeps=True)
        await topics(servers)
        way.be_silent()
        asking = asyncio.create_task(topics(servers))
        await way.asked.wait()
        asking.cancel()
        await way.ended.wait()
        way.speak()
        await topics(servers)
        assert way.accepted == 2
        servers.close()


async def test_a_connection_is_kept_for_a_moment_only(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qd_fluvio.servers.KEEP_SECONDS", 0.001)
    async with way.listening() as endpoint:
        servers = Servers(FluvioSettings(endpoint), keeps=True)
        await topics(servers)
        await way.ended.wait()


async def test_of_questions_at_the_same_time_one_connection_is_kept(way: Way) -> None:
    async with way.listening() as endpoint:
        servers = Servers(FluvioSettings(endpoint), keeps=True)
        await asyncio.gather(*(topics(servers) for _ in range(3)))
        assert way.accepted == 3
        await topics(servers)
        assert way.accepted == 3
        servers.close()
        await topics(servers)
        assert way.accepted == 4
