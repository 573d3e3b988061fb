"""Jobs that run beside a block, and end it when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def beside(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run jobs while the block runs; the first that fails cancels it, and its error is raised."""
    block = asyncio.current_task()
    assert block is not None, "a block of a coroutine is within a task"
    failures: list[BaseException] = []
    is_running = True

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (failure := task.exception()):
            if is_running and not failures:
                block.cancel()
            failures.append(failure)

    tasks = [asyncio.get_running_loop().create_task(job) for job in jobs]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    except asyncio.CancelledError:
        if not failures:
            raise
        block.uncancel()
        raise failures[0] from None
    finally:
        is_running = False  # a job that fails from now on has nothing to cancel
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if failures:
        raise failures[0]
