"""Listens, serves the symbol master and its health, and stops when cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any, Final

from grpclib import GRPCError, Status
from grpclib.encoding.proto import ProtoCodec
from grpclib.health.check import ServiceCheck
from grpclib.health.service import OVERALL, Health
from grpclib.server import Server

from qd_fluvio.service import ready
from qd_schemas.specs import DatabaseSettings, SymdbSettings
from qd_store import Store
from qd_store.credentials import dsn_of
from qd_symdb.errors import CannotListen
from qd_symdb.master import CHECK_SECONDS_MAX, SymbolMaster

HEALTH_SECONDS: Final = 1.0
"""How old the answer to a health request may be."""
CLOSE_SECONDS_MAX: Final = 1.0
"""How long open calls may take to end when the service stops."""

_log = logging.getLogger("qd_symdb")


class _CheckedCodec(ProtoCodec):
    """Answers bytes that are no request with a status, not with a logged defect."""

    def decode(self, data: bytes, message_type: Any) -> Any:
        try:
            return super().decode(data, message_type)
        except Exception as error:
            raise GRPCError(
                Status.INVALID_ARGUMENT,
                f"{len(data)} bytes that are no {message_type.__name__} ({error})",
            ) from error


async def serve(listen: SymdbSettings, database: DatabaseSettings) -> None:
    """Serve until cancelled.

    Parameters
    ----------
    listen : SymdbSettings
        Where to listen; port 0 takes a free one, which the ready file tells.
    database : DatabaseSettings
        Where the markets are. It need not be up.

    Raises
    ------
    CannotListen
        The address is taken, or is not this machine's.
    SettingError
        The file of the database's DSN cannot be read.
    """
    store = Store(dsn_of(database))
    master = SymbolMaster(store)
    check = ServiceCheck(
        master.can_answer, check_ttl=HEALTH_SECONDS, check_timeout=CHECK_SECONDS_MAX * 2
    )
    server = Server([master, Health({master: [check], OVERALL: [check]})], codec=_CheckedCodec())
    try:
        listening = await _listen(listen)
        await server.start(sock=listening)
        try:
            address = listening.getsockname()
            endpoint = SymdbSettings(address[0], address[1]).endpoint
            _log.info("listening on %s", endpoint)
            ready(endpoint=endpoint)
            await asyncio.Event().wait()
        finally:
            await _stop(server)
    finally:
        await store.aclose()


async def _stop(server: Server) -> None:
    """Cancel open calls; a peer that does not let go holds nothing up."""
    server.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await server.wait_closed()


async def _listen(listen: SymdbSettings) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {listen.endpoint} ({error.strerror}); "
            "expected a free port of this machine in QD_SYMDB, or port 0"
        ) from error
