"""One connection for reading in bulk, driven by asyncio: constant memory, no threads.

libpq makes the connection, with all it knows of addresses and passwords. Then the answers are
read from the socket itself, into one buffer (see `wire`): libpq would hand over each row by a
call. On an encrypted connection only libpq can read, so there it does, some times slower.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Final

import numpy as np
import psycopg

from qd_schemas.arrays import Rows
from qd_store.connections import bounded, translated, unreachable
from qd_store.errors import ConnectionLost, QueryFailed, QueryTimedOut, StoreError
from qd_store.reading.libpq import copied
from qd_store.reading.statements import SETTINGS
from qd_store.reading.wire import (
    AnswerBuffer,
    CopyAnswer,
    CopyMessages,
    ServerError,
    WireViolation,
    copy_of,
    question,
)

SILENCE_SECONDS_MAX: Final = 60.0
"""How long a reader waits for the server's next bytes. A reader that does not read waits for
nothing: it may stall as long as it likes."""
CLOSE_SECONDS_MAX: Final = 5.0
SOCKET_BYTES: Final = 512 * 1024
"""What waits in the system for a reader that stalls; left to itself, it grows to megabytes."""


class ReadConnection:
    """Gives the rows of one statement after the other. Made by `connect_to_read`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._socket = socket.socket(fileno=os.dup(connection.pgconn.socket))
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
        self._is_busy = False
        self._is_receiving = False
        self._is_abandoned = False

    @property
    def is_reusable(self) -> bool:
        """Whether the next statement may be asked: all was read, and the server is there."""
        if self._is_busy:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # the end, or a last word

    async def rows(
        self, select: str, dtype: np.dtype[np.void], batch_rows: int
    ) -> AsyncGenerator[Rows]:
        """The rows of a query, in batches that are never empty.

        Leaving it early leaves the connection good for `aclose` only.

        Raises
        ------
        ConnectionLost, QueryTimedOut, QueryFailed, SchemaMismatch, RightMissing
            The answer ended early.
        """
        self._is_busy = True
        answers = self._direct if is_plain(self._connection.pgconn) else self._by_libpq
        async with contextlib.aclosing(answers(select, dtype, batch_rows)) as batches:
            async for rows in batches:
                for start in range(0, len(rows), batch_rows):
                    yield rows[start : start + batch_rows]
        self._is_busy = False

    async def aclose(self) -> None:
        """End the statement that runs, if any, and the connection."""
        try:
            if (
                self._is_busy and not self._connection.closed
            ):  # one that waits for a lock would not notice
                with contextlib.suppress(psycopg.Error):
                    await self._connection.cancel_safe(timeout=CLOSE_SECONDS_MAX)
        finally:
            self._socket.close()
            await self._connection.close()

    async def abandon(self) -> None:
        """End a connection that somebody may be reading from; that reader is told."""
        self._is_abandoned = True
        if self._is_receiving:  # the reader closes what it still waits for
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        else:
            await self.aclose()

    async def _direct(
        self, select: str, dtype: np.dtype[np.void], batch_rows: int
    ) -> AsyncGenerator[Rows]:
        buffer = AnswerBuffer(dtype, batch_rows)
        await self._send(question(copy_of(select)))
        count = 1
        while count and not buffer.answer.ended and not self._is_abandoned:
            with buffer.space() as space:
                count = await self._receive(space)
            with readable():
                rows = buffer.received(count)
            if len(rows):
                yield rows
        if self._is_abandoned:
            raise closed_meanwhile()
        raise_for(buffer.answer)

    async def _send(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(SILENCE_SECONDS_MAX):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except TimeoutError:
            raise silent() from None
        except OSError as error:
            raise gone(error) from error

    async def _receive(self, buffer: memoryview) -> int:
        """Read what is there; 0 at the end of the connection."""
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            pass
        except OSError as error:
            raise gone(error) from error
        self._is_receiving = True
        try:
            async with asyncio.timeout(SILENCE_SECONDS_MAX):
                return await asyncio.get_running_loop().sock_recv_into(self._socket, buffer)
        except TimeoutError:
            raise silent() from None
        except OSError as error:
            raise gone(error) from error
        finally:
            self._is_receiving = False

    async def _by_libpq(
        self, select: str, dtype: np.dtype[np.void], batch_rows: int
    ) -> AsyncGenerator[Rows]:
        copy = CopyMessages(dtype)
        try:
            answer = copied(self._connection.pgconn, copy_of(select).encode(), batch_rows)
            for messages in answer:
                if messages is None:
                    await self._readable()
                    continue
                with readable():
                    rows = copy.take(messages)
                if len(rows):
                    yield rows
                if self._is_abandoned:
                    raise closed_meanwhile()
        except psycopg.Error as error:
            raise translated(error) from error

    async def _readable(self) -> None:
        """Wait until something came, or the connection ended."""
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_reader(self._socket, came.set)
        self._is_receiving = True
        try:
            async with asyncio.timeout(SILENCE_SECONDS_MAX):
                await came.wait()
        except TimeoutError:
            raise silent() from None
        finally:
            self._is_receiving = False
            loop.remove_reader(self._socket)
        if self._is_abandoned:
            raise closed_meanwhile()


async def connect_to_read(dsn: str) -> ReadConnection:
    """Connect, for reading only.

    Raises
    ------
    DatabaseUnreachable
        No connection could be made.
    """
    async with contextlib.AsyncExitStack() as on_failure:
        try:
            connection = await psycopg.AsyncConnection.connect(bounded(dsn), autocommit=True)
            on_failure.push_async_callback(connection.close)
            await connection.execute(SETTINGS)
            reader = ReadConnection(connection)
        except (psycopg.Error, OSError) as error:  # it may be lost again, or no file be left
            raise unreachable(error) from error
        on_failure.pop_all()
    return reader


def is_plain(pgconn: psycopg.pq.abc.PGconn) -> bool:
    """Whether a connection's bytes are not encrypted."""
    return not (pgconn.ssl_in_use or pgconn.used_gssapi)


def raise_for(answer: CopyAnswer) -> None:
    """Raise what an answer that has ended, or broke off, ended with.

    Raises
    ------
    ConnectionLost, QueryFailed, SchemaMismatch, RightMissing
        It did not end well.
    """
    if answer.error is not None:
        raise _refusal(answer.error)
    if not answer.ended:
        raise ConnectionLost("the database closed the connection: try again")


def silent() -> QueryTimedOut:
    """The error of a server that sends nothing."""
    return QueryTimedOut(
        f"the database sent nothing for {SILENCE_SECONDS_MAX:.0f} s: is it overloaded, or is a "
        "table locked?"
    )


def closed_meanwhile() -> QueryFailed:
    """The error of a reader whose store was closed."""
    return QueryFailed("the store was closed while it was read from: keep it open")


def gone(error: OSError) -> ConnectionLost:
    """The error of a connection that broke."""
    return ConnectionLost(f"the database connection was lost ({error.strerror}): try again")


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Turn what cannot be read into an error of this package.

    Raises
    ------
    QueryFailed
        The server's answer is none that such a statement has.
    """
    try:
        yield
    except WireViolation as error:
        raise QueryFailed(f"the database's answer cannot be read: {error}") from error


def _refusal(error: ServerError) -> StoreError:
    try:
        kind = psycopg.errors.lookup(error.sqlstate)
    except KeyError:
        kind = psycopg.DatabaseError
    return translated(kind(error.text))
