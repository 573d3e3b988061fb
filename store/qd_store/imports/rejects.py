"""The rejects file of one import: ``file,line,reason,text``, and the counts by reason.

It appears whole under its name when the import is done. Beyond `REJECTS_MAX` lines are
counted only.
"""

from __future__ import annotations

import contextlib
import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from qd_store.errors import FolderUnusable
from qd_store.imports.rows import Reason, Rejected
from qd_store.imports.sources import REJECTS_SUFFIX

REJECTS_MAX = 1_000_000


class Rejects:
    """Collects what a source's import refuses."""

    def __init__(self, folder: Path, name: str, symbol: str) -> None:
        self._folder = folder
        self._name = name
        self._symbol = symbol
        self._part = folder / f".{symbol}-{os.getpid()}-{id(self)}.part"
        self._file: IO[str] | None = None
        self._writer: Any = None
        self.counts: Counter[Reason] = Counter()

    @property
    def total(self) -> int:
        """How many lines were refused."""
        return self.counts.total()

    def add(self, rejected: Iterable[Rejected]) -> None:
        """Count and write refused lines."""
        for each in rejected:
            self.counts[each.reason] += 1
            if self.total <= REJECTS_MAX:
                self._write(self._name, each.line, each.reason.value, each.text)

    def complete(self) -> None:
        """Have the whole file on disk: all that can fail is done before the import's commit."""
        if self._file is None:
            return
        if self.total > REJECTS_MAX:
            self._write(self._name, "", f"{self.total - REJECTS_MAX} more lines refused", "")
        with self._writing():
            self._file.close()

    def finish(self, digest: bytes) -> Path | None:
        """Give the completed file its name; None where nothing was refused."""
        if self._file is None:
            return None
        with self._writing():
            path = self._part.replace(self.path(digest))
        self._file = None
        return path

    def discard(self) -> None:
        """Forget the file, unless it is finished."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what it could not write is not wanted
                self._file.close()
            self._file = None
            self._part.unlink(missing_ok=True)

    def path(self, digest: bytes) -> Path:
        """The file's name: of the market and of what was imported."""
        return self._folder / f"{self._symbol}-{digest.hex()[:8]}{REJECTS_SUFFIX}"

    def _write(self, *cells: object) -> None:
        with self._writing():
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = self._part.open("w", newline="", encoding="utf-8")
                self._writer = csv.writer(self._file)
                self._writer.writerow(["file", "line", "reason", "text"])
            self._writer.writerow(cells)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FolderUnusable(
                f"refused lines of {self._name} cannot be written to {self._folder} "
                f"({error.strerror}): make room there, or choose another folder for them"
            ) from error
