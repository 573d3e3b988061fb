"""What waits for one stream's iterator: records in order, bounded, and how it ended.

No I/O. One reader puts, one iterator takes. When an inbox is full its reader waits, so a
slow iterator slows its own stream down and holds a bounded number of bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from qd_client.limits import STREAM_BYTES_MAX, TAKE_BYTES_MAX
from qd_schemas.errors import QdError


class Inbox:
    """Records of one stream.

    Parameters
    ----------
    on_change : callable
        Called when room was made or the iterator began to wait.

    Attributes
    ----------
    is_detached : bool
        True once the stream is read by a reader of its own.
    begun : asyncio.Event
        Set once a first record or a failure came.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._payloads: deque[bytes] = deque()
        self._bytes = 0
        self._error: QdError | None = None
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._on_change = on_change
        self._takes = False
        self.is_detached = False
        self.begun = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """True where the reader must wait before it puts more."""
        return self._bytes >= STREAM_BYTES_MAX and self._error is None

    @property
    def is_starved(self) -> bool:
        """True where the iterator waits for a record."""
        return self._takes and not self._payloads

    def put(self, payload: bytes) -> None:
        """Add a record, unless the stream failed. The limit is the reader's to keep."""
        if self._error is not None:
            return
        self._payloads.append(payload)
        self._bytes += len(payload)
        self._arrived.set()
        self.begun.set()

    def fail(self, error: QdError) -> None:
        """Nothing more will come: `take` raises the error after what waits."""
        if self._error is None:
            self._error = error
            self._arrived.set()
            self._room.set()
            self.begun.set()
            self._on_change()

    async def room(self) -> None:
        """Wait until there is room."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    async def take(self) -> list[bytes]:
        """Wait for records and take what waits, up to about `TAKE_BYTES_MAX`.

        Raises
        ------
        QdError
            What `fail` was given, once nothing waits any more.
        """
        while not self._payloads:
            if self._error is not None:
                raise self._error.with_traceback(None)
            await self._wait()
        taken: list[bytes] = []
        size = 0
        while self._payloads and size < TAKE_BYTES_MAX:
            payload = self._payloads.popleft()
            size += len(payload)
            taken.append(payload)
        self._bytes -= size
        self._room.set()
        self._on_change()
        return taken

    async def _wait(self) -> None:
        self._takes = True
        self._on_change()
        try:
            self._arrived.clear()
            await self._arrived.wait()
        finally:
            self._takes = False
