"""Trying again for a moment what does not answer yet. It knows no command.

Where a command is the first thing that a new pod does, the network may not know the pod yet, and
refuse it for some seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from qd_cli import console
from qd_schemas.errors import QdError

T = TypeVar("T")
PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 1.0


async def patiently(connect: Callable[[], Awaitable[T]], may_pass: Callable[[QdError], bool]) -> T:
    """Call until it succeeds, fails by what cannot pass, or the patience is at its end."""
    clock = asyncio.get_running_loop().time
    end: float | None = None
    while True:
        try:
            return await connect()
        except QdError as error:
            if not may_pass(error):
                raise
            if end is None:
                console.say(f"{error}; trying again for {PATIENCE_SECONDS:.0f} s")
                end = clock() + PATIENCE_SECONDS
            elif clock() >= end:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
