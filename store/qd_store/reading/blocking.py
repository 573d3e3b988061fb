"""Stored rows for code that blocks, such as an import's comparison, or a check."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Generator
from select import POLLIN, poll
from typing import Any, Final

import numpy as np
import psycopg

from qd_schemas.arrays import TRADE, Rows
from qd_store.connections import connect, translating
from qd_store.reading import statements
from qd_store.reading.connection import (
    CLOSE_SECONDS_MAX,
    SILENCE_SECONDS_MAX,
    gone,
    is_plain,
    raise_for,
    readable,
    silent,
)
from qd_store.reading.libpq import copied
from qd_store.reading.wire import AnswerBuffer, CopyMessages, copy_of, question

BATCH_ROWS: Final = 65_536


def read_trades(dsn: str, market: int, from_time: int | None = None) -> Generator[Rows]:
    """Read a market's trades, from a time on, in sequence order, in constant memory.

    Closing the generator ends its query and its connection.

    Parameters
    ----------
    dsn : str
        The database.
    market : int
        The market's key.
    from_time : int, optional
        Microseconds since the epoch.

    Yields
    ------
    numpy.ndarray of TRADE
        Never empty.

    Raises
    ------
    DatabaseUnreachable, ConnectionLost, QueryTimedOut, QueryFailed, SchemaMismatch
        About the database.
    """
    select = statements.trades(market, (1, None), (from_time, None))
    with contextlib.closing(connect(dsn)) as connection, translating():
        connection.execute(statements.SETTINGS)
        yield from read_rows(connection, select, TRADE)


def read_rows(
    connection: psycopg.Connection[Any], select: str, dtype: np.dtype[np.void]
) -> Generator[Rows]:
    """Read a query's rows, in constant memory; closing the generator ends the query.

    Parameters
    ----------
    connection : psycopg.Connection
        Idle, in a transaction or not.
    select : str
        A query whose columns are all of eight bytes and never null.
    dtype : numpy.dtype
        Of the rows, as `CopyAnswer` takes it.

    Yields
    ------
    numpy.ndarray
        Never empty.

    Raises
    ------
    ConnectionLost, QueryTimedOut, QueryFailed, SchemaMismatch
        The answer ended early.
    """
    answers = _direct if is_plain(connection.pgconn) else _by_libpq
    try:
        yield from answers(connection, select, dtype)
    except GeneratorExit:
        try:
            connection.cancel_safe(timeout=CLOSE_SECONDS_MAX)
        except psycopg.Error:
            connection.close()  # nobody hears the cancel: of no use to anybody
        raise


def _direct(
    connection: psycopg.Connection[Any], select: str, dtype: np.dtype[np.void]
) -> Generator[Rows]:
    buffer = AnswerBuffer(dtype, BATCH_ROWS)
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as wire:
        wire.settimeout(SILENCE_SECONDS_MAX)
        try:
            wire.sendall(question(copy_of(select)))
            count = 1
            while count and not buffer.answer.ended:
                with buffer.space() as space:
                    count = wire.recv_into(space)
                with readable():
                    rows = buffer.received(count)
                if len(rows):
                    yield rows
        except TimeoutError:
            raise silent() from None
        except OSError as error:
            raise gone(error) from error
    raise_for(buffer.answer)


def _by_libpq(
    connection: psycopg.Connection[Any], select: str, dtype: np.dtype[np.void]
) -> Generator[Rows]:
    copy = CopyMessages(dtype)
    watch = poll()
    watch.register(connection.pgconn.socket, POLLIN)
    for messages in copied(connection.pgconn, copy_of(select).encode(), BATCH_ROWS):
        if messages is None:
            if not watch.poll(SILENCE_SECONDS_MAX * 1000):
                raise silent()
            continue
        with readable():
            rows = copy.take(messages)
        if len(rows):
            yield rows
