"""The symbol master's client: values, typed errors, and services that die or stay silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from qd_client.errors import (
    ExchangeNotFound,
    QdClientError,
    SymbolNotFound,
    SymdbUnavailable,
    UsageError,
)
from qd_client.symdb import MarketInfo, SymdbClient
from qd_schemas.symdb_grpc import ListSymbolsRequest
from support.ports import free_port
from support.processes import Process, running
from symdb.markets import EXCHANGE, EXCHANGE_ID, ROWS, markets_in

MARKETS = [MarketInfo(EXCHANGE_ID, *row) for row in ROWS]


def client_of(endpoint: str, deadline_s: float = 5.0) -> SymdbClient:
    host, port = endpoint.split(":")
    return SymdbClient(host, int(port), deadline_s=deadline_s)


@pytest.fixture(scope="module")
def endpoint(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    env = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": database_dsn}
    with running("qd_symdb", folder=tmp_path_factory.mktemp("symdb"), env=env) as ready:
        yield str(ready["endpoint"])


@pytest.fixture
async def symdb(endpoint: str, database_dsn: str) -> AsyncIterator[SymdbClient]:
    async with markets_in(database_dsn), client_of(endpoint) as found:
        yield found


async def test_all_calls(symdb: SymdbClient) -> None:
    assert await symdb.exchange_name() == "kraken"
    assert await symdb.exchange_name(EXCHANGE_ID) == EXCHANGE
    assert await symdb.list_symbols(EXCHANGE_ID) == MARKETS
    for market in MARKETS:
        assert await symdb.symbol_by_id(EXCHANGE_ID, market.symbol_id) == market
        assert await symdb.id_by_symbol(EXCHANGE_ID, market.symbol) == market


Call = Callable[[SymdbClient], Awaitable[object]]
ERRORS: list[tuple[Call, type[QdClientError], str]] = [
    (lambda c: c.exchange_name(9), ExchangeNotFound, "no exchange has id 9; expected 1 "),
    (lambda c: c.list_symbols(0), ExchangeNotFound, "no exchange has id 0"),
    (lambda c: c.symbol_by_id(9, 1), ExchangeNotFound, "no exchange has id 9"),
    (lambda c: c.symbol_by_id(EXCHANGE_ID, 3), SymbolNotFound, "no symbol with id 3; expected"),
    (lambda c: c.id_by_symbol(EXCHANGE_ID, "ÄÖ"), SymbolNotFound, "no symbol 'ÄÖ'; expected"),
    (lambda c: c.look_up(9, ["XBTEUR", 1]), ExchangeNotFound, "no exchange has id 9"),
    (lambda c: c.look_up(9, []), ExchangeNotFound, "no exchange has id 9"),
    (lambda c: c.look_up(1, ["X" * 101]), UsageError, "has 101 letters; expected at most 100"),
    (lambda c: c.id_by_symbol(1, "X" * 2**21), UsageError, "has 2097152 letters"),
    (lambda c: c.id_by_symbol(EXCHANGE_ID, "\ud800"), UsageError, "is no text"),
    (lambda c: c.exchange_name(-1), UsageError, "exchange id is -1; expected 0 to 255"),
    (lambda c: c.symbol_by_id(1, 65_536), UsageError, "symbol id is 65536; expected 0 to 65535"),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS)
async def test_errors(symdb: SymdbClient, call: Call, kind: type[QdClientError], text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        await call(symdb)
    assert not caught.value.retriable


async def test_used_outside_its_block() -> None:
    client = client_of("127.0.0.1:1")
    with pytest.raises(UsageError, match="not open; use it in `async with`"):
        await client.list_symbols()
    async with client:
        pass
    with pytest.raises(UsageError, match="not open"):
        await client.list_symbols()


async def test_nobody_listens() -> None:
    port = free_port()
    async with client_of(f"127.0.0.1:{port}") as client:
        with pytest.raises(SymdbUnavailable, match=f"symdb at 127.0.0.1:{port} cannot") as caught:
            await client.list_symbols()
    assert caught.value.retriable


async def test_somebody_else_listens() -> None:
    """A service that speaks no HTTP/2 and hangs up."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with client_of(f"{host}:{port}", deadline_s=5) as client:
            with pytest.raises(SymdbUnavailable):
                await client.list_symbols()


async def test_a_silent_peer_costs_no_more_than_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        async with client_of(f"{host}:{port}", deadline_s=0.1) as client:
            for _ in range(2):
                with pytest.raises(SymdbUnavailable, match=r"no answer within 0\.1 s"):
                    await client.list_symbols()


async def test_a_cancelled_call_leaves_the_client_usable(symdb: SymdbClient) -> None:
    call = asyncio.ensure_future(symdb.list_symbols(EXCHANGE_ID))
    await asyncio.sleep(0)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    assert await symdb.list_symbols(EXCHANGE_ID) == MARKETS


async def test_killed_and_started_again(database_dsn: str, tmp_path: Path) -> None:
    env = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": database_dsn}
    first = Process("qd_symdb", folder=tmp_path, env=env)
    endpoint = str(first.wait_ready()["endpoint"])
    async with markets_in(database_dsn), client_of(endpoint) as client:
        assert await client.list_symbols(EXCHANGE_ID) == MARKETS
        first.kill()
        with pytest.raises(SymdbUnavailable):
            await client.list_symbols(EXCHANGE_ID)
        with running("qd_symdb", folder=tmp_path, env=env | {"QD_SYMDB": endpoint}):
            assert await client.list_symbols(EXCHANGE_ID) == MARKETS


async def test_a_database_that_is_down(tmp_path: Path) -> None:
    env = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": "postgresql://127.0.0.1:1/none"}
    with running("qd_symdb", folder=tmp_path, env=env) as ready:
        async with client_of(str(ready["endpoint"])) as client:
            with pytest.raises(SymdbUnavailable, match="the market database cannot be asked now"):
                await client.list_symbols()


async def test_a_call_that_the_library_cancels_does_not_cancel_its_caller() -> None:
    """As grpclib does when a connection is lost."""

    async def cancelled(_: ListSymbolsRequest, /, *, timeout: float) -> None:  # noqa: ASYNC109
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async with SymdbClient("127.0.0.1", 1) as client:
        with pytest.raises(SymdbUnavailable, match="connection was lost"):
            await client._ask(lambda _: cancelled, ListSymbolsRequest(1))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
