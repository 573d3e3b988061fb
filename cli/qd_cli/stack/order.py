"""Acting on parts in order: each after those it waits for, independent ones together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from qd_schemas.errors import QdError


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

    try:
        async with asyncio.TaskGroup() as group:
            for name in waits_for:
                group.create_task(one(name))
    except BaseExceptionGroup as failures:
        raise _first(failures) from None


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Pick the one error that a user should see."""
    flat = [
        _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
        for failure in failures.exceptions
    ]
    return next((failure for failure in flat if isinstance(failure, QdError)), flat[0])
