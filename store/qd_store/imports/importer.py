"""The import of one file into its market: one transaction, whole or not at all.

A new market's file goes straight into its table while it proves to be in time order. If it
does not, or the market has trades already, its rows are sorted first, and for a market with
trades compared with what is stored.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from qd_schemas.arrays import Rows
from qd_store.connections import translating
from qd_store.errors import SourceRefused
from qd_store.exchanges import Exchange, Layout
from qd_store.imports.overlap import Compared, compare
from qd_store.imports.reading import Reading, Tick, digest_of, texts_of
from qd_store.imports.rejects import REJECTS_MAX, Rejects
from qd_store.imports.report import FileResult, FileState
from qd_store.imports.rows import Reason, Rejected
from qd_store.imports.sorting import SortedSpill
from qd_store.imports.sources import Source
from qd_store.imports.tables import Added, MarketTables, Stored
from qd_store.streams import StreamDatabase, TradeReader

_STORED_BATCH_ROWS = 65_536


class _OutOfOrder(Exception):
    """A file that was hoped to be in time order is not."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a file goes, and how.

    Attributes
    ----------
    dsn : str
        The database.
    exchange : Exchange
        Whose files they are.
    rejects_folder : Path
        Where files of refused lines go.
    scratch_folder : Path or None
        Where rows are sorted; None is the system's temporary folder.
    strict : bool
        Refuse a file with a refused line.
    """

    dsn: str
    exchange: Exchange
    rejects_folder: Path
    scratch_folder: Path | None
    strict: bool


class FileImport:
    """Imports one file."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        target: Target,
        source: Source,
        layout: Layout,
        tick: Tick,
    ) -> None:
        self._connection = connection
        self._target = target
        self._source = source
        self._layout = layout
        self._tick = tick
        self._rejects = Rejects(target.rejects_folder, source.name, source.symbol)
        self._known = 0

    def run(self) -> FileResult:
        """Import the file.

        Raises
        ------
        ImportFailed
            It cannot be imported; nothing of it was stored.
        """
        began = time.monotonic()
        try:
            with translating():
                result = self._run(began)
        finally:
            self._rejects.discard()
        return result

    def _run(self, began: float) -> FileResult:
        tables = MarketTables(
            self._connection, self._target.exchange.exchange_id, self._source.symbol
        )
        with self._connection.transaction():
            stored = tables.lock()
            if imported := tables.imported():
                digest = digest_of(self._source, self._tick)
                if digest in imported:
                    rows, rejected = imported[digest]
                    return self._unchanged(digest, rows, rejected, began)
            reading, added = self._stored_rows(tables, stored)
            if self._target.strict and self._rejects.total:
                raise SourceRefused(self._strict_text())
            self._rejects.complete()
            digest = reading.digest
            tables.finish(added, digest, self._source.name, self._rejects.total)
        # Past the commit: the rejects file of an import that did not happen would mislead.
        return self._result(stored, added, digest, began)

    def _stored_rows(self, tables: MarketTables, stored: Stored) -> tuple[Reading, Added | None]:
        if stored.trades == 0:
            reading = self._reading()
            try:
                with self._connection.transaction(), closing(reading.blocks()) as blocks:
                    return reading, self._into_new(tables, _checked(blocks))
            except _OutOfOrder:
                self._rejects.discard()
                self._rejects = Rejects(
                    self._target.rejects_folder, self._source.name, self._source.symbol
                )
        reading = self._reading()
        with SortedSpill(self._target.scratch_folder) as spill:
            with closing(reading.blocks()) as blocks:
                for rows in blocks:
                    spill.add(rows)
            if stored.trades == 0:
                return reading, self._into_new(tables, spill.merged())
            return reading, self._into_old(tables, stored, spill.merged())

    def _reading(self) -> Reading:
        return Reading(self._source, self._layout, self._rejects, self._tick)

    def _into_new(self, tables: MarketTables, blocks: Iterator[Rows]) -> Added | None:
        first = next(blocks, None)
        if first is None:
            return None
        tables.create()
        added = tables.copy(_chained(first, blocks), 0, new=True)
        tables.attach()
        return added

    def _into_old(
        self, tables: MarketTables, stored: Stored, blocks: Iterator[Rows]
    ) -> Added | None:
        first = next(blocks, None)
        if first is None or stored.last_time is None:
            return None
        older = _Lines()
        overlapping = _StoredTrades(self._target.dsn, tables, stored, int(first["time"][0]))
        try:
            compared = compare(_chained(first, blocks), overlapping.blocks(), stored.last_time)
            fresh = self._fresh(compared, older)
            first_fresh = next(fresh, None)
            added = None
            if first_fresh is not None:
                added = tables.copy(_chained(first_fresh, fresh), stored.trades, new=False)
        finally:
            overlapping.close()
        self._reject_older(older)
        return added

    def _fresh(self, compared: Iterator[Compared], older: _Lines) -> Iterator[Rows]:
        for piece in compared:
            older.add(piece.older_lines)
            self._known += piece.known
            if len(piece.fresh):
                yield piece.fresh

    def _reject_older(self, older: _Lines) -> None:
        kept = older.sorted()
        self._rejects.add(
            Rejected(line, Reason.OLDER, text) for line, text in texts_of(self._source, kept)
        )
        if older.count > len(kept):
            self._rejects.counts[Reason.OLDER] += older.count - len(kept)

    def _unchanged(self, digest: bytes, rows: int, rejected: int, began: float) -> FileResult:
        path = self._rejects.path(digest)
        return FileResult(
            self._source.name,
            self._source.symbol,
            FileState.UNCHANGED,
            known=rows,
            rejected=rejected,
            seconds=time.monotonic() - began,
            rejects=path if path.exists() else None,
        )

    def _result(
        self, stored: Stored, added: Added | None, digest: bytes, began: float
    ) -> FileResult:
        rows = added.rows if added is not None else 0
        state = FileState.APPENDED if stored.trades else FileState.IMPORTED
        return FileResult(
            self._source.name,
            self._source.symbol,
            state if rows or not stored.trades else FileState.UNCHANGED,
            rows=rows,
            known=self._known,
            rejected=self._rejects.total,
            reasons={reason.value: count for reason, count in self._rejects.counts.items()},
            seconds=time.monotonic() - began,
            rejects=self._rejects.finish(digest),
        )

    def _strict_text(self) -> str:
        counts = ", ".join(f"{count} {reason}" for reason, count in self._rejects.counts.items())
        return (
            f"{self._source.name} has lines that are no trades ({counts}): mend them, or "
            "import without strictness to leave them out"
        )


class _StoredTrades:
    """The stored trades from a time on, read beside the import's own transaction."""

    def __init__(self, dsn: str, tables: MarketTables, stored: Stored, from_time: int) -> None:
        self._database = StreamDatabase(dsn)
        first = tables.sequence_at(from_time)
        self._reader = TradeReader(
            self._database, tables.key, first, stored.trades + 1, _STORED_BATCH_ROWS
        )

    def blocks(self) -> Generator[Rows]:
        while (rows := self._reader.read()) is not None:
            yield rows

    def close(self) -> None:
        self._reader.cancel()
        self._reader.close()
        self._database.close()


class _Lines:
    """Line numbers: all are counted, as many are kept as a rejects file holds."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[Any] = []

    def add(self, lines: Any) -> None:
        room = max(REJECTS_MAX - self.count, 0)
        self.count += len(lines)
        if len(lines) and room:
            self._kept.append(lines[:room])

    def sorted(self) -> list[int]:
        return sorted(np.concatenate(self._kept).tolist()) if self._kept else []


def _checked(blocks: Iterable[Rows]) -> Iterator[Rows]:
    """The same blocks, as long as their times do not fall."""
    last = 0
    for rows in blocks:
        times = rows["time"]
        if times[0] < last or (times[1:] < times[:-1]).any():
            raise _OutOfOrder
        last = int(times[-1])
        yield rows


def _chained(first: Rows, others: Iterator[Rows]) -> Iterator[Rows]:
    yield first
    yield from others
