"""The import of one file into its market: one transaction, whole or not at all.

A file goes straight into its market while it proves to be in time order; if it does not, its
rows are sorted first. What overlaps with stored trades is compared with them on the way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from qd_schemas.arrays import Rows
from qd_store.append import add_trades, in_order
from qd_store.connections import translating
from qd_store.errors import SourceRefused, TradesOutOfOrder
from qd_store.exchanges import ExchangeAdapter, Layout
from qd_store.imports.overlap import Compared, compare
from qd_store.imports.reading import Reading, Tick, digest_of, texts_of
from qd_store.imports.rejects import REJECTS_MAX, Rejects
from qd_store.imports.report import FileResult, FileState
from qd_store.imports.rows import Reason, Rejected
from qd_store.imports.sorting import SortedSpill
from qd_store.imports.sources import Source
from qd_store.reading.blocking import read_trades
from qd_store.tables import MarketTables, Stored, Written


@dataclass(frozen=True, slots=True)
class Target:
    """Where a file goes, and how.

    Attributes
    ----------
    dsn : str
        The database.
    exchange : ExchangeAdapter
        Whose files they are.
    rejects_folder : Path
        Where files of refused lines go.
    scratch_folder : Path or None
        Where rows are sorted; None is the system's temporary folder.
    strict : bool
        Refuse a file with a refused line.
    """

    dsn: str
    exchange: ExchangeAdapter
    rejects_folder: Path
    scratch_folder: Path | None
    strict: bool


class FileImport:
    """Imports one file.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode.
    tables : MarketTables
        The file's market, on this connection.
    target : Target
        Where it goes, and how.
    source : Source
        The file.
    layout : Layout
        Its columns.
    tick : callable
        Told about each block; raises to stop the import.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        tables: MarketTables,
        target: Target,
        source: Source,
        layout: Layout,
        tick: Tick,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._target = target
        self._source = source
        self._layout = layout
        self._tick = tick
        self._pass = self._new_pass()

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
                return self._run(began)
        except BaseException:
            self._pass.rejects.discard()
            raise

    def _run(self, began: float) -> FileResult:
        with self._connection.transaction():
            stored = self._tables.lock()
            if imported := self._tables.imported():
                digest = digest_of(self._source, self._tick)
                if digest in imported:
                    return self._unchanged(digest, *imported[digest], began)
            rejects = self._store(stored)
        return self._result(stored, rejects, began)

    def _store(self, stored: Stored) -> Path | None:
        """Do all that belongs to the transaction; the file of refused lines, if any."""
        try:
            with self._connection.transaction():  # to be rid of what came before the disorder
                self._pass.straight(self._tables, stored)
        except TradesOutOfOrder:
            self._pass.rejects.discard()
            self._pass = self._new_pass()
            self._pass.sorted(self._tables, stored)
        done = self._pass
        if self._target.strict and done.rejects.total:
            raise SourceRefused(self._strict_text(done.rejects))
        digest = done.reading.digest
        self._tables.remember(digest, self._source.name, done.rejects.total, done.written)
        return done.rejects.finish(digest)

    def _new_pass(self) -> _Pass:
        return _Pass(self._target, self._source, self._layout, self._tick)

    def _unchanged(self, digest: bytes, rows: int, rejected: int, began: float) -> FileResult:
        path = self._pass.rejects.path(digest)
        return FileResult(
            self._source.name,
            self._source.symbol,
            FileState.UNCHANGED,
            known=rows,
            rejected=rejected,
            seconds=time.monotonic() - began,
            rejects=path if path.exists() else None,
        )

    def _result(self, stored: Stored, rejects: Path | None, began: float) -> FileResult:
        done = self._pass
        rows = done.written.rows if done.written is not None else 0
        state = FileState.APPENDED if stored.trades else FileState.IMPORTED
        counts = done.rejects.counts
        return FileResult(
            self._source.name,
            self._source.symbol,
            state if rows or not stored.trades else FileState.UNCHANGED,
            rows=rows,
            known=done.known,
            rejected=counts.total(),
            reasons={reason.value: count for reason, count in counts.items()},
            seconds=time.monotonic() - began,
            rejects=rejects,
        )

    def _strict_text(self, rejects: Rejects) -> str:
        counts = ", ".join(f"{count} {reason}" for reason, count in rejects.counts.items())
        return (
            f"{self._source.name} has lines that are no trades ({counts}): mend them, or "
            "import without strictness to leave them out"
        )


class _Pass:
    """One pass over a file into its market: straight, or sorted first."""

    def __init__(self, target: Target, source: Source, layout: Layout, tick: Tick) -> None:
        self._target = target
        self._source = source
        self.rejects = Rejects(target.rejects_folder, source.name, source.symbol)
        self.reading = Reading(source, layout, self.rejects, tick)
        self.known = 0
        self.written: Written | None = None
        self._older = _Lines()

    def straight(self, tables: MarketTables, stored: Stored) -> None:
        """Store the rows as they come.

        Raises
        ------
        TradesOutOfOrder
            They are not in time order.
        """
        with closing(self.reading.blocks()) as blocks:
            self._store(tables, stored, in_order(blocks, None))

    def sorted(self, tables: MarketTables, stored: Stored) -> None:
        """Store the rows in time order, those of equal times as they come."""
        with SortedSpill(self._target.scratch_folder) as spill:
            with closing(self.reading.blocks()) as blocks:
                for rows in blocks:
                    spill.add(rows)
            self._store(tables, stored, spill.merged())

    def _store(self, tables: MarketTables, stored: Stored, blocks: Iterator[Rows]) -> None:
        first = next(blocks, None)
        if first is None:
            return
        blocks = _chained(first, blocks)
        if stored.last_time is None or first["time"][0] > stored.last_time:
            self.written = add_trades(tables, stored, blocks)
            return
        # Beside the import's own transaction, whose lock keeps others from changing them.
        overlapping = read_trades(self._target.dsn, tables.key, int(first["time"][0]))
        with closing(overlapping):
            compared = compare(blocks, overlapping, stored.last_time)
            self.written = add_trades(tables, stored, self._fresh(compared))
        self._reject_older()

    def _fresh(self, compared: Iterator[Compared]) -> Iterator[Rows]:
        for piece in compared:
            self._older.add(piece.older_lines)
            self.known += piece.known
            if len(piece.fresh):
                yield piece.fresh

    def _reject_older(self) -> None:
        kept = self._older.sorted()
        self.rejects.add(
            Rejected(line, Reason.OLDER, text) for line, text in texts_of(self._source, kept)
        )
        if self._older.count > len(kept):
            self.rejects.counts[Reason.OLDER] += self._older.count - len(kept)


class _Lines:
    """Line numbers: all are counted, as many are kept as a rejects file holds."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[NDArray[np.int64]] = []

    def add(self, lines: NDArray[np.int64]) -> None:
        room = max(REJECTS_MAX - self.count, 0)
        self.count += len(lines)
        if len(lines) and room:
            self._kept.append(lines[:room])

    def sorted(self) -> list[int]:
        return sorted(np.concatenate(self._kept).tolist()) if self._kept else []


def _chained(first: Rows, others: Iterator[Rows]) -> Iterator[Rows]:
    yield first
    yield from others
