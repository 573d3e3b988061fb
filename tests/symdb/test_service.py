"""The symbol master as its callers meet it: a real process, a real database, gRPC over TCP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import betterproto
import pytest
from grpclib import GRPCError, Status
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Cardinality
from grpclib.exceptions import StreamTerminatedError
from grpclib.health.v1.health_grpc import HealthStub
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from qd_schemas.symdb_grpc import (
    ExchangeNameRequest,
    IdBySymbolRequest,
    ListSymbolsRequest,
    Symbol,
    SymbolByIdRequest,
    SymbolMasterStub,
)
from support.ports import free_port
from support.processes import Process, running
from symdb.markets import EXCHANGE, EXCHANGE_ID, ROWS, channel_to, markets_in

SYMBOLS = [Symbol(EXCHANGE_ID, *row) for row in ROWS]
SERVICE = "qd.symdb.v1.SymbolMaster"


async def test_exchange_names(stub: SymbolMasterStub) -> None:
    assert (await stub.exchange_name(ExchangeNameRequest(1))).name == "kraken"
    found = await stub.exchange_name(ExchangeNameRequest(EXCHANGE_ID))
    assert (found.exchange_id, found.name) == (EXCHANGE_ID, EXCHANGE)


@pytest.mark.parametrize("symbol", SYMBOLS, ids=lambda symbol: symbol.symbol)
async def test_symbol_by_id_and_id_by_symbol(stub: SymbolMasterStub, symbol: Symbol) -> None:
    assert await stub.symbol_by_id(SymbolByIdRequest(EXCHANGE_ID, symbol.symbol_id)) == symbol
    assert await stub.id_by_symbol(IdBySymbolRequest(EXCHANGE_ID, symbol.symbol)) == symbol


async def test_list(stub: SymbolMasterStub) -> None:
    assert (await stub.list_symbols(ListSymbolsRequest(EXCHANGE_ID))).symbols == SYMBOLS


async def test_symbols_are_of_one_exchange(stub: SymbolMasterStub) -> None:
    with pytest.raises(GRPCError, match="kraken has no symbol 'XBT/ÜSD'"):
        await stub.id_by_symbol(IdBySymbolRequest(1, "XBT/ÜSD"))
    listed = (await stub.list_symbols(ListSymbolsRequest(1))).symbols
    assert not [symbol for symbol in listed if symbol.exchange_id != 1]


REFUSALS: list[tuple[str, betterproto.Message, Status, str]] = [
    ("exchange_name", ExchangeNameRequest(0), Status.INVALID_ARGUMENT, "no exchange has id 0"),
    ("exchange_name", ExchangeNameRequest(9), Status.INVALID_ARGUMENT, "expected 1 (kraken)"),
    ("exchange_name", ExchangeNameRequest(2**32 - 1), Status.INVALID_ARGUMENT, "id 4294967295"),
    ("symbol_by_id", SymbolByIdRequest(9, 1), Status.INVALID_ARGUMENT, "no exchange has id 9"),
    ("symbol_by_id", SymbolByIdRequest(EXCHANGE_ID, 3), Status.NOT_FOUND, "no symbol with id 3"),
    ("symbol_by_id", SymbolByIdRequest(EXCHANGE_ID, 0), Status.NOT_FOUND, "symbol with id 0"),
    ("symbol_by_id", SymbolByIdRequest(EXCHANGE_ID, 2**32 - 1), Status.NOT_FOUND, "4294967295"),
    ("id_by_symbol", IdBySymbolRequest(0, "LAST"), Status.INVALID_ARGUMENT, "no exchange has id 0"),
    ("id_by_symbol", IdBySymbolRequest(EXCHANGE_ID, "xbteur"), Status.NOT_FOUND, "'xbteur'"),
    ("id_by_symbol", IdBySymbolRequest(EXCHANGE_ID, ""), Status.NOT_FOUND, "no symbol ''"),
    ("id_by_symbol", IdBySymbolRequest(EXCHANGE_ID, "a\0b"), Status.NOT_FOUND, r"'a\x00b'"),
    ("id_by_symbol", IdBySymbolRequest(EXCHANGE_ID, "X" * 9999), Status.NOT_FOUND, "XXX"),
    ("id_by_symbol", IdBySymbolRequest(EXCHANGE_ID, "'; --"), Status.NOT_FOUND, "'; --"),
    ("list_symbols", ListSymbolsRequest(255), Status.INVALID_ARGUMENT, "no exchange has id 255"),
]


@pytest.mark.parametrize(("method", "request_", "status", "text"), REFUSALS)
async def test_refusals(
    stub: SymbolMasterStub, method: str, request_: Any, status: Status, text: str
) -> None:
    with pytest.raises(GRPCError) as caught:
        await getattr(stub, method)(request_)
    assert caught.value.status is status
    assert text in str(caught.value.message)


@pytest.mark.parametrize("garbage", [b"\x12\xff", b"\x12\x02\xc3\x28", b"\x08"])
async def test_bytes_that_are_no_request(channel: Channel, garbage: bytes) -> None:
    class Raw:
        """Stands where a message class belongs and sends what it was given."""

        def SerializeToString(self) -> bytes:  # noqa: N802 (the name that grpclib calls)
            return garbage

    method: Any = UnaryUnaryMethod(channel, f"/{SERVICE}/IdBySymbol", Raw, Symbol)
    with pytest.raises(GRPCError) as caught:
        await method(Raw())
    assert caught.value.status is Status.INVALID_ARGUMENT
    assert "bytes that are no IdBySymbolRequest" in str(caught.value.message)


async def test_a_call_without_a_request(channel: Channel) -> None:
    route = f"/{SERVICE}/ListSymbols"
    request = channel.request(route, Cardinality.STREAM_UNARY, ListSymbolsRequest, Symbol)
    async with request as stream:
        await stream.send_request()
        await stream.end()
        with pytest.raises(GRPCError, match="ended without a request"):
            await stream.recv_message()


async def test_many_calls_at_once(stub: SymbolMasterStub) -> None:
    calls = [stub.symbol_by_id(SymbolByIdRequest(EXCHANGE_ID, 1)) for _ in range(200)]
    assert await asyncio.gather(*calls) == [SYMBOLS[0]] * 200


async def test_garbage_on_the_port_harms_nobody(endpoint: str, stub: SymbolMasterStub) -> None:
    host, port = endpoint.split(":")
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 4096, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
    assert (await stub.exchange_name(ExchangeNameRequest(1))).name == "kraken"


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_health(channel: Channel, stub: SymbolMasterStub, service: str) -> None:
    reply = await HealthStub(channel).Check(HealthCheckRequest(service=service))
    assert reply.status == HealthCheckResponse.SERVING


async def health_of(endpoint: str, wanted: int) -> None:
    """Return once the service says that its health is `wanted`."""
    async with channel_to(endpoint) as channel, HealthStub(channel).Watch.open() as stream:
        await stream.send_message(HealthCheckRequest(service=SERVICE), end=True)
        async for reply in stream:
            if reply.status == wanted:
                await stream.cancel()
                return


@contextlib.contextmanager
def database(folder: Path, port: int) -> Iterator[Process]:
    """A server of this test's own, ready; the same data again for the same folder."""
    arguments = ("--data", str(folder / "data"), "--port", str(port))
    process = Process("qd_store.embedded", *arguments, folder=folder)
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


@pytest.mark.slow
async def test_a_database_that_goes_and_comes_back(tmp_path: Path) -> None:
    request = ListSymbolsRequest(EXCHANGE_ID)
    port = free_port()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(database(tmp_path, port))
        dsn = str(first.wait_ready()["dsn"])
        env = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": dsn}
        ready = stack.enter_context(running("qd_symdb", folder=tmp_path, env=env))
        endpoint = str(ready["endpoint"])
        async with channel_to(endpoint) as channel:
            stub = SymbolMasterStub(channel)
            with pytest.raises(GRPCError, match=r"lacks qd.{1,3}s tables"):
                await stub.list_symbols(request)
            async with markets_in(dsn):
                assert (await stub.list_symbols(request)).symbols == SYMBOLS
            await health_of(endpoint, HealthCheckResponse.SERVING)

            assert first.stop() == 0
            with pytest.raises(GRPCError) as caught:
                await stub.list_symbols(request)
            assert caught.value.status is Status.UNAVAILABLE
            assert "cannot be asked now, try again: " in str(caught.value.message)
            await health_of(endpoint, HealthCheckResponse.NOT_SERVING)

            stack.enter_context(database(tmp_path, port))
            async with markets_in(dsn):
                assert (await stub.list_symbols(request)).symbols == SYMBOLS
            await health_of(endpoint, HealthCheckResponse.SERVING)


async def test_started_before_its_database(tmp_path: Path) -> None:
    """It serves, and says what is missing; nothing listens on the port of its DSN."""
    port = free_port()
    dsn = f"postgresql://nobody:secret@127.0.0.1:{port}/none"
    env = {"QD_SYMDB": "localhost:0", "QD_DATABASE": dsn}
    with running("qd_symdb", folder=tmp_path, env=env) as ready:
        async with channel_to(str(ready["endpoint"])) as channel:
            with pytest.raises(GRPCError) as caught:
                await SymbolMasterStub(channel).exchange_name(ExchangeNameRequest(1))
            await health_of(str(ready["endpoint"]), HealthCheckResponse.NOT_SERVING)
    assert caught.value.status is Status.UNAVAILABLE
    assert "secret" not in str(caught.value.message)


def exit_of(folder: Path, **env: str) -> tuple[int, str]:
    process = Process("qd_symdb", folder=folder, env=env)
    return process.popen.wait(60), process.log()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        code, log = exit_of(tmp_path, QD_SYMDB=listen, QD_DATABASE="postgresql://h/d")
    assert code == 1
    assert f"failed: cannot listen on {listen} (Address already in use)" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ({"QD_SYMDB": "", "QD_DATABASE": "postgresql://h/d"}, "QD_SYMDB is not set"),
        ({"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": ""}, "QD_DATABASE is not set"),
        ({"QD_SYMDB": "here", "QD_DATABASE": "postgresql://h/d"}, "QD_SYMDB is 'here'; expected"),
        ({"QD_SYMDB": "no.such.host.invalid:0", "QD_DATABASE": "postgresql://h/d"}, "cannot list"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, env: dict[str, str], text: str) -> None:
    code, log = exit_of(tmp_path, **env)
    assert (code, "Traceback" in log) == (1, False)
    assert text in log


async def test_stops_while_a_caller_stays(database_dsn: str, tmp_path: Path) -> None:
    env = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": database_dsn}
    process = Process("qd_symdb", folder=tmp_path, env=env)
    endpoint = str(process.wait_ready()["endpoint"])
    async with channel_to(endpoint) as channel, HealthStub(channel).Watch.open() as stream:
        await stream.send_message(HealthCheckRequest(service=SERVICE), end=True)
        await stream.recv_message()
        code = await asyncio.to_thread(process.stop)
        with pytest.raises(StreamTerminatedError):
            await stream.recv_message()
    assert (code, "Traceback" in process.log()) == (0, False)
