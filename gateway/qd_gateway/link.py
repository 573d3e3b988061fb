"""The gateway's connection to the cluster as it is now: there, or being made again.

Only the reader of the control topic makes and clears it; all others wait for it.
"""

from __future__ import annotations

import asyncio

from qd_fluvio import Fluvio


class Link:
    """Holds the current connection."""

    def __init__(self) -> None:
        self._fluvio: Fluvio | None = None
        self._up = asyncio.Event()

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
