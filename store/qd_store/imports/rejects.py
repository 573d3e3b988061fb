"""The rejects file of one import: ``file,line,reason,text``, and the counts by reason.

It has no name, and so is gone however an import ends, until it appears whole just before the
commit. Beyond `REJECTS_MAX` lines are counted only.
"""

from __future__ import annotations

import contextlib
import csv
import shutil
import tempfile
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
        self._file: IO[str] | None = None
        self._named: Path | None = None
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

    def finish(self, digest: bytes) -> Path | None:
        """Give the file its name, before the import's commit; None where nothing was refused.

        An import that is killed between the two does the same again when it is run again.
        """
        if self._file is None:
            return None
        if self.total > REJECTS_MAX:
            self._write(self._name, "", f"{self.total - REJECTS_MAX} more lines refused", "")
        path = self.path(digest)
        with self._writing():
            self._file.seek(0)
            part = path.with_name(f".{path.name}.part")
            self._named = part
            with part.open("w", newline="", encoding="utf-8") as named:
                shutil.copyfileobj(self._file, named)
            self._named = part.replace(path)
            self._file.close()
        self._file = None
        return path

    def discard(self) -> None:
        """Forget all of it, also a file that has its name."""
        with contextlib.suppress(OSError):  # what it could not write is not wanted
            if self._file is not None:
                self._file.close()
            if self._named is not None:
                self._named.unlink(missing_ok=True)
        self._file = self._named = None

    def path(self, digest: bytes) -> Path:
        """The file's name: of the market and of what was imported."""
        return self._folder / f"{self._symbol}-{digest.hex()[:8]}{REJECTS_SUFFIX}"

    def _write(self, *cells: object) -> None:
        with self._writing():
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(  # noqa: SIM115 (closed by both ends)
                    "w+", newline="", encoding="utf-8", dir=self._folder, prefix="qd-rejects-"
                )
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
