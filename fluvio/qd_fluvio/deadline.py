"""The deadline of a call: a typed error instead of waiting for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from qd_fluvio.errors import DeadlineExceeded, FluvioError


@contextlib.asynccontextmanager
async def deadline(
    seconds: float, doing: str, endpoint: str, error: type[FluvioError] = DeadlineExceeded
) -> AsyncIterator[None]:
    """Let the block take at most `seconds`, then raise `error`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise error(
            f"{doing} on {endpoint}: no answer within {seconds:g} s; "
            "check the endpoint and that the cluster is up and not overloaded"
        ) from None
