"""A gRPC channel whose end can be awaited: after it no socket is left open.

TLS says goodbye before it closes, which takes the other side; who does not answer is left.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, cast

from grpclib.client import Channel
from grpclib.protocol import H2Protocol

from qd_client.errors import UsageError
from qd_schemas.renewed import RenewedContext

GOODBYE_SECONDS_MAX: Final = 1.0
_TURNS: Final = 5
"""Turns of the loop in which asyncio closes sockets, also those of a failed TLS handshake."""


class ClosingChannel(Channel):
    """A channel that knows its open connections.

    Parameters
    ----------
    tls : RenewedContext or None
        What each connection is secured with.

    The others are those of `Channel`.
    """

    def __init__(self, host: str, port: int, *, tls: RenewedContext | None, **options: Any) -> None:
        super().__init__(host, port, ssl=tls.now() if tls else None, **options)
        self._tls = tls
        self._open: set[_Connection] = set()
        self._is_closed = False

    async def aclose(self) -> None:
        """Close it for good, and wait until its sockets are closed."""
        self._is_closed = True
        connections = list(self._open)
        self.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS_MAX):
                for connection in connections:
                    await connection.gone.wait()
        for connection in connections:
            connection.transport.abort()
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def _create_connection(self) -> H2Protocol:
        self._check_open()
        if self._tls is not None:
            self._ssl = self._tls.now()
        made = await super()._create_connection()
        try:
            self._check_open()
        except UsageError:
            made.processor.close()
            raise
        return made

    def _check_open(self) -> None:
        if self._is_closed:
            raise UsageError("the symdb client was closed while this call waited; open another")

    def _protocol_factory(self) -> H2Protocol:
        return _Connection(super()._protocol_factory(), self._open)


class _Connection(H2Protocol):
    """A connection of a channel, noted while it is open."""

    transport: asyncio.Transport

    def __init__(self, made: H2Protocol, open_ones: set[_Connection]) -> None:
        super().__init__(made.handler, made.config, made.h2_config)
        self._open = open_ones
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note it."""
        self.transport = cast(asyncio.Transport, transport)
        self._open.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that it is closed."""
        self._open.discard(self)
        self.gone.set()
        super().connection_lost(exc)
