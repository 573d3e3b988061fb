"""Encoded rows into tables by COPY, on a thread of its own.

The server works on what was written while the caller makes the next rows: parsing, numbering
and summing cost about as much time as the server's part. The thread is the connection's only
user while it runs. A queue of a few blocks lies between the two, so memory is bounded.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from itertools import groupby
from types import TracebackType
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from qd_store.tables.copying import COPY_HEADER, COPY_TRAILER

QUEUED_BLOCKS_MAX: Final = 2

_Target = tuple[str, LiteralString]


class _Abandoned(Exception):
    """The caller failed: what was begun must not be completed."""


class Copier:
    """Takes encoded rows while the block runs; all are written when it ends.

    Where the block fails, the transaction is left to be rolled back.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction; not to be used in the block.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._queue: queue.Queue[tuple[_Target, bytes] | None] = queue.Queue(QUEUED_BLOCKS_MAX)
        self._thread = threading.Thread(target=self._run, name="qd-copy", daemon=True)
        self._abandoned = False
        self._error: BaseException | None = None

    def __enter__(self) -> Copier:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._abandoned = error is not None
        self._queue.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def put(self, table: str, rows: memoryview, options: LiteralString = "") -> None:
        """Write rows into a table; rows for another one than the last end that one's COPY.

        Raises
        ------
        psycopg.Error
            What was put before could not be written.
        """
        if self._error is not None:
            raise self._error
        self._queue.put(((table, options), bytes(rows)))  # a copy: the view will change

    def _run(self) -> None:
        items = iter(self._queue.get, None)
        try:
            for (table, options), group in groupby(items, key=lambda item: item[0]):
                copy_in(self._connection, table, self._unless_abandoned(group), options)
        except _Abandoned:
            pass
        except BaseException as error:
            self._error = error
        for _ in items:  # so that nobody who puts something waits for a thread that is gone
            pass

    def _unless_abandoned(self, group: Iterator[tuple[_Target, bytes]]) -> Iterator[bytes]:
        for _, rows in group:
            yield rows
        if self._abandoned:
            raise _Abandoned


def copy_in(
    connection: psycopg.Connection[Any],
    table: str,
    data: Iterable[bytes | memoryview],
    options: LiteralString = "",
) -> None:
    """COPY encoded rows into a table."""
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT BINARY{})").format(
        sql.Identifier(table), sql.SQL(options)
    )
    with connection.cursor().copy(statement) as copy:
        copy.write(COPY_HEADER)
        for rows in data:
            copy.write(rows)
        copy.write(COPY_TRAILER)
