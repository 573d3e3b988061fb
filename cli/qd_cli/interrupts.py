"""Running a command's coroutine so that Ctrl-C, SIGTERM and a hang-up end it in order.

The first signal cancels the coroutine, which then cleans up. A coroutine that owns
processes calls `Interrupts.closing` before it stops them: from then on a signal no longer
breaks the clean-up. The second signal asks for haste: kill instead of waiting.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from qd_cli.errors import Interrupted

T = TypeVar("T")
_HASTE = 2
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The signals that arrived while a command runs."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The first signal that arrived."""
        self.hurry = asyncio.Event()
        """Set when the user asked again while things were being stopped."""
        self._task: asyncio.Task[Any] | None = None
        self._closing = False
        self._count = 0

    def closing(self) -> None:
        """From now on no signal cancels anything; a second one still asks for haste."""
        self._closing = True

    def watch(self, task: asyncio.Task[Any]) -> None:
        """Cancel this task when a signal arrives."""
        self._task = task

    def arrived(self, number: int) -> None:
        """Take a signal: the first cancels, the second asks for haste, more cancel again."""
        self._count += 1
        if self.number is None:
            self.number = number
        if self._count == _HASTE:
            self.hurry.set()
        elif not self._closing and self._task is not None:
            self._task.cancel()


def run(main: Callable[[Interrupts], Awaitable[T]]) -> T:
    """Run a coroutine to its end, or to its end in order after a signal.

    Raises
    ------
    Interrupted
        A signal arrived; the coroutine has cleaned up.
    """
    return asyncio.run(_watched(main))


async def _watched(main: Callable[[Interrupts], Awaitable[T]]) -> T:
    interrupts = Interrupts()
    task = asyncio.ensure_future(main(interrupts))
    interrupts.watch(task)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, interrupts.arrived, number)
    try:
        # Not awaited itself: if the loop's own task is cancelled, this one must still end.
        await asyncio.wait({task})
        result = task.result()
    except asyncio.CancelledError:
        if interrupts.number is None:
            raise
        raise Interrupted(interrupts.number) from None
    except BaseException:
        if interrupts.number is not None:  # what broke while it was being ended is no news
            raise Interrupted(interrupts.number) from None
        raise
    if interrupts.number is not None:
        raise Interrupted(interrupts.number)
    return result
