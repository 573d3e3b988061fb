"""Connections that never begin leave nothing behind."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme
from grpclib.health.service import Health

from qd_schemas.specs import SymdbSettings
from qd_symdb.listening import BoundedServer, listening_socket
from qd_symdb.metrics import Metrics


@pytest.fixture(scope="module")
def context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("symdb.test").configure_cert(context)
    return context


@pytest.mark.parametrize("why", ["one too many", "no TLS"])
async def test_a_connection_that_never_begins_is_forgotten(
    why: str, context: ssl.SSLContext
) -> None:
    is_tls = why == "no TLS"
    server = BoundedServer([Health()], 10 if is_tls else 0, Metrics())
    listening = await listening_socket(SymdbSettings("127.0.0.1", 0))
    await server.start(sock=listening, ssl=context if is_tls else None)
    try:
        for _ in range(3):
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            writer.write(b"GET / HTTP/1.0\r\n\r\n" if is_tls else b"")
            await reader.read()
            writer.close()
        assert not server._handlers
    finally:
        server.close()
        await server.wait_closed()
