"""What dies, who notices, and that all goes on when it is back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from qd_client import (
    ChannelFailed,
    GatewayLost,
    GatewayUnavailable,
    QDClient,
    StreamInterrupted,
    SymbolUnknown,
)
from qd_fluvio import FluvioError, TopicNotFound, connect
from qd_gateway.core.limits import Limits
from qd_gateway.gateway import Gateway
from qd_schemas.arrays import Rows
from qd_schemas.codec import encode
from qd_schemas.enums import ClientErrorType, DataType, Reason
from qd_schemas.messages import ClientError, ClientLogin, Heartbeat, StartData
from qd_schemas.specs import GatewaySettings
from qd_schemas.topics import CONTROL, client_topics
from qd_store.connections import connect as connect_database
from qd_store.migrate import migrate
from support.gateways import GatewayStarter, wait_logged
from support.layer import Broker
from support.markets import Markets
from support.ports import free_port
from support.processes import Process, running
from support.raw_client import RawClient


async def whole(qd: QDClient, symbol: int) -> Rows:
    return np.concatenate([rows async for rows in qd.trades(symbol)])


async def read_on(
    endpoint: str, symbol: int, lease_ms: int, meanwhile: Callable[[], object]
) -> None:
    """Read a stream that does not end by itself; `meanwhile` happens after its first row."""
    async with QDClient(endpoint=endpoint, lease_ms=lease_ms, patience_s=0) as qd:
        stream = qd.trades(symbol, pace=1.0)
        await anext(stream)
        await asyncio.to_thread(meanwhile)
        async for _ in stream:
            pass


@contextlib.contextmanager
def migrated(arguments: tuple[str, ...], folder: Path) -> Iterator[str]:
    """A database with tables, which keeps them when it is started again."""
    with running(*arguments, folder=folder) as ready:
        dsn = str(ready["dsn"])
        with connect_database(dsn) as connection:
            migrate(connection)
        yield dsn


@contextlib.contextmanager
def gateway_of(folder: Path, endpoint: str, dsn: str) -> Iterator[Process]:
    env = {"QD_FLUVIO": endpoint, "QD_DATABASE": dsn}
    process = Process("qd_gateway", folder=folder, env=env)
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


async def test_a_killed_gateway_is_named_and_its_successor_serves(
    fluvio_endpoint: str, markets: Markets, start_gateway: GatewayStarter
) -> None:
    symbol, rows = markets.ids["XBTUSD"], markets.trades["XBTUSD"]
    first = start_gateway()
    with pytest.raises(GatewayLost, match="the gateway fell silent"):
        await read_on(fluvio_endpoint, symbol, 1_000, first.kill)
    second = start_gateway()
    async with QDClient(endpoint=fluvio_endpoint, patience_s=0) as qd:
        np.testing.assert_array_equal(await whole(qd, symbol), rows)
    assert second.stop() == 0


async def test_a_restarted_gateway_says_so_to_its_clients(
    fluvio_endpoint: str, markets: Markets, start_gateway: GatewayStarter
) -> None:
    gateways = [start_gateway()]

    def restart() -> None:
        gateways[0].kill()
        gateways.append(start_gateway())

    with pytest.raises(StreamInterrupted, match=r"another gateway process|was started again"):
        await read_on(fluvio_endpoint, markets.ids["XBTUSD"], 60_000, restart)
    assert gateways[1].stop() == 0


async def test_a_stopped_gateway_ends_its_streams(
    fluvio_endpoint: str, markets: Markets, start_gateway: GatewayStarter
) -> None:
    gateway = start_gateway()
    async with QDClient(endpoint=fluvio_endpoint, patience_s=0) as qd:
        stream = qd.trades(markets.ids["XBTUSD"], pace=1.0)
        await anext(stream)
        assert await asyncio.to_thread(gateway.stop) == 0
        with pytest.raises(StreamInterrupted, match="interrupted by the gateway"):
            await anext(stream)


async def test_without_a_database_nobody_is_served_and_with_it_everybody(
    fluvio_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    arguments = ("qd_store.embedded", "--data", str(tmp_path / "data"), "--port", str(port))
    with migrated(arguments, tmp_path) as dsn:
        pass
    with gateway_of(tmp_path, fluvio_endpoint, dsn) as gateway:
        await asyncio.to_thread(wait_logged, gateway, "no database, no client is served")
        with monkeypatch.context() as patched:
            patched.setattr("qd_client.session.LOGIN_SECONDS_MAX", 0.5)
            with pytest.raises(GatewayUnavailable, match="let client"):
                async with QDClient(endpoint=fluvio_endpoint):
                    pass
        with running(*arguments, folder=tmp_path):
            await asyncio.to_thread(wait_logged, gateway, "serving slots=64")
            async with QDClient(endpoint=fluvio_endpoint) as qd:
                with pytest.raises(SymbolUnknown):
                    await whole(qd, 1)
        assert gateway.popen.poll() is None


async def test_a_database_may_be_restarted(fluvio_endpoint: str, tmp_path: Path) -> None:
    port = free_port()
    arguments = ("qd_store.embedded", "--data", str(tmp_path / "data"), "--port", str(port))
    with migrated(arguments, tmp_path) as dsn:
        process = Process(
            "qd_gateway", folder=tmp_path, env={"QD_FLUVIO": fluvio_endpoint, "QD_DATABASE": dsn}
        )
        process.wait_ready()
    try:
        # While the database starts, this client says nothing.
        async with QDClient(endpoint=fluvio_endpoint, lease_ms=120_000, patience_s=0) as qd:
            with pytest.raises(ChannelFailed):
                await whole(qd, 1)
            with running(*arguments, folder=tmp_path), pytest.raises(SymbolUnknown):
                await whole(qd, 1)
    finally:
        assert process.stop() == 0


async def test_a_broker_may_be_killed_and_restarted(markets: Markets, tmp_path: Path) -> None:
    symbol, rows = markets.ids["XBTUSD"], markets.trades["XBTUSD"]
    sc, spu = free_port(), free_port()
    arguments = ("--data", str(tmp_path / "data"), "--sc-port", str(sc), "--spu-port", str(spu))
    broker = Process("qd_fluvio.broker", *arguments, folder=tmp_path)
    endpoint = str(broker.wait_ready()["endpoint"])
    try:
        with gateway_of(tmp_path, endpoint, markets.dsn) as gateway:
            with pytest.raises((FluvioError, GatewayLost)):
                await read_on(endpoint, symbol, 1_000, broker.kill)
            broker = Process("qd_fluvio.broker", *arguments, folder=tmp_path)
            broker.wait_ready()
            async with QDClient(endpoint=endpoint) as qd:
                np.testing.assert_array_equal(await whole(qd, symbol), rows)
            assert gateway.popen.poll() is None
    finally:
        broker.stop()


async def test_a_deleted_control_topic_costs_no_session(markets: Markets, tmp_path: Path) -> None:
    symbol, rows = markets.ids["XBTUSD"], markets.trades["XBTUSD"]
    with (
        contextlib.closing(Broker(tmp_path)) as broker,
        gateway_of(tmp_path, broker.endpoint, markets.dsn) as gateway,
    ):
        async with QDClient(endpoint=broker.endpoint, lease_ms=60_000) as qd:
            np.testing.assert_array_equal(await whole(qd, symbol), rows)
            await qd.fluvio.delete_topic(CONTROL)
            await asyncio.to_thread(wait_logged, gateway, r"(?s)(consuming requests.*){2}")
            np.testing.assert_array_equal(await whole(qd, symbol), rows)


async def test_topics_that_a_dead_client_left_are_deleted(markets: Markets, tmp_path: Path) -> None:
    with contextlib.closing(Broker(tmp_path)) as broker:
        environment = {"QD_FLUVIO": broker.endpoint, "QD_DATABASE": markets.dsn}
        limits = Limits(abandoned_s=1.0)
        gateway = Gateway(GatewaySettings.from_env(environment), limits)
        serving = asyncio.create_task(gateway.run())
        async with connect(broker.endpoint) as fluvio:
            await fluvio.create_topic(CONTROL, exist_ok=True)
            for topic in client_topics(21).all:
                await fluvio.create_topic(topic)
            data = await fluvio.consumer(client_topics(21).data)
            producer = await fluvio.producer(CONTROL)
            while await fluvio.end_offset(data.topic) == 0:  # the gateway may not listen yet
                await producer.send(encode(ClientLogin(21, 500)))
                await producer.flush()
            with pytest.raises(TopicNotFound):
                async for _ in data:
                    pass
            while len(await fluvio.topics()) > 1:
                pass
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_vanished_clients_session_ends(
    fluvio_endpoint: str, markets: Markets, start_gateway: GatewayStarter, client_id: int
) -> None:
    gateway = start_gateway()
    symbol = markets.ids["XBTUSD"]
    async with RawClient(fluvio_endpoint, client_id) as client:
        await client.send(ClientLogin(client_id))
        slow = StartData(client_id, 1, symbol, 0, DataType.TRADES, stream_id=1, pace=1e5)
        await client.send(slow, 2)
        await client.data()
    gone = rf"ended: its topics are gone client={client_id} session="
    await asyncio.to_thread(wait_logged, gateway, gone)
    async with RawClient(fluvio_endpoint, client_id) as client:
        await client.send(Heartbeat(client_id), 2)
        refused = (ClientErrorType.NOT_LOGGED_IN, Heartbeat.TEMPLATE, Reason.NO_SESSION)
        assert await client.error() == ClientError(client_id, *refused)
    assert gateway.stop() == 0
