"""How a connection that is left closes its producers, whichever client they are of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol


class Closable(Protocol):
    """A producer that knows whether its error was told to who sends."""

    error_was_raised: bool

    async def aclose(self) -> None:
        """Flush and close, or raise."""


async def close_all(producers: Iterable[Closable]) -> None:
    """Close producers at the same time; raise the first error that nobody was told yet."""
    unheard = [producer for producer in producers if not producer.error_was_raised]
    closed = await asyncio.gather(*(p.aclose() for p in unheard), return_exceptions=True)
    for error in closed:
        if error is not None:
            raise error
