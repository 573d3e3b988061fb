"""The import of many files: which go side by side, and how all of it stops.

Blocking; from asyncio call it with ``asyncio.to_thread`` and stop it with an event. Files of
one market are imported one after the other, by their first time; markets go side by side.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from qd_schemas.errors import QdError
from qd_store.connections import connect, translating
from qd_store.errors import ImportFailed, ImportStopped, SymbolIdsExhausted
from qd_store.exchanges import ExchangeAdapter, Layout, find_exchange
from qd_store.exchanges.registry import register
from qd_store.imports.importer import FileImport, Target
from qd_store.imports.reading import first_time, layout_of
from qd_store.imports.report import (
    ExpectedCallback,
    FileResult,
    FileState,
    ImportReport,
    Progress,
    ProgressCallback,
)
from qd_store.imports.sources import Source, find_sources
from qd_store.imports.turns import Turns
from qd_store.migrate import migrate
from qd_store.tables import MarketTables
from qd_store.tables.refresh import RefreshCallback, refresh_bars

PARALLEL_MAX = 16
_POLL_SECONDS = 0.1
_CANCEL_SECONDS_MAX = 5.0


def import_paths(
    dsn: str,
    paths: Iterable[Path | str],
    *,
    exchange: int | str | ExchangeAdapter = "kraken",
    rejects_folder: Path,
    expecting: ExpectedCallback | None = None,
    progress: ProgressCallback | None = None,
    refreshing: RefreshCallback | None = None,
    stop: threading.Event | None = None,
    parallel: int | None = None,
    strict: bool = False,
    scratch_folder: Path | None = None,
) -> ImportReport:
    """Import files, folders and zips; blocks until all is done.

    Parameters
    ----------
    dsn : str
        The database; its tables are migrated first.
    paths : iterable of Path or str
        CSV files, gzipped ones, zips, folders of all these; strings such as
        ``s3://bucket/key`` are objects of buckets, see `qd_store.imports.objects`.
    exchange : int or str or ExchangeAdapter
        The exchange's id or name, or an adapter of one's own. It is entered in the database.
    rejects_folder : Path
        Where files of refused lines go; made when needed.
    expecting : callable, optional
        Told once all files, with their bytes, before the first one is read.
    progress : callable, optional
        Told about each block, from other threads, one call at a time.
    refreshing : callable, optional
        Told how far the stored bars are, which are made last.
    stop : threading.Event, optional
        Set it to stop; so does KeyboardInterrupt in the calling thread.
    parallel : int, optional
        How many markets side by side; by default half the processors, and at least two.
    strict : bool
        Refuse a whole file for one bad line.
    scratch_folder : Path, optional
        Where rows out of order are sorted; by default the system's temporary folder.

    Returns
    -------
    ImportReport
        Also of refused files.

    Raises
    ------
    SourceUnreadable
        A path is missing or holds nothing to import; `SourceLost`: a bucket does not answer.
    UnknownExchange, DatabaseUnreachable, ConnectionLost, QueryFailed
        About the database. Markets that were done stay.
    ImportStopped
        The caller asked for it. Markets that were done stay, also where bars were not.
    """
    began = time.monotonic()
    adapter = find_exchange(exchange) if isinstance(exchange, int | str) else exchange
    stop = stop or threading.Event()
    sources = find_sources(paths, adapter, stop, expecting)
    with translating(), connect(dsn) as connection:
        migrate(connection)
        register(connection, adapter)
    target = Target(dsn, adapter, rejects_folder, scratch_folder, strict)
    # The database works longer on a row than the import does.
    workers = parallel or max(2, (os.cpu_count() or 1) // 2)
    results = _Run(target, progress, stop).all(sources, min(max(workers, 1), PARALLEL_MAX))
    refresh_bars(dsn, progress=refreshing, stop=stop)  # what a killed import left, too
    return ImportReport(tuple(results), time.monotonic() - began)


class _Run:
    """One call of `import_paths`."""

    def __init__(
        self, target: Target, progress: ProgressCallback | None, stop: threading.Event
    ) -> None:
        self._target = target
        self._progress = progress
        self._asked = stop
        self._ended = threading.Event()  # no worker goes on
        self._lock = threading.Lock()
        self._connections: set[psycopg.Connection[Any]] = set()
        self._idle: list[psycopg.Connection[Any]] = []
        self._turns = Turns(self._check)

    def all(self, sources: Sequence[Source], workers: int) -> list[FileResult]:
        """Import all; the results are in the order of the sources."""
        groups: dict[str, list[Source]] = {}
        for source in sources:
            groups.setdefault(source.symbol, []).append(source)
        with self._closing(), ThreadPoolExecutor(workers, "qd-import") as pool:
            futures = [
                pool.submit(self._market, number, group)
                for number, group in enumerate(groups.values())
            ]
            try:
                self._wait(futures)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._end(futures)
                raise
        results = {result.file: result for future in futures for result in future.result()}
        return [results[source.name] for source in sources]

    def _wait(self, futures: Sequence[Future[list[FileResult]]]) -> None:
        left: Iterable[Future[list[FileResult]]] = futures
        while left:
            done, left = wait(left, _POLL_SECONDS, FIRST_EXCEPTION)
            for future in done:
                future.result()
            if self._asked.is_set() and left:
                raise ImportStopped("the import was stopped; running it again finishes the rest")

    def _end(self, futures: Sequence[Future[list[FileResult]]]) -> None:
        """Make all workers end, also those that wait for the database."""
        self._ended.set()
        deadline = time.monotonic() + _CANCEL_SECONDS_MAX
        # `wait` never returns what was cancelled before it began; `done` tells of those too.
        while left := [future for future in futures if not future.done()]:
            with self._lock:
                waiting = list(self._connections)
            for connection in waiting:
                with contextlib.suppress(psycopg.Error, OSError):
                    if time.monotonic() < deadline:
                        connection.cancel_safe(timeout=_CANCEL_SECONDS_MAX)
                    else:
                        _hang_up(connection)
            wait(left, _POLL_SECONDS)

    def _market(self, number: int, group: Sequence[Source]) -> list[FileResult]:
        """Import all files of one market, the earliest first."""
        results: list[FileResult] = []
        ready = self._ready(group, results)
        if not ready:
            with self._turns.of(number):
                return results
        with self._connected() as connection:
            try:
                tables = self._tables(connection, number, group[0].symbol)
            except SymbolIdsExhausted as error:
                return results + [_refused(source, error, layout) for layout, source in ready]
            for layout, source in ready:
                try:
                    task = FileImport(connection, tables, self._target, source, layout, self._tick)
                    results.append(replace(task.run(), layout=layout.text))
                except ImportStopped:
                    raise
                except ImportFailed as error:
                    results.append(_refused(source, error, layout))
        return results

    def _ready(
        self, group: Sequence[Source], results: list[FileResult]
    ) -> list[tuple[Layout, Source]]:
        """The files that can be read, in the order of their times; the others are results."""
        ready = []
        for source in group:
            try:
                layout = layout_of(source, self._target.exchange)
                ready.append((first_time(source, layout) if len(group) > 1 else 0, layout, source))
            except ImportStopped:
                raise
            except ImportFailed as error:
                results.append(_refused(source, error))
        return [entry[1:] for entry in sorted(ready, key=lambda entry: entry[0])]

    def _tables(
        self, connection: psycopg.Connection[Any], number: int, symbol: str
    ) -> MarketTables:
        """The market's tables; new markets get their ids in the order of the files."""
        with self._turns.of(number), translating():
            return MarketTables(connection, self._target.exchange.exchange_id, symbol)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection for a market: the next market goes on with it, as most are small."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or connect(self._target.dsn)
        with self._lock:
            self._connections.add(connection)
        try:
            self._check()
            yield connection
        except BaseException:
            connection.close()  # in an unknown state
            raise
        finally:
            with self._lock:
                self._connections.discard(connection)
        with self._lock:
            self._idle.append(connection)

    @contextlib.contextmanager
    def _closing(self) -> Iterator[None]:
        """Close the connections that wait for a next market when the block ends."""
        try:
            yield
        finally:
            for connection in self._idle:
                connection.close()

    def _tick(self, progress: Progress) -> None:
        self._check()
        if self._progress is not None:
            with self._lock:
                self._progress(progress)

    def _check(self) -> None:
        if self._ended.is_set() or self._asked.is_set():
            raise ImportStopped("the import was stopped; running it again finishes the rest")


def _hang_up(connection: psycopg.Connection[Any]) -> None:
    """End a connection whose server is silent: whoever waits for it in a thread gets an error."""
    with socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)


def _refused(source: Source, error: QdError, layout: Layout | None = None) -> FileResult:
    text = layout.text if layout is not None else ""
    return FileResult(
        source.name,
        source.symbol,
        FileState.REFUSED,
        error=str(error),
        retriable=error.retriable,
        layout=text,
    )
