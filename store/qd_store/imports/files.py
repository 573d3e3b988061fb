"""A file at rest, wherever it is: what `Source` and its archives need of it.

Files on disk are here, those in buckets in `objects`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from typing import IO, Final, Protocol, cast
from urllib.parse import unquote, urlsplit

from qd_store.errors import SourceUnreadable

EXPECTED: Final = "a .csv, .csv.gz or .zip file, or a folder of them"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class StoredFile(Protocol):
    """A file at rest."""

    @property
    def name(self) -> str:
        """Where it is, for people."""

    @property
    def path(self) -> PurePath:
        """Its path where it is: the last part says what it is."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def open(self, *, scattered: bool = False) -> IO[bytes]:
        """Open it for reading, at its start.

        Parameters
        ----------
        scattered : bool
            It will be read in pieces, here and there, as an archive is. A file read from
            its start to its end raises OSError there if it was written to meanwhile: half a
            line at its end may look whole.
        """


def is_uri(text: str) -> bool:
    """Whether a text begins with a scheme; a path that does can be written as ``./s3://…``."""
    return _SCHEME.match(text) is not None


def path_of(uri: str) -> Path | None:
    """The path of a ``file:`` URI; None for another scheme.

    Raises
    ------
    SourceUnreadable
        It names another machine.
    """
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise SourceUnreadable(f"{uri} is no file of this machine; expected file:///folder/name")
    return Path(unquote(parts.path))


def local_at(path: Path) -> StoredFile | list[StoredFile]:
    """The file at a path, or all files of a folder and its folders, by name.

    Raises
    ------
    SourceUnreadable
        There is none.
    OSError
        It cannot be looked at.
    """
    if path.is_dir():
        return [LocalFile(file) for file in sorted(path.rglob("*")) if file.is_file()]
    if not path.exists():
        raise SourceUnreadable(f"{path} does not exist; expected {EXPECTED}")
    return LocalFile(path)


class LocalFile:
    """A file on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size

    def open(self, *, scattered: bool = False) -> IO[bytes]:
        """Open it for reading."""
        file = self.path.open("rb")
        return file if scattered else cast(IO[bytes], _Unchanged(file))


class _Unchanged:
    """A file that nobody writes to while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.tell = file.tell
        self.close = file.close
        self._before = self._state()

    def __enter__(self) -> _Unchanged:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        if not data and self._state() != self._before:
            raise OSError("it was written to while it was read")
        return data

    def _state(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns
