"""Helpers for tests of stacks: making stand-in parts, finding what a stack left behind."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Protocol

import psutil

from qd_cli.stack import Part
from qd_cli.stack.processes import marked
from qd_cli.stack.record import PART_LABEL


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


def left_over(folder: Path) -> list[str]:
    """Processes that a stack in this folder has left: by their mark, or by their command line."""
    found = {
        identity.pid
        for group in marked(f"QD_STACK={folder}", PART_LABEL).values()
        for identity in group
    }
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in word for word in process.cmdline()):
                found.add(process.pid)
    return [described(pid) for pid in sorted(found)]


def described(pid: int) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{pid} {' '.join(psutil.Process(pid).cmdline())}"
    return f"{pid} (just ended)"
