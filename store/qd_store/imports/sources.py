"""The files to import: found in folders, buckets and zips, read as blocks of whole lines.

Nothing is unpacked to disk and nothing is held but one block. Knows nothing of columns; the
exchange says which market a file is, by its name.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, NoReturn

from qd_store.errors import SourceUnreadable
from qd_store.exchanges import ExchangeAdapter
from qd_store.imports.files import EXPECTED, StoredFile, is_uri, local_at, path_of
from qd_store.imports.objects import objects_at
from qd_store.imports.opening import BROKEN, Archive, Opener, damaged, gzipped, plain
from qd_store.imports.report import ExpectedCallback

BLOCK_BYTES = 2 * 1024 * 1024
LINE_BYTES_MAX = 64 * 1024
REJECTS_SUFFIX = ".rejects.csv"  # what an import writes is never imported
_SUFFIXES = (".csv", ".csv.gz")
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True)
class Source:
    """One market's file.

    Attributes
    ----------
    name : str
        Where it is: a path or URI, for a zip's member followed by its name in the zip.
    symbol : str
        The market, by the file's name.
    bytes_total : int
        Its size as `position` counts.
    """

    name: str
    symbol: str
    bytes_total: int
    _open: Opener

    @contextlib.contextmanager
    def blocks(self) -> Iterator[Iterator[tuple[bytes, int]]]:
        """Read it from the start.

        Yields
        ------
        iterator of (bytes, int)
            Whole lines, and how far the reading is, in bytes of `bytes_total`.

        Raises
        ------
        SourceUnreadable
            It is broken, or no text; also from within the iterator.
        """
        with contextlib.ExitStack() as stack:
            with self._reading():
                file, position = stack.enter_context(self._open())
            yield self._lines(file, position)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise damaged(self.name, error) from error

    def _lines(self, file: IO[bytes], position: Callable[[], int]) -> Iterator[tuple[bytes, int]]:
        rest = b""
        while True:
            with self._reading():
                data = file.read(BLOCK_BYTES)
            if not data:
                break
            whole, newline, tail = data.rpartition(b"\n")
            if not newline:
                rest += tail
            else:
                yield rest + whole + newline, position()
                rest = tail
            if len(rest) > LINE_BYTES_MAX:
                raise SourceUnreadable(
                    f"{self.name} has a line of more than {LINE_BYTES_MAX} bytes: "
                    "it is no text file of trades"
                )
        if rest:
            yield rest, position()


def find_sources(
    paths: Iterable[Path | str],
    exchange: ExchangeAdapter,
    stop: threading.Event | None = None,
    expecting: ExpectedCallback | None = None,
) -> list[Source]:
    """All files of trades at the paths, in the order given, within a folder by name.

    Parameters
    ----------
    paths : iterable of Path or str
        CSV files, gzipped ones, zips, folders of all these; strings with a scheme are URIs,
        see `objects`.
    exchange : ExchangeAdapter
        Whose files they are.
    stop : threading.Event, optional
        Set it to end the waiting for a bucket that does not answer, also while sources are read.
    expecting : callable, optional
        Told all of them, with their bytes.

    Raises
    ------
    SourceUnreadable
        A path is missing, is of another kind, or holds no file of trades. One bad file in a
        folder or zip does not: it is a source that raises this when it is read.
    SourceLost
        A bucket cannot be reached now.
    """
    stop = stop or threading.Event()
    found: dict[str, Source] = {}  # by name: a path given twice is imported once
    for path in paths:
        try:
            here = list(_sources_at(path, exchange, stop))
        except OSError as error:
            raise SourceUnreadable(
                f"{path} cannot be looked into ({error.strerror}); expected {EXPECTED}"
            ) from error
        if not here:
            raise SourceUnreadable(f"{path} holds no file of trades; expected {EXPECTED}")
        found |= {source.name: source for source in here}
    if expecting is not None:
        expecting({source.name: source.bytes_total for source in found.values()})
    return list(found.values())


def _sources_at(
    path: Path | str, exchange: ExchangeAdapter, stop: threading.Event
) -> Iterator[Source]:
    found = _files_at(path, stop)
    if not isinstance(found, list):
        yield from _sources_in(found, exchange)
        return
    for file in found:
        if _wanted(file.path) or _is_zip(file.path):
            try:
                yield from _sources_in(file, exchange)
            except SourceUnreadable as error:  # the other files are as good as without it
                yield _unreadable(file.name, file.path, error)


def _files_at(path: Path | str, stop: threading.Event) -> StoredFile | list[StoredFile]:
    """The file at a path, or those of a folder as a list."""
    if isinstance(path, str) and is_uri(path):
        local = path_of(path)
        return objects_at(path, stop) if local is None else local_at(local)
    return local_at(Path(path))


def _sources_in(file: StoredFile, exchange: ExchangeAdapter) -> Iterator[Source]:
    if _is_zip(file.path):
        yield from _members(file, exchange)
    elif _wanted(file.path):
        opener = gzipped if file.path.name.lower().endswith(".gz") else plain
        symbol = _symbol(file.path, file.name, exchange)
        yield Source(file.name, symbol, file.size, opener(file))
    else:
        raise SourceUnreadable(f"{file.name} is of an unknown kind; expected {EXPECTED}")


def _wanted(path: PurePath) -> bool:
    name = path.name.lower()
    other = name.startswith(".") or name.endswith(REJECTS_SUFFIX) or "__MACOSX" in path.parts
    return name.endswith(_SUFFIXES) and not other


def _is_zip(path: PurePath) -> bool:
    return path.name.lower().endswith(".zip") and not path.name.startswith(".")


def _symbol(path: PurePath, name: str, exchange: ExchangeAdapter) -> str:
    """The market's name out of the file's: ``XBTEUR.csv.gz`` is XBTEUR."""
    stem = re.sub(r"(?i)\.csv(\.gz)?$", "", path.name)
    try:
        symbol = exchange.symbol_of_file(stem)
        if not _SYMBOL.fullmatch(symbol):
            raise ValueError("expected letters, digits, '.', '_' and '-', at most 32")
    except ValueError as error:
        raise SourceUnreadable(
            f"{name}: {stem!r} is no name of a market on {exchange.name}; {error}: rename the file"
        ) from error
    return symbol


def _members(file: StoredFile, exchange: ExchangeAdapter) -> Iterator[Source]:
    archive = Archive(file)
    seen: Counter[str] = Counter()  # a zip may have a name more than once
    for member in archive.members():
        inside = PurePath(member.filename)
        if _wanted(inside) and not member.is_dir():
            seen[member.filename] += 1
            again = f" ({seen[member.filename]})" if seen[member.filename] > 1 else ""
            name = f"{file.name}/{member.filename}{again}"
            try:
                symbol = _symbol(inside, name, exchange)
            except SourceUnreadable as error:
                yield _unreadable(name, inside, error)
            else:
                yield Source(name, symbol, member.file_size, archive.opener(member))


def _unreadable(name: str, path: PurePath, error: SourceUnreadable) -> Source:
    """A file among others that cannot be imported: reading it says why."""

    def opened() -> NoReturn:
        raise error

    return Source(name, ascii(path.name)[1:-1], 0, opened)
