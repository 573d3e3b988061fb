"""The loop's thread: who may wait for it, what an interruption leaves, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from qd_client import UsageError
from qd_client.blocking import LoopThread

INTERRUPTIONS = 400


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


async def value(given: Any) -> Any:
    return given


async def numbers(
    ended: list[str], closed: threading.Event | None = None
) -> AsyncGenerator[int, None]:
    try:
        for number in range(1_000):
            await asyncio.sleep(0)
            yield number
    finally:
        await asyncio.sleep(0)
        ended.append("closed")
        if closed is not None:
            closed.set()


def test_results_errors_and_iterators(thread: LoopThread) -> None:
    async def failing() -> None:
        raise KeyError("x")

    assert thread.run(value(7)) == 7
    with pytest.raises(KeyError):
        thread.run(failing())
    ended: list[str] = []
    assert sum(thread.iterate(numbers(ended))) == 499_500
    some = thread.iterate(numbers(ended))
    assert [next(some), next(some)] == [0, 1]
    some.close()
    assert ended == ["closed", "closed"]


def test_an_iterator_dropped_in_a_cycle_is_closed_wherever_it_is_collected(
    thread: LoopThread,
) -> None:
    closed = threading.Event()

    async def collect() -> None:
        gc.collect()  # in the loop's own thread, which must not wait for itself

    dropped = [thread.iterate(numbers([], closed))]
    next(dropped[0])
    dropped.append(dropped)  # type: ignore[arg-type]  # a cycle
    gc.disable()
    try:
        del dropped
        thread.run(collect())
    finally:
        gc.enable()
    assert closed.wait(60)


def test_an_interruption_waits_for_the_end_of_the_call(thread: LoopThread) -> None:
    steps: list[str] = []
    waiting = threading.Event()

    async def slow() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    def interrupt() -> None:
        waiting.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        thread.run(slow())
    interrupting.join()
    assert steps == ["cleaned up"]
    assert thread.run(value("usable")) == "usable"


def test_an_interruption_may_come_at_any_moment(thread: LoopThread) -> None:
    """Also where a wait begins or ends: the loop must not be left to wait for a lock."""
    called, chance = threading.Event(), random.Random(1)

    def interrupt() -> None:
        for _ in range(INTERRUPTIONS):
            called.wait()
            called.clear()
            until = time.perf_counter() + chance.random() * 0.0005
            while time.perf_counter() < until:
                pass
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def call() -> None:
        called.set()
        thread.run(asyncio.Event().wait())

    interrupting = threading.Thread(target=interrupt, daemon=True)
    interrupting.start()
    for _ in range(INTERRUPTIONS):
        with pytest.raises(KeyboardInterrupt):
            call()
    interrupting.join()
    assert thread.run(value("usable")) == "usable"


def test_closing_ends_calls_of_other_threads() -> None:
    thread = LoopThread()
    errors: list[Exception] = []
    waiting = threading.Event()

    async def forever() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            thread.run(forever())
        except UsageError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    waiting.wait()
    thread.close()
    caller.join()
    assert [str(error) for error in errors] == ["the client was closed while this call waited"]
    with pytest.raises(UsageError, match="closed; open another"):
        thread.run(asyncio.sleep(0))
    thread.close()


async def test_a_coroutine_may_not_wait(thread: LoopThread) -> None:
    with pytest.raises(UsageError, match="called from a coroutine"):
        thread.run(asyncio.sleep(0))


CELL = """
import asyncio
from qd_client.blocking import LoopThread
thread = LoopThread()
async def value(given):
    return given
def helper():
    return thread.run(value("waited"))
async def kernel():
    exec(compile("print(helper())", "<cell>", "exec"), globals())
asyncio.run(kernel())
thread.close()
"""


def test_the_cell_of_a_running_loop_may_wait() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(CELL)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("waited\n", "")
