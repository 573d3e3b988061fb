"""Importing files from a coroutine, with how far it is; `qd_store.imports` does the work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qd_store.imports import ImportReport, Progress


@dataclass(slots=True)
class ImportMeter:
    """How far an import is. Written by the import's threads, read by whoever shows it.

    Attributes
    ----------
    bytes_total : int
        Size of all files, as far as they were found.
    """

    bytes_total: int = 0
    began: float = field(default_factory=time.monotonic)
    _rows: dict[str, int] = field(default_factory=dict)
    _bytes: dict[str, int] = field(default_factory=dict)

    def take(self, progress: Progress) -> None:
        """Note a file's progress; one that is read twice does not count back."""
        name = progress.file
        self._rows[name] = max(self._rows.get(name, 0), progress.rows)
        self._bytes[name] = max(self._bytes.get(name, 0), progress.bytes_done)

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


def check_paths(paths: Sequence[Path], exchange: str) -> None:
    """Look at names and zips' directories only.

    Raises
    ------
    QdError
        There is nothing to import at a path.
    """
    from qd_store.exchanges import find_exchange
    from qd_store.imports.sources import find_sources

    find_sources(paths, find_exchange(exchange))


async def import_files(
    dsn: str,
    paths: Sequence[Path],
    meter: ImportMeter,
    *,
    exchange: str,
    rejects_folder: Path,
    scratch_folder: Path | None = None,
) -> ImportReport:
    """Import files; cancelling it stops the import between two blocks.

    Parameters
    ----------
    meter : ImportMeter
        Filled while it runs.

    Other parameters and errors are those of `qd_store.imports.import_paths`.
    """
    from qd_store.exchanges import find_exchange
    from qd_store.imports import import_paths
    from qd_store.imports.sources import find_sources

    stop = threading.Event()

    def work() -> ImportReport:
        sources = find_sources(paths, find_exchange(exchange))
        meter.bytes_total = sum(source.bytes_total for source in sources)
        return import_paths(
            dsn,
            paths,
            exchange=exchange,
            rejects_folder=rejects_folder,
            scratch_folder=scratch_folder,
            progress=meter.take,
            stop=stop,
        )

    thread = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({thread})
        thread.exception()
        raise
