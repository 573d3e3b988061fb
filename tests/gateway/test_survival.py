"""Sessions outlive their gateway: killed, stopped, without a database; operators end them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from qd_fluvio import connect
from qd_gateway.core.limits import Limits
from qd_gateway.core.saved import SavedSession
from qd_gateway.gateway import Gateway
from qd_schemas.codec import encode
from qd_schemas.enums import ClientErrorType, DataErrorType, DataType, EndReason, Reason
from qd_schemas.identity import key_of, new_token
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    DataError,
    Heartbeat,
    LastTradeBar,
    LoginChallenge,
    StartData,
)
from qd_schemas.specs import GatewaySettings
from qd_schemas.topics import CONTROL, client_topics
from qd_schemas.wire import NO_COUNT
from qd_store.connections import connect as connect_database
from qd_store.gateway_state import (
    add_token,
    end_session,
    end_stream,
    gateways,
    remove_token,
    sessions,
)
from qd_store.migrate import migrate
from support.gateways import GatewayStarter
from support.layer import Broker
from support.markets import Markets
from support.ports import free_port
from support.processes import STOP_SECONDS_MAX, Process
from support.raw_client import RawClient
from support.talker import Talker, is_interrupted


def saved_of(dsn: str, client_id: int) -> SavedSession | None:
    """What the database has of a client's session."""
    for found in sessions(dsn):
        if found.client_id == client_id:
            return SavedSession.from_json(found.state)
    return None


async def until(holds: Callable[[], object]) -> None:
    """Look again and again until something holds; each look takes a while."""
    give_up_at = time.monotonic() + STOP_SECONDS_MAX
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < give_up_at


async def test_a_killed_gateways_sessions_go_on(
    fluvio_endpoint: str, markets: Markets, start_gateway: GatewayStarter, client_id: int
) -> None:
    """Nothing is handled twice, nothing missed, and streams that ran are said to be over."""
    symbol, count = markets.ids["XBTUSD"], len(markets.trades["XBTUSD"])
    gateway = start_gateway()
    async with Talker(fluvio_endpoint, client_id) as client:
        await client.login()
        await client.start(symbol, 1)
        assert len((await client.rows(1))[0]) == count
        following = await client.begin(symbol, 2)
        epoch, dsn = client.epoch, markets.dsn

        def is_saved() -> bool:
            saved = saved_of(dsn, client_id)
            return saved is not None and [s.plan.stream_id for s in saved.streams] == [2]

        await until(is_saved)
        gateway.kill()
        await client.start(symbol, 3, following)  # nobody hears this, yet
        gateway = start_gateway()
        beat, last = await client.next(), await client.next()
        assert isinstance(beat, Heartbeat)
        assert beat.epoch not in (epoch, NO_COUNT)
        assert last == LastTradeBar(symbol, 2, EndReason.INTERRUPTED, NO_COUNT)
        sequences, last = await client.rows(3)
        assert sequences == list(range(following, count + 1))
        assert (last.end_reason, last.count) == (EndReason.COMPLETE, len(sequences))
        await client.beat()
        assert await client.next() == beat  # and nothing of stream 1 before it
    assert gateway.stop() == 0


async def test_a_stopped_gateways_sessions_go_on(
    fluvio_endpoint: str, markets: Markets, start_gateway: GatewayStarter, client_id: int
) -> None:
    symbol, count = markets.ids["XBTUSD"], len(markets.trades["XBTUSD"])
    gateway = start_gateway()
    async with Talker(fluvio_endpoint, client_id) as client:
        await client.login()
        following = await client.begin(symbol, 1)
        assert await asyncio.to_thread(gateway.stop) == 0
        sequences, last = await client.rest(1)
        assert is_interrupted(last)
        assert last.count == following - 1 + len(sequences)
        saved = saved_of(markets.dsn, client_id)
        assert saved is not None
        assert saved.streams == ()
        assert all(not each.slots for each in gateways(markets.dsn))
        gateway = start_gateway()
        assert isinstance(await client.next(), Heartbeat)
        await client.start(symbol, 2, last.count + 1)
        assert (await client.rows(2))[0] == list(range(last.count + 1, count + 1))
    assert gateway.stop() == 0


async def test_a_version_1_session_goes_on_in_silence(
    fluvio_endpoint: str, markets: Markets, start_gateway: GatewayStarter, client_id: int
) -> None:
    symbol, dsn = markets.ids["XBTUSD"], markets.dsn
    gateway = start_gateway()
    async with RawClient(fluvio_endpoint, client_id) as client:
        await client.send(ClientLogin(client_id))
        await until(lambda: saved_of(dsn, client_id))
        gateway.kill()
        gateway = start_gateway()
        await client.send(ClientLogin(client_id))
        assert await client.error() == ClientError(client_id, ClientErrorType.ALREADY_LOGGED_IN)
        await client.send(StartData(client_id, 1, symbol, 0, DataType.TRADES))
        assert len(await client.stream()) == len(markets.trades["XBTUSD"]) + 2
        assert await client.fluvio.end_offset(client.topics.error) == 1
    assert gateway.stop() == 0


async def test_operators_see_and_end_streams_and_sessions(
    fluvio_endpoint: str, markets: Markets, gateway: Process, client_id: int
) -> None:
    symbol, dsn = markets.ids["XBTUSD"], markets.dsn
    async with Talker(fluvio_endpoint, client_id) as client:
        await client.login()
        await client.begin(symbol, 1)
        await client.begin(symbol, 2)
        await until(lambda: (saved := saved_of(dsn, client_id)) and len(saved.streams) == 2)
        await until(lambda: (one := saved_of(dsn, client_id)) and all(s.sent for s in one.streams))
        saved = saved_of(dsn, client_id)
        assert saved is not None
        ticket = next(each.plan.ticket for each in saved.streams if each.plan.stream_id == 1)
        assert end_stream(dsn, client_id, ticket)
        error = await client.error()
        assert isinstance(error, DataError)
        assert (error.stream_id, error.reason) == (1, Reason.ENDED_BY_OPERATOR)
        assert error.data_error_type == DataErrorType.CHANNEL_FAILED
        assert end_session(dsn, client_id)
        error = await client.error()
        assert isinstance(error, ClientError)
        assert error.reason == Reason.ENDED_BY_OPERATOR
        await until(lambda: saved_of(dsn, client_id) is None)
        assert not end_session(dsn, client_id)
        await client.login()  # the order is not carried out again
        await client.beat()
        assert isinstance(await client.next(), Heartbeat)
    with connect_database(dsn) as connection:
        assert connection.execute("SELECT FROM gateway_order").fetchall() == []


async def test_tokens_count_from_the_moment_they_are_added(
    fluvio_endpoint: str, markets: Markets, gateway: Process, client_id: int
) -> None:
    async with Talker(fluvio_endpoint, client_id) as client:
        add_token(markets.dsn, client_id, key_of(new_token()), "a test's")
        await until(lambda: gateway.log().count("tokens read clients=1"))
        await client.send(ClientLogin(client_id, 0, client.login_id))
        assert isinstance(await client.next(), LoginChallenge)
        assert remove_token(markets.dsn, client_id)
        await until(lambda: gateway.log().count("tokens read clients=0") >= 2)
        await client.login()


async def test_a_gateway_alone_goes_on_without_its_database(
    fluvio_endpoint: str, tmp_path: Path, client_id: int
) -> None:
    """What it could not save meanwhile is saved once the database is back."""
    data, port = str(tmp_path / "data"), str(free_port())
    database = ("qd_store.embedded", "--data", data, "--port", port)
    server = Process(*database, folder=tmp_path)
    dsn = str(server.wait_ready()["dsn"])
    with connect_database(dsn) as connection:
        migrate(connection)
    settings = {"QD_FLUVIO": fluvio_endpoint, "QD_DATABASE": dsn, "QD_GATEWAY_GROUP": "alone"}
    gateway = Process("qd_gateway", folder=tmp_path, env=settings)
    gateway.wait_ready()
    try:
        server.stop()
        await until(lambda: "no database" in gateway.log())
        async with Talker(fluvio_endpoint, client_id) as client:
            await client.login()
            epoch = client.epoch
            server = Process(*database, folder=tmp_path)
            server.wait_ready()
            await until(lambda: saved_of(dsn, client_id))
            gateway.kill()
            server.stop()
            gateway = Process("qd_gateway", folder=tmp_path, env=settings)
            gateway.wait_ready()
            await until(lambda: "no client is served" in gateway.log())
            await client.beat()
            server = Process(*database, folder=tmp_path)
            server.wait_ready()
            beat = await client.next()  # of the session that was saved
            assert isinstance(beat, Heartbeat)
            assert beat.epoch != epoch
    finally:
        assert gateway.stop() == 0
        server.stop()


async def test_a_slow_database_delays_no_answer(
    fluvio_endpoint: str, markets: Markets, gateway: Process, client_id: int
) -> None:
    async with Talker(fluvio_endpoint, client_id) as client:
        with connect_database(markets.dsn) as connection, connection.transaction():
            connection.execute("LOCK TABLE gateway_slot, gateway_session")
            await client.login()
            for _ in range(10):
                await client.beat()
                assert isinstance(await client.next(), Heartbeat)
            blocked = "SELECT FROM pg_locks WHERE NOT granted AND relation IN (%s, %s)"
            names = "gateway_slot", "gateway_session"
            oids = [
                row[0]
                for name in names
                for row in connection.execute("SELECT %s::regclass::oid", [name])
            ]
            while not connection.execute(blocked, oids).fetchall():
                pass
        await until(lambda: saved_of(markets.dsn, client_id))


async def test_topics_without_a_session_are_deleted_also_after_a_restart(
    markets: Markets, tmp_path: Path
) -> None:
    """Those of a client that is logged in stay, and those of one that just made them."""
    broker = Broker(tmp_path)
    environment = {"QD_FLUVIO": broker.endpoint, "QD_DATABASE": markets.dsn}
    async with connect(broker.endpoint) as fluvio:
        await fluvio.create_topic(CONTROL, exist_ok=True)
        for client_id in (21, 22):
            for topic in client_topics(client_id).all:
                await fluvio.create_topic(topic)
        await fluvio.create_topic("client-20-data")  # a service's, and no client's at all
        await fluvio.create_topic("client-7x-data")
        kept = Limits(abandoned_s=1.0)
        serving = asyncio.create_task(Gateway(GatewaySettings.from_env(environment), kept).run())
        producer = await fluvio.producer(CONTROL)
        while await fluvio.end_offset(client_topics(22).data) == 0:
            await producer.send(encode(ClientLogin(22, 60_000, 5), 2))
            await producer.flush()
        gone = set(client_topics(21).all)
        while gone & {topic.name for topic in await fluvio.topics()}:
            pass
        left = {topic.name for topic in await fluvio.topics()}
        assert left == {CONTROL, "client-20-data", "client-7x-data", *client_topics(22).all}
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    broker.close()
