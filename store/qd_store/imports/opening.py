"""How a file's bytes are read: plain, unpacked on the way, or out of a zip.

Nothing is unpacked to disk. Knows nothing of markets and lines.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import IO, cast

from qd_store.errors import SourceUnreadable
from qd_store.imports.files import StoredFile

BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)
"""What reading a damaged file raises."""

Opener = Callable[[], AbstractContextManager[tuple[IO[bytes], Callable[[], int]]]]
"""Opens a file at its start; gives it, and how far the reading is in its bytes at rest."""


def damaged(name: object, error: Exception) -> SourceUnreadable:
    """Say that a file is broken."""
    return SourceUnreadable(
        f"{name} cannot be read ({error}): it may be cut short or damaged, get it again"
    )


def plain(stored: StoredFile) -> Opener:
    """A file as it is."""

    @contextlib.contextmanager
    def opened() -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
        with stored.open() as file:
            yield file, file.tell

    return opened


def gzipped(stored: StoredFile) -> Opener:
    """A gzipped file."""

    @contextlib.contextmanager
    def opened() -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
        _refuse_nothing(stored.size)
        with stored.open() as packed, gzip.open(packed) as file:
            yield cast(IO[bytes], file), packed.tell

    return opened


def _refuse_nothing(packed_bytes: int) -> None:
    """Python reads no bytes at all as an empty file; gzip never writes that."""
    if packed_bytes == 0:
        raise EOFError("it holds nothing")


class Archive:
    """A zip whose directory is read once, and whose members are read side by side.

    Opening a zip anew for each of a thousand members would take longer than reading most of
    them; keeping a thousand zips open would be too many files. So the file is open while a
    member is read.
    """

    def __init__(self, stored: StoredFile) -> None:
        self._lock = threading.Lock()  # the module's own count of open members has none
        self._file = _Reopened(stored)
        self._readers = 0
        try:
            self._zip = zipfile.ZipFile(cast(IO[bytes], self._file))
        except BROKEN as error:
            raise damaged(stored.name, error) from error
        finally:
            self._file.release()

    def members(self) -> list[zipfile.ZipInfo]:
        """All entries by name."""
        return sorted(self._zip.infolist(), key=lambda member: member.filename)

    def opener(self, member: zipfile.ZipInfo) -> Opener:
        """A member, unpacked also where it is gzipped itself."""

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

    def __init__(self, stored: StoredFile) -> None:
        self._stored = stored
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
            self._file = self._stored.open(scattered=True)
        return self._file
