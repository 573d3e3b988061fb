"""A COPY read by libpq, which alone can read an encrypted connection. It waits for nothing.

psycopg's own reading of a COPY costs its caller a wait for each row, some fifteen times as much.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from psycopg import pq
from psycopg.errors import error_from_result

_WAIT: Final = None


def copied(
    pgconn: pq.abc.PGconn, statement: bytes, messages_max: int
) -> Generator[list[bytes] | None]:
    """Run a COPY to its end.

    Parameters
    ----------
    pgconn : PGconn
        Idle, and not blocking.
    statement : bytes
        A COPY … TO STDOUT.
    messages_max : int
        How many messages to give at a time.

    Yields
    ------
    list of bytes, or None
        Messages, each a row; None where the caller must wait until the connection's socket
        is readable.

    Raises
    ------
    psycopg.Error
        The server refused it, or the connection was lost.
    """
    pgconn.send_query(statement)
    while pgconn.flush():  # as short as it is, never twice
        yield _WAIT
    yield from _result(pgconn, pq.ExecStatus.COPY_OUT)
    messages: list[bytes] = []
    while True:
        size, data = pgconn.get_copy_data(1)
        if size > 0:
            messages.append(bytes(data))
        elif size == 0:
            yield _WAIT
            pgconn.consume_input()
        if size < 0 or len(messages) == messages_max:
            yield messages
            messages = []
        if size < 0:
            break
    yield from _result(pgconn, pq.ExecStatus.COMMAND_OK)
    pgconn.get_result()  # the end of the answer


def _result(pgconn: pq.abc.PGconn, expected: pq.ExecStatus) -> Generator[None]:
    while pgconn.is_busy():
        yield _WAIT
        pgconn.consume_input()
    result = pgconn.get_result()
    assert result is not None  # one for the statement, and one for its end
    if result.status != expected:
        raise error_from_result(result)
