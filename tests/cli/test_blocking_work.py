"""Blocking work in a thread: who is cancelled while it stops is told no more of it."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from qd_cli.blocking import Meter, run_blocking
from qd_cli.imports import ImportMeter, import_files
from qd_store.errors import ImportStopped

Work = Callable[[threading.Event], None]


def imported(work: Work, monkeypatch: pytest.MonkeyPatch) -> Awaitable[object]:
    def import_paths(*_: object, stop: threading.Event, **__: object) -> None:
        work(stop)

    monkeypatch.setattr("qd_store.imports.import_paths", import_paths)
    meter, nowhere = ImportMeter(), Path("nowhere")
    return import_files("", [], meter, exchange="kraken", rejects_folder=nowhere)


def blocking(work: Work, _: pytest.MonkeyPatch) -> Awaitable[object]:
    def worked(meter: Meter) -> None:
        work(meter.stop)

    return run_blocking("checking", worked, hidden=True)


@pytest.mark.parametrize("run", [imported, blocking])
async def test_cancelled_again_while_it_stops(
    run: Callable[[Work, pytest.MonkeyPatch], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, unheard = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: unheard.append(context))
    begun, goes_on = asyncio.Event(), threading.Event()

    def work(stop: threading.Event) -> None:
        loop.call_soon_threadsafe(begun.set)
        stop.wait()
        goes_on.wait()
        raise ImportStopped("stopped as it was asked to")

    task = asyncio.ensure_future(run(work, monkeypatch))
    await begun.wait()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    goes_on.set()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
    del task, others
    gc.collect()
    assert [context["message"] for context in unheard] == []
