"""Blocking work in a thread, beneath a bar that says how far it is, and ended by a signal."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from qd_cli import console
from qd_cli.tasks import beside

A = TypeVar("A")
T = TypeVar("T")
_SHOW_SECONDS = 0.1


@dataclass(slots=True)
class Meter:
    """How far the work is: written by its thread, read by the bar.

    Attributes
    ----------
    done, total : int
        Trades.
    what : str
        What is at hand.
    stop : threading.Event
        Set where the work is to end soon.
    """

    done: int = 0
    total: int = 0
    what: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)

    def take(self, done: int, total: int, what: str) -> None:
        """Note how far it is."""
        self.done, self.total, self.what = done, total, what


def in_thread(work: Callable[[A], T], argument: A) -> asyncio.Future[T]:
    """Begin blocking work, whose error is no surprise where nobody waits for it any more.

    Who is cancelled again while it stops does not see how it ends.
    """
    thread = asyncio.ensure_future(asyncio.to_thread(work, argument))
    thread.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return thread


async def run_blocking(verb: str, work: Callable[[Meter], T], *, hidden: bool) -> T:
    """Run blocking work; cancelling this stops it, and waits until it has ended.

    Parameters
    ----------
    verb : str
        What the bar calls it, such as ``checking``.
    work : callable
        Gets the meter, fills it, and heeds its `Meter.stop`.
    hidden : bool
        Show no bar.
    """
    meter = Meter()
    thread = in_thread(work, meter)
    try:
        async with beside(_show(verb, meter, hidden=hidden)):
            return await asyncio.shield(thread)
    except asyncio.CancelledError:
        meter.stop.set()
        await asyncio.wait({thread})
        raise


async def _show(verb: str, meter: Meter, *, hidden: bool) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    err = console.console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rows]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    off = hidden or not err.is_terminal
    with Progress(*columns, console=err, transient=True, disable=off) as bar:
        task = bar.add_task(verb, total=None, rows="", rate="")
        while True:
            bar.update(
                task,
                description=f"{verb} {meter.what}",
                completed=meter.done,
                total=meter.total or None,
                rows=f"{console.count(meter.done)} trades",
                rate=console.rate(meter.done / max(time.monotonic() - meter.began, 1e-9)),
            )
            await asyncio.sleep(_SHOW_SECONDS)
