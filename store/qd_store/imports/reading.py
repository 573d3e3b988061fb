"""One pass over a file: its rows, its digest, its refused lines, the progress.

Reading and parsing run in a thread of their own, a block ahead of whoever stores the rows.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from qd_schemas.arrays import Rows
from qd_store.exchanges import ExchangeAdapter, Layout
from qd_store.imports.layouts import detect
from qd_store.imports.parse import BlockParser
from qd_store.imports.report import Progress
from qd_store.imports.rows import Block, Rejected, shown
from qd_store.imports.sources import Source

T = TypeVar("T")

Tick = Callable[[Progress], None]
"""Told about each block; raises to stop the import."""


class Refusals(Protocol):
    """Whoever takes the refused lines."""

    def add(self, rejected: Iterable[Rejected]) -> None:
        """Take some more, in file order."""


def layout_of(source: Source, exchange: ExchangeAdapter) -> Layout:
    """Find the columns of a file from its first block."""
    with source.blocks() as blocks:
        first, _ = next(blocks, (b"", 0))
        return detect(first, source.name, exchange)


def first_time(source: Source, layout: Layout) -> int:
    """The earliest time of a file's first block, which need not be in order; 0 without rows."""
    with source.blocks() as blocks:
        first, _ = next(blocks, (b"", 0))
        rows = BlockParser(layout).parse(first).rows
        return int(rows["time"].min()) if len(rows) else 0


def digest_of(source: Source, tick: Tick) -> bytes:
    """The SHA-256 of a file's text."""
    digest = hashlib.sha256()
    with source.blocks() as blocks:
        for data, position in blocks:
            digest.update(data)
            tick(Progress(source.name, source.symbol, 0, position, source.bytes_total))
    return digest.digest()


class Reading:
    """One pass over a file."""

    def __init__(self, source: Source, layout: Layout, rejects: Refusals, tick: Tick) -> None:
        self._source = source
        self._layout = layout
        self._rejects = rejects
        self._tick = tick
        self._digest = hashlib.sha256()
        self.rows = 0

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what has been read."""
        return self._digest.digest()

    def blocks(self) -> Generator[Rows]:
        """The good rows in file order; refused lines go to the rejects on the way."""
        with contextlib.closing(_ahead(self._parsed())) as parsed:
            for block, position in parsed:
                self._rejects.add(block.rejected)
                self.rows += len(block.rows)
                self._tick(
                    Progress(
                        self._source.name,
                        self._source.symbol,
                        self.rows,
                        position,
                        self._source.bytes_total,
                        self._layout.text,
                    )
                )
                if len(block.rows):
                    yield block.rows

    def _parsed(self) -> Generator[tuple[Block, int]]:
        parser = BlockParser(self._layout)
        with self._source.blocks() as blocks:
            for data, position in blocks:
                self._digest.update(data)
                yield parser.parse(data), position


def texts_of(source: Source, lines: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The text of some lines of a file, given by rising numbers from 1."""
    wanted = iter(lines)
    line = next(wanted, None)
    first = 1
    with source.blocks() as blocks:
        for data, _ in blocks:
            count = data.count(b"\n") + (not data.endswith(b"\n"))
            texts = data.split(b"\n") if line is not None and line < first + count else []
            while line is not None and line < first + count:
                yield line, shown(texts[line - first])
                line = next(wanted, None)
            if line is None:
                return
            first += count


def _ahead(items: Generator[T]) -> Generator[T]:
    """Run an iterator in a thread, one item ahead."""
    end = object()
    with contextlib.closing(items), ThreadPoolExecutor(1, "qd-parse") as thread:
        pending = thread.submit(next, items, end)
        while (item := pending.result()) is not end:
            pending = thread.submit(next, items, end)
            yield item  # type: ignore[misc]  # not the end, so of T
