"""Blocking calls for asyncio, in threads that the process does not wait for at its end.

A server that hangs cannot keep a service from stopping.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_thread(call: Callable[[], T]) -> asyncio.Future[T]:
    """Run a blocking call in a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    # An error nobody asks for, of a stream that was left, is no news.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def deliver(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T, as there is no error

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as found:
            error = found
        with contextlib.suppress(RuntimeError):  # the loop has gone meanwhile
            loop.call_soon_threadsafe(deliver, result, error)

    threading.Thread(target=run, name="qd-store", daemon=True).start()
    return future
