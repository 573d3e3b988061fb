"""The main job: a stack of its own, import, stream, alerts, summary, and everything stopped.

It tells a `View` what happens and prints nothing itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from qd_cli.demo.events import View
from qd_cli.demo.plan import Plan
from qd_cli.demo.result import Summary
from qd_cli.demo.work import Work
from qd_cli.errors import OutputClosed, RequestRefused
from qd_cli.imports import find_files
from qd_cli.interrupts import Interrupts
from qd_cli.stack import Choices, StateFolder, Supervisor, qd_parts

UNWIND_SECONDS_MAX = 4.0
"""How long the client may take to log out when the demo is interrupted."""
_REFRESH_SECONDS = 0.12


async def run_demo(plan: Plan, view: View, interrupts: Interrupts) -> Summary:
    """Run the main job and leave nothing behind but what was asked to be kept.

    Parameters
    ----------
    plan : Plan
        What to do.
    view : View
        Sees everything.
    interrupts : Interrupts
        Told when stopping begins, so that no signal breaks it.

    Raises
    ------
    PartFailed
        A process did not start, or died.
    QdError
        Whatever else went wrong.
    """
    if plan.data is not None:
        find_files([plan.data], "kraken")  # before everything is started for nothing
    with _folder(plan.keep) as path:
        folder = StateFolder(path)
        supervisor = Supervisor(folder, qd_parts(), tell=view.part, hurry=interrupts.hurry)
        try:
            work = asyncio.ensure_future(_work(plan, view, supervisor))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                work.cancel()
                await _unwound(work, interrupts.hurry)
                raise
        except BaseException:
            _quietly(view.abandon)
            raise
        finally:
            interrupts.closing()
            _quietly(lambda: view.stage("stopping everything"))
            await supervisor.down()


def _quietly(show: Callable[[], None]) -> None:
    """Show something on a terminal that may have hung up."""
    with contextlib.suppress(OSError, OutputClosed):
        show()


async def _work(plan: Plan, view: View, supervisor: Supervisor) -> Summary:
    async with _ticking(view):
        begin = time.monotonic()
        view.stage("starting the database, the broker, symdb, the gateway and the analytics")
        record = await supervisor.up(Choices(die_with_starter=True, as_shipped=True))
        started = time.monotonic() - begin
        work = Work(plan, view, supervisor.folder, record.settings)
        return await work.run(started)


async def _unwound(work: asyncio.Task[Summary], hurry: asyncio.Event) -> None:
    """Give an interrupted job a moment to clean up after itself, less if in haste."""
    impatience = asyncio.ensure_future(hurry.wait())
    await asyncio.wait(
        {work, impatience}, timeout=UNWIND_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED
    )
    impatience.cancel()


@contextlib.asynccontextmanager
async def _ticking(view: View) -> AsyncIterator[None]:
    """Redraw the view while the block runs."""

    async def tick() -> None:
        while True:
            view.refresh()
            await asyncio.sleep(_REFRESH_SECONDS)

    ticker = asyncio.ensure_future(tick())
    try:
        yield
    finally:
        ticker.cancel()
        await asyncio.wait({ticker})


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Give a temporary folder that is removed, or a new one that stays."""
    if keep is None:
        path = Path(tempfile.mkdtemp(prefix="qd-demo-"))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise RequestRefused(f"{keep} is not empty: give --keep a new folder")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep
