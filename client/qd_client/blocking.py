"""An event loop in a thread of its own, for programs that have none.

Calls wait for coroutines that run there; Ctrl-C ends the call and leaves the loop usable.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, TypeVar

from qd_client.errors import UsageError

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for threads without a loop; end it with `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qd", daemon=True)
        self._thread.start()
        self._closed = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine's result, or raise what it raises.

        Raises
        ------
        UsageError
            The thread is closed, or this is a thread with a running loop, which would stand
            still meanwhile.
        """
        try:
            self._check()
        except UsageError:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # where the wait was interrupted

    def iterate(self, values: AsyncGenerator[T, None]) -> Iterator[T]:
        """Give what an asynchronous generator gives; leaving early closes it."""
        end = object()

        async def following() -> T | object:
            return await anext(values, end)

        try:
            while (value := self.run(following())) is not end:
                yield value  # type: ignore[misc]  # what is not the end is a value
        finally:
            if not self._closed:
                self.run(values.aclose())

    def close(self) -> None:
        """End all that runs, and the thread."""
        if self._closed:
            return
        self._closed = True
        asyncio.run_coroutine_threadsafe(_end_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _check(self) -> None:
        if self._closed:
            raise UsageError("the client is closed; open another")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise UsageError("called from a coroutine; use the asynchronous client there")


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
