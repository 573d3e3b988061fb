"""Reads one market's stream for a replay, one array ahead and no more.

What is not taken stays with the gateway: the stream's own bound holds it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from qd_client.errors import DataUnavailable
from qd_schemas.arrays import Rows


class Feed:
    """One stream.

    Parameters
    ----------
    stream : asynchronous generator of arrays
        What it reads, and closes.
    on_change : callable
        Called when there is something to take, and when the stream has ended.

    Attributes
    ----------
    has_begun : bool
        True once rows came.
    error : Exception or None
        How the stream ended, where it did not end well.
    is_empty : bool
        True where the gateway said that there is no row in the range.
    """

    def __init__(self, stream: AsyncGenerator[Rows, None], on_change: Callable[[], None]) -> None:
        self.has_begun = False
        self.error: Exception | None = None
        self.is_empty = False
        self._on_change = on_change
        self._waiting: Rows | None = None
        self._room = asyncio.Event()
        self._task = asyncio.create_task(self._read(stream))

    @property
    def is_ended(self) -> bool:
        """True where nothing waits and nothing will come."""
        return self._waiting is None and self._task.done()

    def take(self) -> Rows | None:
        """Take what waits; None where nothing does."""
        rows, self._waiting = self._waiting, None
        self._room.set()
        return rows

    async def aclose(self) -> None:
        """End the stream."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _read(self, stream: AsyncGenerator[Rows, None]) -> None:
        self._task.add_done_callback(lambda _: self._on_change())
        try:
            async with aclosing(stream):
                async for rows in stream:
                    self._room.clear()
                    self._waiting = rows
                    self.has_begun = True
                    self._on_change()
                    await self._room.wait()
        except Exception as error:  # whoever takes the rows meets it where they end
            self.error = error
            self.is_empty = isinstance(error, DataUnavailable) and not self.has_begun
