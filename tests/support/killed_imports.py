"""What children of `support.forks` do: import, die on the way, tell what it took."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from qd_store.imports import import_paths, sorting, sources
from qd_store.tables import plain

# Pyarrow imports pandas at its first use, where that is installed: once here, or in each child.
with contextlib.suppress(ImportError):
    import pandas  # noqa: F401

KIB = 1024


def import_and_die(
    dsn: str,
    paths: list[str],
    rejects: str,
    die_at: int | None,
    options: dict[str, Any],
    signal_number: int = signal.SIGKILL,
) -> int | None:
    """Import in small blocks; signal itself at a step, which are statements, writes, blocks.

    Returns
    -------
    int or None
        How many steps it took; None if Ctrl-C ended it.
    """
    steps = 0

    def step(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == die_at:
            os.kill(os.getpid(), signal_number)

    _before(psycopg.Cursor, "execute", step)
    _before(psycopg.Copy, "write", step)
    _before(Path, "replace", step)  # gives the file of refused lines its name
    _small(block_bytes=10_000, run_rows=500)
    try:
        import_paths(dsn, paths, rejects_folder=Path(rejects), progress=step, **options)
    except KeyboardInterrupt:
        return None
    return steps


def import_and_measure(dsn: str, paths: list[str], rejects: str) -> dict[str, int]:
    """Import one file at a time, in blocks, runs and segments of some thousand rows.

    Returns
    -------
    dict
        ``rows`` added, ``base`` and ``peak`` bytes of memory before and at most.
    """
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _small(block_bytes=sources.BLOCK_BYTES // 10, run_rows=sorting.RUN_ROWS // 20)
    plain.SEGMENT_ROWS = plain.SEGMENT_ROWS // 20  # type: ignore[misc]
    report = import_paths(dsn, paths, rejects_folder=Path(rejects), parallel=1)
    assert not report.refused, report
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rows": report.rows, "base": base * KIB, "peak": peak * KIB}


def _small(block_bytes: int, run_rows: int) -> None:
    """Let a small file take all the ways of a large one. Each child is a process of its own."""
    sources.BLOCK_BYTES = block_bytes
    sorting.MERGE_ROWS = run_rows // 4
    sorting.SortedSpill.__init__.__defaults__ = (None, run_rows)


def _before(owner: type, name: str, step: Callable[..., None]) -> None:
    original = getattr(owner, name)

    def both(*args: Any, **kwargs: Any) -> Any:
        step()
        return original(*args, **kwargs)

    setattr(owner, name, both)
