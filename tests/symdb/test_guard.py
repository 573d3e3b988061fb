"""Clients that hold a place and do nothing lose it: no request, or no reading of the reply."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.const import Cardinality
from grpclib.exceptions import StreamTerminatedError
from grpclib.health.service import Health
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from h2.settings import SettingCodes

import qd_symdb.guard
from qd_schemas.specs import SymdbSettings
from qd_symdb.guard import Guard
from qd_symdb.listening import BoundedServer, listening_socket
from qd_symdb.metrics import Metrics


@contextlib.asynccontextmanager
async def guarded(connections_max: int = 10) -> AsyncIterator[tuple[str, int]]:
    """A server with a place for one call and one stream; gives where it listens."""
    metrics, services = Metrics(), [Health()]
    server = BoundedServer(services, connections_max, metrics)
    Guard(services, 1, 1, metrics).install(server)
    listening = await listening_socket(SymdbSettings("127.0.0.1", 0))
    await server.start(sock=listening)
    try:
        yield listening.getsockname()[:2]
    finally:
        server.close()
        server.close_connections()
        await server.wait_closed()


async def check(channel: Channel) -> int:
    async with channel.request(
        "/grpc.health.v1.Health/Check",
        Cardinality.UNARY_UNARY,
        HealthCheckRequest,
        HealthCheckResponse,
    ) as stream:
        await stream.send_message(HealthCheckRequest(), end=True)
        reply = await stream.recv_message()
        assert reply is not None
        return int(reply.status)


async def ask_nothing(channel: Channel, method: str) -> None:
    async with channel.request(
        f"/grpc.health.v1.Health/{method}",
        Cardinality.UNARY_STREAM,
        HealthCheckRequest,
        HealthCheckResponse,
    ) as stream:
        await stream.send_request()
        stream._end_done = True
        await stream.recv_message()


@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_a_call_without_its_request(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with guarded() as where, Channel(*where) as channel:
        with monkeypatch.context() as patched:
            patched.setattr(qd_symdb.guard, "REQUEST_SECONDS_MAX", 0.05)
            with pytest.raises(GRPCError, match="no request came within") as caught:
                await ask_nothing(channel, method)
        assert caught.value.status is Status.DEADLINE_EXCEEDED
        assert await check(channel) == HealthCheckResponse.SERVING


class DeafChannel(Channel):
    """Gives the other side no room to send messages."""

    async def __connect__(self) -> object:  # type: ignore[override]
        protocol = await super().__connect__()
        connection = protocol.processor.connection
        connection._connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        connection.flush()
        return protocol


async def test_a_reply_that_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with guarded() as where, DeafChannel(*where, config=Configuration()) as deaf:
        with monkeypatch.context() as patched:
            patched.setattr(qd_symdb.guard, "SEND_SECONDS_MAX", 0.05)
            with pytest.raises((OSError, StreamTerminatedError)):
                await asyncio.ensure_future(check(deaf))
        async with Channel(*where) as channel:
            assert await check(channel) == HealthCheckResponse.SERVING


async def test_many_connections_at_once_are_no_more_than_the_limit() -> None:
    async with guarded(connections_max=3) as where:
        opened = await asyncio.gather(*(asyncio.open_connection(*where) for _ in range(20)))
        reading = {asyncio.ensure_future(reader.read()) for reader, _ in opened}
        while len(reading) > 3:  # each one more takes the place of the one idle for longest
            _, reading = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
        assert len(reading) == 3
        async with Channel(*where) as channel:
            assert await check(channel) == HealthCheckResponse.SERVING
        for _, writer in opened:
            writer.close()
        await asyncio.wait(reading)
