"""Acting on parts in order: each after those it waits for, independent ones together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from qd_cli.tasks import together


async def in_order(
    waits_for: Mapping[str, Iterable[str]], act: Callable[[str], Awaitable[None]]
) -> None:
    """Act on every name once all that it waits for are done.

    Parameters
    ----------
    waits_for : mapping of str to iterable of str
        For each name the names that come first; those that are not keys are ignored.
    act : callable
        When one fails the others are cancelled, and its error is raised.
    """
    done = {name: asyncio.Event() for name in waits_for}

    async def one(name: str) -> None:
        for earlier in waits_for[name]:
            if earlier in done:
                await done[earlier].wait()
        await act(name)
        done[name].set()

    await together(*(one(name) for name in waits_for))
