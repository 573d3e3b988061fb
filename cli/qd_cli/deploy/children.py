"""Ending child processes of an event loop. It knows nothing of what they are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Final

_END_SECONDS: Final = 2.0


def tell(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended.

    asyncio's own way first asks whether it has (before Python 3.12), and whoever learns that first
    is the only one: the loop then warns of an unknown child.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of a process."""
    tell(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
    except TimeoutError:
        tell(process, signal.SIGKILL)
        await process.wait()
