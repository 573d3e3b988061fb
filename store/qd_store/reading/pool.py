"""The connections of the readers: a bounded number, each for one reader at a time.

Those that were read to their end stay open for the next reader, up to a number.
"""

from __future__ import annotations

import asyncio
from typing import Final

from qd_store.connections import store_closed
from qd_store.errors import TooManyStreams
from qd_store.reading.connection import ReadConnection, connect_to_read

IDLE_MAX_DEFAULT: Final = 4


class ReadPool:
    """Opens, counts and closes connections.

    Parameters
    ----------
    dsn : str
        The database.
    readers_max : int
        How many readers there may be at the same time.
    idle_max : int
        How many connections to keep for the next readers.
    """

    def __init__(self, dsn: str, readers_max: int, idle_max: int = IDLE_MAX_DEFAULT) -> None:
        self._dsn = dsn
        self._readers_max = readers_max
        self._idle_max = idle_max
        self._readers = 0
        self._idle: list[ReadConnection] = []
        self._lent: set[ReadConnection] = set()
        self._is_closed = False

    async def lend(self) -> ReadConnection:
        """A connection for one reader, who must give it back.

        Raises
        ------
        TooManyStreams
            There are too many readers.
        DatabaseUnreachable
            No connection could be made.
        QueryFailed
            The pool was closed.
        """
        if self._readers >= self._readers_max:
            raise TooManyStreams(
                f"{self._readers} streams are open, which is the limit: try again when "
                "one has ended, or raise the limit"
            )
        self._readers += 1
        try:
            connection = await self._take()
        except BaseException:
            self._readers -= 1
            raise
        self._lent.add(connection)
        return connection

    async def give_back(self, connection: ReadConnection) -> None:
        """Take a connection back; one that was not read to its end is closed."""
        self._readers -= 1
        self._lent.discard(connection)
        if not self._is_closed and len(self._idle) < self._idle_max and connection.is_reusable:
            self._idle.append(connection)
        else:
            await connection.aclose()

    async def aclose(self) -> None:
        """End all connections, also those that are read from."""
        self._is_closed = True
        ending = [*self._idle, *self._lent]
        self._idle.clear()
        await asyncio.gather(*(connection.abandon() for connection in ending))

    async def _take(self) -> ReadConnection:
        if self._is_closed:
            raise store_closed()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable:
                return connection
            await connection.aclose()
        connection = await connect_to_read(self._dsn)
        if self._is_closed:  # meanwhile
            await connection.aclose()
            raise store_closed()
        return connection
