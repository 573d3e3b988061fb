"""A symbol master's client that is closed while others use it connects no more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpclib.server import Server

from qd_client import QDClient, SymdbClient
from qd_client.errors import UsageError
from qd_schemas import symdb_grpc as declared
from qd_schemas.symdb_messages import Symbol, SymbolChange, SymbolChanges, SymdbCodec


class Master(declared.SymbolMasterBase):
    """Answers no call, and one change to a watch."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.calls = 0

    async def exchange_name(self, exchange_name_request: Any) -> Any:
        self.calls += 1
        self.asked.set()
        await asyncio.Event().wait()

    async def watch_symbols(self, watch_symbols_request: Any) -> AsyncIterator[Any]:
        self.calls += 1
        market = Symbol(exchange_id=1, symbol_id=1, symbol="XBTEUR")
        yield SymbolChanges(changes=[SymbolChange(kind=1, symbol=market)], snapshot=True)
        yield SymbolChanges()
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def serving(master: Master) -> AsyncIterator[tuple[str, int]]:
    server = Server([master], codec=SymdbCodec())
    listening = socket.create_server(("127.0.0.1", 0))
    await server.start(sock=listening)
    try:
        yield listening.getsockname()[:2]
    finally:
        server.close()
        await server.wait_closed()


async def test_a_call_under_way_is_not_made_again() -> None:
    master = Master()
    async with serving(master) as address:
        async with SymdbClient(*address) as client:
            call = asyncio.create_task(client.exchange_name(1))
            await master.asked.wait()
        with pytest.raises(UsageError, match="closed"):
            await call
    assert master.calls == 1


async def test_a_connection_under_way_is_not_kept() -> None:
    master = Master()
    async with serving(master) as address:
        async with SymdbClient(*address) as client:
            call = asyncio.create_task(client.exchange_name(1))
            await asyncio.sleep(0)
        with pytest.raises(UsageError, match="closed"):
            await call
    assert master.calls == 0


async def test_a_watch_of_changes_ends() -> None:
    master = Master()
    async with serving(master) as address:
        async with SymdbClient(*address) as client:
            changes = client.changes(with_symbols=True)
            await anext(changes)
            following = asyncio.create_task(anext(changes))
            await asyncio.sleep(0)
        with pytest.raises(UsageError, match="closed"):
            await following
    assert master.calls == 1


async def test_a_client_that_is_not_open_asks_nobody() -> None:
    master = Master()
    async with serving(master) as address:
        qd = QDClient(endpoint="127.0.0.1:9003", symdb=f"{address[0]}:{address[1]}")
        for messages in (qd.trade_messages("XBTEUR"), qd.bar_messages("XBTEUR", "5m")):
            with pytest.raises(UsageError, match="not open"):
                await anext(messages)
    assert master.calls == 0
