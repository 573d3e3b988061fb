"""The files to import: found in folders and zips, read as blocks of whole lines.

Nothing is unpacked to disk and nothing is held but one block. Knows nothing of columns; the
exchange says which market a file is, by its name.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, NoReturn, cast

from qd_store.errors import SourceUnreadable
from qd_store.exchanges import ExchangeAdapter

BLOCK_BYTES = 2 * 1024 * 1024
LINE_BYTES_MAX = 64 * 1024
REJECTS_SUFFIX = ".rejects.csv"  # what an import writes is never imported
_SUFFIXES = (".csv", ".csv.gz")
_EXPECTED = "a .csv, .csv.gz or .zip file, or a folder of them"
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Source:
    """One market's file.

    Attributes
    ----------
    name : str
        Where it is: a path, for a zip's member followed by its name in the zip.
    symbol : str
        The market, by the file's name.
    bytes_total : int
        Its size as `position` counts.
    """

    name: str
    symbol: str
    bytes_total: int
    _open: Callable[[], AbstractContextManager[tuple[IO[bytes], Callable[[], int]]]]

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
        except _BROKEN as error:
            raise _damaged(self.name, error) from error

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


def find_sources(paths: Iterable[Path | str], exchange: ExchangeAdapter) -> list[Source]:
    """All files of trades at the paths, in the order given, within a folder by name.

    Parameters
    ----------
    paths : iterable of Path or str
        CSV files, gzipped ones, zips, folders of all these.
    exchange : ExchangeAdapter
        Whose files they are.

    Raises
    ------
    SourceUnreadable
        A path is missing, is of another kind, or holds no file of trades. One bad file in a
        folder or zip does not: it is a source that raises this when it is read.
    """
    found: dict[str, Source] = {}  # by name: a path given twice is imported once
    for path in map(Path, paths):
        try:
            here = list(_sources_at(path, exchange))
        except OSError as error:
            raise SourceUnreadable(
                f"{path} cannot be looked into ({error.strerror}); expected {_EXPECTED}"
            ) from error
        if not here:
            raise SourceUnreadable(f"{path} holds no file of trades; expected {_EXPECTED}")
        found |= {source.name: source for source in here}
    return list(found.values())


def _sources_at(path: Path, exchange: ExchangeAdapter) -> Iterator[Source]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and _wanted(file) | _is_zip(file):
                try:
                    yield from _sources_at(file, exchange)
                except SourceUnreadable as error:  # the other files are as good as without it
                    yield _unreadable(str(file), file, error)
    elif not path.exists():
        raise SourceUnreadable(f"{path} does not exist; expected {_EXPECTED}")
    elif _is_zip(path):
        yield from _members(path, exchange)
    elif _wanted(path):
        opener = _opened_gzip if path.name.lower().endswith(".gz") else _opened_plain
        symbol = _symbol(path, str(path), exchange)
        yield Source(str(path), symbol, path.stat().st_size, opener(path))
    else:
        raise SourceUnreadable(f"{path} is of an unknown kind; expected {_EXPECTED}")


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


def _members(path: Path, exchange: ExchangeAdapter) -> Iterator[Source]:
    archive = _Archive(path)
    seen: Counter[str] = Counter()  # a zip may have a name more than once
    for member in archive.members():
        inside = PurePath(member.filename)
        if _wanted(inside) and not member.is_dir():
            seen[member.filename] += 1
            again = f" ({seen[member.filename]})" if seen[member.filename] > 1 else ""
            name = f"{path}/{member.filename}{again}"
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


def _damaged(name: object, error: Exception) -> SourceUnreadable:
    return SourceUnreadable(
        f"{name} cannot be read ({error}): it may be cut short or damaged, get it again"
    )


_Opener = Callable[[], AbstractContextManager[tuple[IO[bytes], Callable[[], int]]]]


def _opened_plain(path: Path) -> _Opener:
    @contextlib.contextmanager
    def opened() -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
        with path.open("rb") as file:
            yield cast(IO[bytes], _Unchanged(file)), file.tell

    return opened


class _Unchanged:
    """A file that nobody writes to while it is read: a half line at its end may look whole.

    Packed files tell that by their check sums.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._before = self._state()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        if not data and self._state() != self._before:
            raise OSError("it was written to while it was read")
        return data

    def _state(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns


def _opened_gzip(path: Path) -> _Opener:
    @contextlib.contextmanager
    def opened() -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
        _refuse_nothing(path.stat().st_size)
        with path.open("rb") as packed, gzip.open(packed) as file:
            yield cast(IO[bytes], file), packed.tell

    return opened


def _refuse_nothing(packed_bytes: int) -> None:
    """Python reads no bytes at all as an empty file; gzip never writes that."""
    if packed_bytes == 0:
        raise EOFError("it holds nothing")


class _Archive:
    """A zip whose directory is read once, and whose members are read side by side.

    Opening a zip anew for each of a thousand members would take longer than reading most of
    them; keeping a thousand zips open would be too many files. So the file is open while a
    member is read.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()  # the module's own count of open members has none
        self._file = _Reopened(path)
        self._readers = 0
        try:
            self._zip = zipfile.ZipFile(cast(IO[bytes], self._file))
        except _BROKEN as error:
            raise _damaged(path, error) from error
        finally:
            self._file.release()

    def members(self) -> list[zipfile.ZipInfo]:
        """All entries by name."""
        return sorted(self._zip.infolist(), key=lambda member: member.filename)

    def opener(self, member: zipfile.ZipInfo) -> _Opener:
        @contextlib.contextmanager
        def opened() -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
            with self._reading(member) as packed:
                if not member.filename.lower().endswith(".gz"):
                    yield packed, packed.tell
                    return
                _refuse_nothing(member.file_size)
                with gzip.open(packed) as file:
                    yield cast(IO[bytes], file), packed.tell

        return opened

    @contextlib.contextmanager
    def _reading(self, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
        with self._lock:
            self._readers += 1
        try:
            with self._lock:
                packed = self._zip.open(member)
            try:
                yield packed
            finally:
                with self._lock:
                    packed.close()
        finally:
            with self._lock:
                self._readers -= 1
                if not self._readers:
                    self._file.release()


class _Reopened:
    """A file that is opened when it is read, and may be closed in between."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def release(self) -> None:
        """Close the file until it is read again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._opened().seek(offset, whence)

    def tell(self) -> int:
        return self._opened().tell()

    def read(self, size: int = -1) -> bytes:
        return self._opened().read(size)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = self._path.open("rb")
        return self._file
