"""The database to measure: one of its own on the server of QD_DATABASE, or on an embedded one."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from qd_cli.stack.parts import DATABASE, Choices, qd_parts
from qd_cli.stack.record import StateFolder
from qd_cli.stack.supervisor import Supervisor


@contextlib.contextmanager
def fresh_database(server_dsn: str) -> Iterator[str]:
    """Give the DSN of a new database; nothing of it is left."""
    name = f"qd_bench_{uuid.uuid4().hex}"
    with psycopg.connect(server_dsn, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield urlunsplit(urlsplit(server_dsn)._replace(path=name))
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextlib.asynccontextmanager
async def server(folder: Path) -> AsyncIterator[str]:
    """Give the DSN of QD_DATABASE, or of an embedded server that runs meanwhile."""
    if given := os.environ.get(DATABASE):
        yield given
        return
    parts = [part for part in qd_parts() if part.name == "database"]
    stack = Supervisor(StateFolder(folder / "server"), parts)
    try:
        yield (await stack.up(Choices(die_with_starter=True))).settings[DATABASE]
    finally:
        await stack.down()
