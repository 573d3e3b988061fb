"""Connections to the database, and its errors in the words of this package.

Every connection is bounded in time: to be made, and to notice that the server has gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import conninfo

from qd_store.errors import (
    ConnectionLost,
    DatabaseUnreachable,
    QueryFailed,
    QueryTimedOut,
    RightMissing,
    SchemaMismatch,
    StoreError,
)

# psycopg warns of what breaks while it closes a lost connection, which our errors say. Where
# a program logs nothing, Python would show that to its user.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

CONNECT_SECONDS_MAX = 10
SILENCE_SECONDS_MAX = 30
STATEMENT_SECONDS_MAX = 30  # of ordinary queries; imports and streams are not bounded

# What a server may be set to end, an import must outlast: sorting a large file alone takes
# minutes within its transaction. By name, since not every version has all of them.
_UNBOUNDED = """
SELECT set_config(name, '0', false) FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout',
               'idle_in_transaction_session_timeout')
"""

# 08: connection exceptions; 57P01 to 57P05: shutdown, crash, start-up, idle time.
_LOST_CLASSES = ("08", "57P")

# The roles that only read also begin no transaction that writes.
_RIGHT_MISSING = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)


def bounded(dsn: str) -> str:
    """The DSN with limits on connecting and on silence, where it sets none itself.

    Raises
    ------
    DatabaseUnreachable
        It is not a DSN; the message does not repeat it, since it may hold a password.
    """
    limits: dict[str, str | int] = {
        "connect_timeout": CONNECT_SECONDS_MAX,
        "keepalives_idle": SILENCE_SECONDS_MAX // 3,
        "keepalives_interval": SILENCE_SECONDS_MAX // 6,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENCE_SECONDS_MAX * 1000,
        "application_name": "qd",
    }
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise DatabaseUnreachable(
            "the database's DSN cannot be read; expected postgresql://user:password@host:port/name"
        ) from error
    return conninfo.make_conninfo(dsn, **{k: v for k, v in limits.items() if k not in given})


def lost(sqlstate: str | None) -> bool:
    """Whether a database error's SQLSTATE means that the connection is gone."""
    return sqlstate is None or sqlstate.startswith(_LOST_CLASSES)


def translated(error: psycopg.Error) -> StoreError:
    """A database error in the words of this package."""
    text = " ".join(str(error).split())
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedFunction):
        return SchemaMismatch(f"the database lacks qd's tables ({text}): run `qd db migrate`")
    if isinstance(error, _RIGHT_MISSING):
        return RightMissing(
            f"this role may not do that ({text}): connect as another, or have a superuser run "
            "`qd db roles`"
        )
    if isinstance(error, psycopg.errors.QueryCanceled) and "timeout" in text:
        # Only its words tell the server's patience from a person who ended the statement.
        return QueryTimedOut(
            f"the database ended a statement early ({text}): try again; where it says so each "
            "time, raise its statement_timeout"
        )
    if isinstance(error, psycopg.errors.DiskFull):
        return QueryFailed(
            f"the database's disk is full ({text}): make room there, or enlarge its volume "
            "(docs/deploy.md), then do it again; what the tables have, they keep"
        )
    if isinstance(error, psycopg.OperationalError) and lost(error.sqlstate):
        return ConnectionLost(f"the database connection was lost ({text}): try again")
    return QueryFailed(f"the database refused a statement: {text}")


@contextlib.contextmanager
def translating() -> Iterator[None]:
    """Turn the database's errors in the block into this package's."""
    try:
        yield
    except psycopg.Error as error:
        raise translated(error) from error


def cut(connection: psycopg.AsyncConnection[Any]) -> None:
    """End a connection under whoever waits for its answer, who is told and has to close it.

    To close it under him would leave the loop watching a number that the next socket has.
    """
    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as own,
    ):
        own.shutdown(socket.SHUT_RDWR)


def unreachable(error: psycopg.Error | OSError) -> DatabaseUnreachable:
    """The error of a connection that could not be made."""
    text = " ".join(str(error).split())
    return DatabaseUnreachable(
        f"no connection to the database ({text}): is it up, is the DSN right?"
    )


def store_closed() -> QueryFailed:
    """The error of whoever begins to read from a store that was closed."""
    return QueryFailed("the store was closed: keep it open while it is read from")


def connect(dsn: str) -> psycopg.Connection[Any]:
    """Connect in autocommit mode, for work that takes as long as it takes.

    Raises
    ------
    DatabaseUnreachable
        No connection could be made.
    """
    with contextlib.ExitStack() as on_failure:
        try:
            connection = psycopg.connect(bounded(dsn), autocommit=True)
            on_failure.callback(connection.close)
            connection.execute(_UNBOUNDED)
        except psycopg.Error as error:
            raise unreachable(error) from error
        on_failure.pop_all()
    return connection


def connect_beside(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Connect once more as `connection` did.

    Raises
    ------
    DatabaseUnreachable
        No connection could be made.
    """
    info = connection.info
    password = {"password": info.password} if info.password else {}
    return connect(conninfo.make_conninfo(info.dsn, **password))


async def connect_async(dsn: str) -> psycopg.AsyncConnection[Any]:
    """Connect in autocommit mode, for ordinary queries.

    Raises
    ------
    DatabaseUnreachable
        No connection could be made.
    """
    async with contextlib.AsyncExitStack() as on_failure:
        try:
            connection = await psycopg.AsyncConnection.connect(bounded(dsn), autocommit=True)
            on_failure.push_async_callback(connection.close)
            await connection.execute(f"SET statement_timeout = {STATEMENT_SECONDS_MAX * 1000}")
        except psycopg.Error as error:
            raise unreachable(error) from error
        on_failure.pop_all()
    return connection
