"""Work that goes on where a caller is cancelled: shared by several, or too far to turn back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

R = TypeVar("R")
_UNDER_WAY: set[asyncio.Task[Any]] = set()


class SharedTask:
    """Runs a coroutine, and lets whoever comes meanwhile wait for the same run."""

    def __init__(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """The run that is under way, or a new one."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())
            self._task.add_done_callback(_take_exception)
        return self._task

    async def join(self) -> None:
        """Wait for one run; a caller that is cancelled does not take it from the others."""
        await asyncio.shield(self.start())

    async def finish(self) -> None:
        """Wait until nothing runs."""
        if self._task is not None:
            await asyncio.wait([self._task])


async def to_the_end(work: Coroutine[None, None, R]) -> R:
    """Wait for `work`, which is not left half done where the caller is cancelled."""
    task = asyncio.get_running_loop().create_task(work)
    _UNDER_WAY.add(task)  # the loop itself would forget it
    task.add_done_callback(_UNDER_WAY.discard)
    task.add_done_callback(_take_exception)
    return await asyncio.shield(task)


async def all_ended() -> None:
    """Wait for what `to_the_end` has begun, and nobody may wait for any more."""
    loop = asyncio.get_running_loop()
    while ours := [task for task in _UNDER_WAY if task.get_loop() is loop]:
        await asyncio.wait(ours)


def _take_exception(task: asyncio.Task[Any]) -> None:
    """Keep the loop from complaining where nobody waits for the run."""
    if not task.cancelled():
        task.exception()
