"""Helpers for tests of stacks: making stand-in parts, finding what a stack left behind."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Protocol

import psutil

from qd_cli.stack import Part

END_SECONDS_MAX = 60.0


class MakePart(Protocol):
    """Makes a stand-in part that behaves as told."""

    def __call__(
        self,
        name: str,
        behaviour: str = "good",
        *,
        needs: tuple[str, ...] = (),
        gives: str | None = None,
        endpoint: str = "127.0.0.1:1",
    ) -> Part: ...


def left_over(folder: Path) -> list[psutil.Process]:
    """Processes that have to do with a folder: by environment, command line or descent.

    The environment names the stack's folder also for processes that left their parent.
    """
    found = {process for process in psutil.process_iter() if _names(process, str(folder))}
    for process in list(found):
        with contextlib.suppress(psutil.Error):
            found.update(process.children(recursive=True))
    return [process for process in found if _is_alive(process)]


def _names(process: psutil.Process, folder: str) -> bool:
    with contextlib.suppress(psutil.Error):
        values = [*process.cmdline(), process.environ().get("QD_STACK", "")]
        return any(folder in value for value in values)
    return False


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def until_nothing_left(folder: Path) -> None:
    """Wait until no process has to do with this folder or one below it."""
    deadline = time.monotonic() + END_SECONDS_MAX
    while left := left_over(folder):
        assert time.monotonic() < deadline, f"left behind: {left}"
        psutil.wait_procs(left, timeout=1)
