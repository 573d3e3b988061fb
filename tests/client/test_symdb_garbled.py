"""A symbol master whose answers make no sense: its client says so in its own words."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpclib.server import Server

from qd_client import SymdbClient
from qd_client.errors import SymdbUnavailable
from qd_schemas import symdb_grpc as declared
from qd_schemas.symdb_messages import SymbolChanges, SymdbCodec


class Garbled(SymdbCodec):
    """Sends bytes that are no message."""

    def encode(self, message: Any, message_type: Any) -> bytes:
        return b"\xff" * 5


class Master(declared.SymbolMasterBase):
    async def symbol_by_id(self, symbol_by_id_request: Any) -> Any:
        return SymbolChanges()

    async def watch_symbols(self, watch_symbols_request: Any) -> AsyncIterator[Any]:
        yield SymbolChanges()


async def test_an_answer_that_is_no_message() -> None:
    server = Server([Master()], codec=Garbled())
    listening = socket.create_server(("127.0.0.1", 0))
    await server.start(sock=listening)
    try:
        async with SymdbClient(*listening.getsockname()[:2]) as client:
            with pytest.raises(SymdbUnavailable, match="makes no sense"):
                await client.symbol_by_id(1, 1)
            assert client._watch is not None
            assert not client._watch.done(), "nothing would be kept any more"
            with pytest.raises(SymdbUnavailable, match="makes no sense"):
                await anext(client.changes())
    finally:
        server.close()
        await server.wait_closed()
