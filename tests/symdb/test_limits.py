"""Limits, metrics and the end of the service: each limit has its status, nobody is harmed."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from grpclib import GRPCError, Status
from grpclib.const import Cardinality
from grpclib.exceptions import StreamTerminatedError

from qd_schemas.symdb_grpc import (
    ExchangeNameRequest,
    IdBySymbolRequest,
    ListSymbolsRequest,
    Symbol,
    SymbolChanges,
    SymbolMasterStub,
    WatchSymbolsRequest,
)
from support.processes import Process, running
from symdb.markets import EXCHANGE_ID, channel_to, markets_in

SERVICE = "qd.symdb.v1.SymbolMaster"
CALLS_MAX = 3


@pytest.fixture(scope="module")
def service(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    env = {
        "QD_SYMDB": "127.0.0.1:0",
        "QD_DATABASE": database_dsn,
        "QD_SYMDB_METRICS": "127.0.0.1:0",
        "QD_SYMDB_CONNECTIONS_MAX": "2",
        "QD_SYMDB_CALLS_MAX": str(CALLS_MAX),
        "QD_SYMDB_WATCHES_MAX": "2",
    }
    process = Process("qd_symdb", folder=tmp_path_factory.mktemp("limits"), env=env)
    yield process
    assert process.stop() == 0
    assert "Traceback" not in process.log()


@pytest.fixture
def limited(service: Process) -> str:
    return str(service.wait_ready()["endpoint"])


def metric(service: Process, name: str) -> float:
    """The value of a metric, its labels included in the name."""
    where = service.wait_ready()["metrics"]
    with urllib.request.urlopen(f"http://{where}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])


@contextlib.asynccontextmanager
async def held_symbols(dsn: str) -> AsyncIterator[None]:
    """Have every query of symbols wait while the block runs."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute("LOCK TABLE symbol IN ACCESS EXCLUSIVE MODE")
        # Tells the follower to read what it cannot read now.
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as other:
            await other.execute("SELECT pg_notify('qd_symbol', 'all')")
        yield
        await connection.rollback()


async def test_too_many_calls_at_once(limited: str, database_dsn: str) -> None:
    async with markets_in(database_dsn), channel_to(limited) as channel:
        stub = SymbolMasterStub(channel)
        async with held_symbols(database_dsn):
            calls = [
                asyncio.ensure_future(stub.exchange_name(ExchangeNameRequest(1)))
                for _ in range(CALLS_MAX + 1)
            ]
            done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(GRPCError, match="3 calls are being answered, which is the") as caught:
            await done.pop()
        assert caught.value.status is Status.RESOURCE_EXHAUSTED
        assert [reply.name for reply in await asyncio.gather(*waiting)] == ["kraken"] * CALLS_MAX


async def test_a_deadline_of_the_caller(limited: str, database_dsn: str) -> None:
    async with markets_in(database_dsn), channel_to(limited) as channel:
        stub = SymbolMasterStub(channel)
        async with held_symbols(database_dsn):
            with pytest.raises((GRPCError, TimeoutError)):
                await stub.exchange_name(ExchangeNameRequest(1), timeout=0.3)
        assert (await stub.exchange_name(ExchangeNameRequest(1))).name == "kraken"


async def test_too_many_watches(limited: str, database_dsn: str) -> None:
    async with markets_in(database_dsn), channel_to(limited) as channel:
        stub = SymbolMasterStub(channel)
        watches = [stub.watch_symbols(WatchSymbolsRequest()).__aiter__() for _ in range(2)]
        for watch in watches:
            await anext(watch)
        with pytest.raises(GRPCError, match="2 streams are open, which is the limit") as caught:
            await anext(stub.watch_symbols(WatchSymbolsRequest()))
        assert caught.value.status is Status.RESOURCE_EXHAUSTED
        for watch in watches:
            await watch.aclose()  # type: ignore[attr-defined]


async def test_too_many_connections_with_open_calls(
    service: Process, limited: str, database_dsn: str
) -> None:
    async with (
        markets_in(database_dsn),
        channel_to(limited) as first,
        channel_to(limited) as second,
    ):
        watches = [
            SymbolMasterStub(channel).watch_symbols(WatchSymbolsRequest()).__aiter__()
            for channel in (first, second)
        ]
        for watch in watches:
            await anext(watch)
        assert metric(service, "qd_symdb_connections") == 2
        async with channel_to(limited) as third:
            with pytest.raises((StreamTerminatedError, ConnectionError, asyncio.CancelledError)):
                await asyncio.ensure_future(
                    SymbolMasterStub(third).exchange_name(ExchangeNameRequest(1))
                )
        assert (await SymbolMasterStub(first).exchange_name(ExchangeNameRequest(1))).name
        for watch in watches:
            await watch.aclose()  # type: ignore[attr-defined]
    assert metric(service, "qd_symdb_connections_refused_total") >= 1


async def test_idle_connections_make_room(
    limited: str, database_dsn: str, service: Process
) -> None:
    host, _, port = limited.rpartition(":")
    silent = [await asyncio.open_connection(host, int(port)) for _ in range(5)]
    async with markets_in(database_dsn), channel_to(limited) as channel:
        assert (await SymbolMasterStub(channel).exchange_name(ExchangeNameRequest(1))).name
        assert metric(service, "qd_symdb_connections") == 2
        for reader, _ in silent[:4]:  # the oldest
            await reader.read()
        assert (await SymbolMasterStub(channel).exchange_name(ExchangeNameRequest(1))).name
    for _, writer in silent:
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status", "text"),
    [
        (struct.pack(">BI", 0, 1 << 31), Status.RESOURCE_EXHAUSTED, "has 2147483648 bytes"),
        (struct.pack(">BI", 1, 3) + b"abc", Status.UNIMPLEMENTED, "is compressed"),
        (struct.pack(">BI", 0, 9) + b"abc", Status.INVALID_ARGUMENT, "ended within a message"),
        (b"\0\0", Status.INVALID_ARGUMENT, "ended within a message"),
    ],
)
async def test_messages_that_are_none(
    service: Process, limited: str, sent: bytes, status: Status, text: str
) -> None:
    async with channel_to(limited) as channel:
        route = f"/{SERVICE}/IdBySymbol"

        async def ask() -> None:
            kind = Cardinality.STREAM_UNARY
            async with channel.request(route, kind, IdBySymbolRequest, Symbol) as stream:
                await stream.send_request()
                await stream._stream.send_data(sent, end_stream=True)
                stream._end_done = True
                await stream.recv_message()

        with pytest.raises(GRPCError, match=text) as caught:
            await ask()
        assert caught.value.status is status
    assert "Traceback" not in service.log()


async def test_metrics(service: Process, limited: str, database_dsn: str) -> None:
    ok = 'qd_symdb_calls_total{method="ListSymbols",status="OK"}'
    refused = 'qd_symdb_calls_total{method="ListSymbols",status="INVALID_ARGUMENT"}'
    async with markets_in(database_dsn), channel_to(limited) as channel:
        stub = SymbolMasterStub(channel)
        await stub.list_symbols(ListSymbolsRequest(EXCHANGE_ID))
        with pytest.raises(GRPCError):
            await stub.list_symbols(ListSymbolsRequest(99))
        before = metric(service, ok), metric(service, refused)
        for _ in range(3):
            await stub.list_symbols(ListSymbolsRequest(EXCHANGE_ID))
        with pytest.raises(GRPCError):
            await stub.list_symbols(ListSymbolsRequest(99))
        assert metric(service, "qd_symdb_symbols") >= 3
        assert metric(service, "qd_symdb_database_up") == 1
        assert metric(service, 'qd_symdb_call_seconds_count{method="ListSymbols"}') >= 5
        assert metric(service, "qd_symdb_calls_open") == 0
        # A call is counted when its trailers were sent, which its caller may see before.
        assert metric(service, ok) - before[0] == 3
        assert metric(service, refused) - before[1] == 1


async def test_health_over_http(
    service: Process, limited: str, database_dsn: str, tmp_path: Path
) -> None:
    def asked(where: str) -> str:
        with urllib.request.urlopen(f"http://{where}/readyz", timeout=30) as answer:
            return str(answer.read().decode())

    where = str(service.wait_ready()["metrics"])
    async with markets_in(database_dsn), channel_to(limited) as channel:
        # An answer shows that the database was reached.
        await SymbolMasterStub(channel).exchange_name(ExchangeNameRequest(1))
    assert asked(where) == "ok\n"
    env = {
        "QD_SYMDB": "127.0.0.1:0",
        "QD_SYMDB_METRICS": "127.0.0.1:0",
        "QD_DATABASE": "postgresql://u:sesame@127.0.0.1:1/d",
    }
    with running("qd_symdb", folder=tmp_path, env=env) as ready:
        with pytest.raises(urllib.error.HTTPError) as caught:
            asked(str(ready["metrics"]))
        with caught.value as answer:
            assert (answer.code, answer.read().startswith(b"database: ")) == (503, True)
            assert "sesame" not in str(answer.reason)


async def until_ended(watch: AsyncIterator[SymbolChanges]) -> None:
    while True:
        await anext(watch)


async def test_open_calls_end_before_the_service(database_dsn: str, tmp_path: Path) -> None:
    env = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": database_dsn}
    process = Process("qd_symdb", folder=tmp_path, env=env)
    endpoint = str(process.wait_ready()["endpoint"])
    async with markets_in(database_dsn), channel_to(endpoint) as channel:
        stub = SymbolMasterStub(channel)
        watch = stub.watch_symbols(WatchSymbolsRequest()).__aiter__()
        await anext(watch)
        async with held_symbols(database_dsn):
            call = asyncio.ensure_future(stub.exchange_name(ExchangeNameRequest(1)))
            stopping = asyncio.ensure_future(asyncio.to_thread(process.stop))
            await asyncio.to_thread(process.wait_logged, "stopping on SIGTERM")
            with pytest.raises(GRPCError, match="the service stops: ask again for all"):
                await until_ended(watch)
            with pytest.raises(GRPCError, match="the service stops: try again") as caught:
                await stub.exchange_name(ExchangeNameRequest(1))
            assert caught.value.status is Status.UNAVAILABLE
        assert (await call).name == "kraken"
    assert (await stopping, "Traceback" in process.log()) == (0, False)


def test_metrics_on_a_port_that_is_taken(service: Process, tmp_path: Path) -> None:
    taken = str(service.wait_ready()["metrics"])
    env = {"QD_SYMDB": "127.0.0.1:0", "QD_SYMDB_METRICS": taken, "QD_DATABASE": "postgresql://h/d"}
    process = Process("qd_symdb", folder=tmp_path, env=env)
    assert process.popen.wait(60) == 1
    assert f"failed: cannot listen on {taken} (Address already in use)" in process.log()
    assert "QD_SYMDB_METRICS" in process.log()
