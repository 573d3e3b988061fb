"""The demo's processes while it works: how much memory they used at most, and whether they live."""

from __future__ import annotations

import asyncio
import os

from qd_cli.errors import PartFailed
from qd_cli.stack import Part, PartState, StateFolder, read_status
from qd_cli.stack.memory import measure
from qd_client.local import Identity

_EVERY_SECONDS = 0.5
_LOG_LINES = 5


class Watchman:
    """Looks at a stack again and again.

    Workers come and go, so peaks are collected while they live.

    Parameters
    ----------
    folder : StateFolder
        The stack's.
    parts : tuple of Part
        What it has.
    """

    def __init__(self, folder: StateFolder, parts: tuple[Part, ...]) -> None:
        self._folder = folder
        self._parts = parts
        self._peaks: dict[str, int] = {}

    async def watch(self) -> None:
        """Look until a part dies.

        Raises
        ------
        PartFailed
            Says which part died, with the end of its log.
        """
        while True:
            self.look()
            await asyncio.sleep(_EVERY_SECONDS)

    def look(self) -> None:
        """Look once."""
        for status in read_status(self._folder, self._parts):
            if status.state is PartState.DIED:
                log = self._folder.log_file(status.name)
                lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
                end = "".join(f"\n  {line}" for line in lines)
                raise PartFailed(f"{status.name} died; the end of its log:{end}")
            if status.peak_memory_bytes is not None:
                known = self._peaks.get(status.name, 0)
                self._peaks[status.name] = max(known, status.peak_memory_bytes)

    def peaks(self) -> dict[str, int]:
        """Return the peak by part in bytes, with this process as ``qd``."""
        own = measure([Identity(os.getpid(), "self")])
        return {**self._peaks, "qd": own.peak_bytes}
