"""An event loop in a thread of its own, for programs that have none.

Calls wait for coroutines that run there; Ctrl-C ends the call and leaves the loop usable.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from qd_client.errors import UsageError

LOOK_SECONDS = 0.5
"""How long a wait is that nothing interrupts."""
T = TypeVar("T")


class LoopThread:
    """Runs coroutines for threads without a loop; end it with `close`.

    Notebooks run a loop in the thread of their cells, which stands still while a cell
    runs. Cells may wait here, as may whatever else runs at the level of a module; coroutines
    may not, because everything else of their loop would wait, too.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qd", daemon=True)
        self._thread.start()
        self._calls: set[_Call[Any]] = set()
        self._closed = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine's result, or raise what it raises.

        An interrupted wait cancels the coroutine and waits for its end; interrupting that,
        too, leaves it to its fate.

        Raises
        ------
        UsageError
            The thread is closed, or a coroutine called.
        """
        try:
            self._check()
        except UsageError:
            work.close()
            raise
        call = _Call(work)
        try:
            self._calls.add(call)
            self._tell(lambda: call.end() if self._closed else call.begin())
            call.wait()
            return call.result()
        finally:
            if not call.is_done:  # the wait was interrupted
                self._tell(call.end)
                call.wait()
            self._calls.discard(call)

    def iterate(self, values: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """Give what an asynchronous generator gives; leaving early closes it."""
        end = object()

        async def following() -> T | object:
            return await anext(values, end)

        try:
            while (value := self.run(following())) is not end:
                yield value  # type: ignore[misc]  # what is not the end is a value
        finally:
            self._end(values)

    def close(self) -> None:
        """End all that runs, and the thread."""
        if self._closed:
            return
        self._closed = True
        ending = _Call(_end_others())
        self._loop.call_soon_threadsafe(ending.begin)
        ending.wait()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for call in list(self._calls):  # of threads that began one at the last moment
            call.end()

    def _tell(self, step: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(step)
        except RuntimeError:  # it was closed just now
            step()

    def _end(self, values: AsyncGenerator[Any, None]) -> None:
        if self._closed:
            return
        if threading.current_thread() is self._thread:
            # The garbage collector, which runs anywhere, closes an iterator that was dropped.
            self._loop.create_task(_closed(values))
        else:
            self.run(values.aclose())

    def _check(self) -> None:
        if self._closed:
            raise UsageError("the client is closed; open another")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        if not _is_cell():
            raise UsageError("called from a coroutine; use the asynchronous client there")


class _Call(Generic[T]):
    """A coroutine that runs in a loop, and how it ended.

    A Ctrl-C may come anywhere in the waiting thread, so nothing there holds a lock of Python's
    own: the futures of `concurrent` would keep theirs, and the loop would wait for it for ever.

    Attributes
    ----------
    is_done : bool
        True once nothing of it runs any more.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._bell: SimpleQueue[None] = SimpleQueue()
        self.is_done = False

    def begin(self) -> None:
        """Run the coroutine, in the loop's thread."""
        self._task = asyncio.get_running_loop().create_task(self._work)
        self._task.add_done_callback(lambda _: self._settle())

    def end(self) -> None:
        """Cancel the coroutine, in the loop's thread or after it."""
        if self._task is not None:
            self._task.cancel()
        else:
            self._work.close()
            self._settle()

    def wait(self) -> None:
        """Wait until it is done, in another thread than the loop's."""
        while not self.is_done:
            with suppress(Empty):  # Python does not see a Ctrl-C that comes just as it waits
                self._bell.get(timeout=LOOK_SECONDS)

    def result(self) -> T:
        """What the coroutine gave, or raised."""
        if self._task is None or self._task.cancelled():
            raise UsageError("the client was closed while this call waited")
        return self._task.result()

    def _settle(self) -> None:
        self.is_done = True
        self._bell.put(None)


async def _closed(values: AsyncGenerator[Any, None]) -> None:
    await values.aclose()


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def _is_cell() -> bool:
    """Tell whether a module's level, such as a notebook's cell, called before any coroutine.

    In IPython what a widget calls back, too, has a coroutine of the kernel below it only.
    """
    shell = sys.modules.get("IPython")
    if shell is not None and shell.get_ipython() is not None:
        return True
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "<module>":
        if frame.f_code.co_flags & _COROUTINE:
            return False
        frame = frame.f_back
    return frame is not None


_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
