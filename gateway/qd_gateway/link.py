"""The gateway's connection to the cluster as it is now: there, or being made again.

Only the reader of the control topic makes and clears it; all others wait for it.
"""

from __future__ import annotations

import asyncio

from qd_fluvio import Fluvio, Producer
from qd_gateway.limits import OPENING_AT_ONCE


class Link:
    """Holds the current connection."""

    def __init__(self) -> None:
        self._fluvio: Fluvio | None = None
        self._up = asyncio.Event()
        self._opening = asyncio.Semaphore(OPENING_AT_ONCE)

    def set(self, fluvio: Fluvio) -> None:
        """A connection was made."""
        self._fluvio = fluvio
        self._up.set()

    def clear(self) -> None:
        """The connection is of no more use."""
        self._fluvio = None
        self._up.clear()

    async def get(self) -> Fluvio:
        """The connection; waits while there is none."""
        while self._fluvio is None:
            await self._up.wait()
        return self._fluvio

    async def open_producer(self, topic: str) -> Producer:
        """A producer for a topic; a flood of logins opens only a few at a time.

        Raises
        ------
        FluvioError
            It cannot be opened.
        """
        fluvio = await self.get()
        async with self._opening:
            return await fluvio.producer(topic)
