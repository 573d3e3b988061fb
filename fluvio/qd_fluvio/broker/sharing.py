"""One task at a time that does what several callers wait for: how syncs are shared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


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


def _take_exception(task: asyncio.Task[None]) -> None:
    """Keep the loop from complaining where nobody waits for the run."""
    if not task.cancelled():
        task.exception()
