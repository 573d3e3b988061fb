"""A rehearsal of an import: every file is read and parsed, nothing is stored or written.

No database is needed, so what a market holds already is not known here.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from qd_store.errors import ImportFailed, ImportStopped
from qd_store.exchanges import ExchangeAdapter, find_exchange
from qd_store.imports.reading import Reading, layout_of
from qd_store.imports.report import (
    ExpectedCallback,
    FileResult,
    FileState,
    ImportReport,
    Progress,
    ProgressCallback,
)
from qd_store.imports.rows import Reason, Rejected
from qd_store.imports.sources import Source, find_sources


def check_files(
    paths: Iterable[Path | str],
    *,
    exchange: int | str | ExchangeAdapter = "kraken",
    expecting: ExpectedCallback | None = None,
    progress: ProgressCallback | None = None,
    stop: threading.Event | None = None,
    strict: bool = False,
) -> ImportReport:
    """Read files, folders and zips as an import would, and say what it would find.

    Parameters are those of `import_paths`, of which this is the part without a database.

    Returns
    -------
    ImportReport
        Rows are those that are trades; some may be stored already.

    Raises
    ------
    SourceUnreadable
        A path is missing or holds nothing to import.
    UnknownExchange
        No exchange is known by this name or id.
    ImportStopped
        The caller asked for it.
    """
    began = time.monotonic()
    adapter = find_exchange(exchange) if isinstance(exchange, int | str) else exchange

    def tick(state: Progress) -> None:
        if stop is not None and stop.is_set():
            raise ImportStopped("the check was stopped")
        if progress is not None:
            progress(state)

    check = _Check(adapter, tick, strict)
    sources = find_sources(paths, adapter, stop, expecting)
    results = tuple(check.file(source) for source in sources)
    return ImportReport(results, time.monotonic() - began)


class _Check:
    """What is the same for all files of one call."""

    def __init__(self, exchange: ExchangeAdapter, tick: ProgressCallback, strict: bool) -> None:
        self._exchange = exchange
        self._tick = tick
        self._strict = strict

    def file(self, source: Source) -> FileResult:
        began = time.monotonic()
        layout, error, retriable = "", "", False
        refused = _Counts()
        rows = 0
        try:
            found = layout_of(source, self._exchange)
            layout = found.text
            reading = Reading(source, found, refused, self._tick)
            rows = sum(map(len, reading.blocks()))
        except ImportStopped:
            raise
        except ImportFailed as failure:
            error, retriable = str(failure), failure.retriable
        if self._strict and refused.counts and not error:
            error = f"{source.name} has lines that are no trades"
        return FileResult(
            source.name,
            source.symbol,
            FileState.REFUSED if error else FileState.CHECKED,
            rows=0 if error else rows,
            rejected=refused.counts.total(),
            reasons={reason.value: count for reason, count in refused.counts.items()},
            seconds=time.monotonic() - began,
            error=error,
            retriable=retriable,
            layout=layout,
        )


class _Counts:
    """Refused lines, counted only."""

    def __init__(self) -> None:
        self.counts: Counter[Reason] = Counter()

    def add(self, rejected: Iterable[Rejected]) -> None:
        self.counts.update(each.reason for each in rejected)
