"""Rows of any number in stable time order, in bounded memory: an external merge sort.

Rows are sorted in runs, written to a file without a name (gone with the process, however it
ends), and merged with whole arrays. Rows of equal time keep the order they came in. Input
that is nearly sorted makes few runs.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from qd_schemas.arrays import Rows
from qd_store.errors import FolderUnusable
from qd_store.imports.rows import RAW

RUN_ROWS = 500_000  # 16 MB, of which sorting makes two copies
MERGE_ROWS = 131_072  # of all runs together; as many again while they are merged
WINDOW_ROWS_MIN = 256  # of one run; reached with 512 runs, of 256 million rows in no order
WINDOW_ROWS_MAX = 65_536


class SortedSpill:
    """Takes rows in file order, gives them back in time order."""

    def __init__(self, folder: Path | None = None, run_rows: int = RUN_ROWS) -> None:
        with _writing(folder):
            self._file = tempfile.TemporaryFile(dir=folder, prefix="qd-sort-")  # noqa: SIM115 (closed on exit)
        self._folder = folder
        self._run_rows = run_rows
        self._waiting: list[Rows] = []
        self._waiting_rows = 0
        self._runs: list[tuple[int, int]] = []  # first row and end row in the file
        self._last_time = 0

    def __enter__(self) -> SortedSpill:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take is not wanted
            self._file.close()

    def add(self, rows: Rows) -> None:
        """Take rows that follow those taken so far in the file."""
        if len(rows):
            self._waiting.append(rows)
            self._waiting_rows += len(rows)
        if self._waiting_rows >= self._run_rows:
            self._write_run()

    def merged(self) -> Iterator[Rows]:
        """All rows taken, in time order, equal times in the order taken."""
        self._write_run()
        window = MERGE_ROWS // max(len(self._runs), 1)
        window = min(max(window, WINDOW_ROWS_MIN), WINDOW_ROWS_MAX)
        cursors = [_Cursor(self._file.fileno(), *run) for run in self._runs]
        while cursors:
            for cursor in cursors:
                cursor.fill(window)
            bounds = [int(cursor.rows["time"][-1]) for cursor in cursors if cursor.unread]
            if bounds:
                yield from _before(cursors, min(bounds), window)
            else:
                yield _stable([cursor.rows for cursor in cursors])
                return
            cursors = [cursor for cursor in cursors if len(cursor.rows) or cursor.unread]

    def _write_run(self) -> None:
        if not self._waiting:
            return
        rows = _stable(self._waiting)
        self._waiting, self._waiting_rows = [], 0
        start = self._runs[-1][1] if self._runs else 0
        end = start + len(rows)
        with _writing(self._folder):
            self._file.write(rows.view(np.uint8).data)
            self._file.flush()
        if self._runs and int(rows["time"][0]) >= self._last_time:
            self._runs[-1] = (self._runs[-1][0], end)  # goes on where the last one ended
        else:
            self._runs.append((start, end))
        self._last_time = int(rows["time"][-1])


@contextlib.contextmanager
def _writing(folder: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = folder or "the temporary folder"
        raise FolderUnusable(
            f"rows out of order cannot be sorted in {where} ({error.strerror}): make room "
            "there, or choose another folder (TMPDIR)"
        ) from error


class _Cursor:
    """Where the merge is in one run."""

    def __init__(self, descriptor: int, start: int, end: int) -> None:
        self._descriptor = descriptor
        self._next = start
        self._end = end
        self.rows: Rows = np.empty(0, RAW)

    @property
    def unread(self) -> int:
        return self._end - self._next

    def fill(self, window: int) -> None:
        """Have at least `window` rows at hand, or all that are left."""
        if len(self.rows) >= window or not self.unread:
            return
        count = min(window, self.unread)
        data = os.pread(self._descriptor, count * RAW.itemsize, self._next * RAW.itemsize)
        read = np.frombuffer(data, RAW)
        self._next += len(read)
        self.rows = np.concatenate((self.rows, read))

    def take(self, count: int) -> Rows:
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken


def _before(cursors: list[_Cursor], bound: int, window: int) -> Iterator[Rows]:
    """The rows before a time up to which all cursors have read; if none, those at it."""
    counts = [int(np.searchsorted(cursor.rows["time"], bound)) for cursor in cursors]
    if any(counts):
        yield _stable([c.take(n) for c, n in zip(cursors, counts, strict=True) if n])
        return
    for cursor in cursors:  # one run after the other: its rows came before the next one's
        while count := int(np.searchsorted(cursor.rows["time"], bound, side="right")):
            yield cursor.take(count)
            cursor.fill(window)


def _stable(parts: list[Rows]) -> Rows:
    rows = np.concatenate(parts)
    return rows[np.argsort(rows["time"], kind="stable")]
