"""Importing files from a coroutine, with how far it is; `qd_store.imports` does the work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qd_cli.blocking import in_thread

if TYPE_CHECKING:
    from qd_store.imports import ImportReport, Progress
    from qd_store.tables import RefreshProgress

Work = Callable[[threading.Event], "ImportReport"]
"""A blocking import, which stops when the event is set."""


@dataclass(slots=True)
class ImportMeter:
    """How far an import is. Written by the import's threads, read by whoever shows it.

    Attributes
    ----------
    bytes_total, files_total : int
        Of all files, as far as they were found.
    latest : Progress or None
        What was read last.
    refresh : RefreshProgress or None
        How far the bars are, which follow the files.
    """

    bytes_total: int = 0
    files_total: int = 0
    began: float = field(default_factory=time.monotonic)
    latest: Progress | None = None
    refresh: RefreshProgress | None = None
    _rows: dict[str, int] = field(default_factory=dict)
    _bytes: dict[str, int] = field(default_factory=dict)

    def expect(self, files: Mapping[str, int]) -> None:
        """Note how much there is to do: all files, with their bytes."""
        self.files_total = len(files)
        self.bytes_total = sum(files.values())

    def take(self, progress: Progress) -> None:
        """Note a file's progress; one that is read twice does not count back."""
        name = progress.file
        self._rows[name] = max(self._rows.get(name, 0), progress.rows)
        self._bytes[name] = max(self._bytes.get(name, 0), progress.bytes_done)
        self.latest = progress

    def take_refresh(self, progress: RefreshProgress) -> None:
        """Note how far the bars are."""
        self.refresh = progress

    @property
    def files(self) -> int:
        """Files begun so far."""
        return len(self._rows)

    @property
    def rows(self) -> int:
        """Rows read so far."""
        return sum(list(self._rows.values()))

    @property
    def bytes_done(self) -> int:
        """Bytes read so far."""
        return sum(list(self._bytes.values()))

    @property
    def rows_per_second(self) -> float:
        """Mean rate so far."""
        return self.rows / max(time.monotonic() - self.began, 1e-9)


def find_files(paths: Sequence[Path | str], exchange: str) -> dict[str, int]:
    """Look at names and zips' directories only: each file, with its bytes.

    Raises
    ------
    QdError
        There is nothing to import at a path.
    """
    from qd_store.exchanges import find_exchange
    from qd_store.imports.sources import find_sources

    sources = find_sources(paths, find_exchange(exchange))
    return {source.name: source.bytes_total for source in sources}


async def import_files(
    dsn: str,
    paths: Sequence[Path | str],
    meter: ImportMeter,
    *,
    exchange: str,
    rejects_folder: Path,
    scratch_folder: Path | None = None,
    parallel: int | None = None,
    strict: bool = False,
) -> ImportReport:
    """Import files; cancelling it stops the import between two blocks.

    Parameters
    ----------
    meter : ImportMeter
        Filled while it runs.

    Other parameters and errors are those of `qd_store.imports.import_paths`.
    """
    from qd_store.imports import import_paths

    def work(stop: threading.Event) -> ImportReport:
        return import_paths(
            dsn,
            paths,
            exchange=exchange,
            rejects_folder=rejects_folder,
            scratch_folder=scratch_folder,
            expecting=meter.expect,
            progress=meter.take,
            refreshing=meter.take_refresh,
            stop=stop,
            parallel=parallel,
            strict=strict,
        )

    return await _stoppable(work)


async def check_files(
    paths: Sequence[Path | str], meter: ImportMeter, *, exchange: str, strict: bool = False
) -> ImportReport:
    """Only read the files; parameters and errors are those of `qd_store.imports.check_files`."""
    from qd_store import imports

    def work(stop: threading.Event) -> ImportReport:
        return imports.check_files(
            paths,
            exchange=exchange,
            expecting=meter.expect,
            progress=meter.take,
            stop=stop,
            strict=strict,
        )

    return await _stoppable(work)


async def _stoppable(work: Work) -> ImportReport:
    """Run an import; being cancelled stops it."""
    stop = threading.Event()
    thread = in_thread(work, stop)
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({thread})
        raise
