"""Files: written whole or not at all, also where the machine loses power; few open at once."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

from qd_fluvio.broker.errors import StorageFull
from qd_fluvio.broker.settings import SEGMENT_FILES_MAX, SEGMENT_FILES_SHARE
from qd_fluvio.errors import LogError

_LOCK_NAME = "broker.lock"


class SyncFailed(OSError):
    """The disk did not take what was written, and a second try would not say so."""


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk."""
    _sync(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), os.fsync)


def sync_files(paths: Iterable[Path]) -> None:
    """Bring files' data to the disk; one that was deleted meanwhile needs no more.

    Raises
    ------
    SyncFailed
        If the disk did not take the data.
    OSError
        If a file cannot be opened: it may be tried again.
    """
    for path in paths:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        _sync(fd, os.fdatasync)


def _sync(fd: int, call: Callable[[int], None]) -> None:
    try:
        call(fd)
    except OSError as error:
        raise SyncFailed(*error.args) from error
    finally:
        os.close(fd)


def refused(what: str, error: OSError) -> LogError:
    """The error for a disk that refused to do `what`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(
            f"cannot {what}: {error.strerror}: free some, or let topics keep less, and try again"
        )
    return LogError(f"cannot {what}: {error.strerror}")


def write_durably(path: Path, data: bytes) -> None:
    """Replace the file: a reader, or the next start, sees the old or the new one."""
    part = path.with_name(f"{path.name}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    with open(fd, "wb") as file:  # writes all or raises, also where the disk has room for a part
        file.write(data)
        file.flush()
        os.fsync(fd)
    part.replace(path)
    sync_folder(path.parent)


class FilePool:
    """Descriptors of files in use: opened when needed, the least recently used closed first.

    Not thread-safe: one event loop owns a pool.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = _files_limit() if limit is None else limit
        self._open: OrderedDict[Path, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def descriptor(self, path: Path, *, create: bool = False) -> int:
        """A descriptor for reading and writing; good until the next call of the pool.

        Raises
        ------
        OSError
            If the file cannot be opened.
        """
        found = self._open.get(path)
        if found is not None:
            self._open.move_to_end(path)
            return found
        while len(self._open) >= self._limit:
            self._close_oldest()
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        while path not in self._open:
            try:
                self._open[path] = os.open(path, flags, 0o644)
            except OSError as error:
                # Connections may have taken what this pool counted on.
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._open:
                    raise
                self._close_oldest()
        return self._open[path]

    def close(self, path: Path) -> None:
        """Let go of one file; one that is deleted frees its disk only then."""
        found = self._open.pop(path, None)
        if found is not None:
            os.close(found)

    def _close_oldest(self) -> None:
        os.close(self._open.popitem(last=False)[1])


def _files_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(soft // SEGMENT_FILES_SHARE, SEGMENT_FILES_MAX))


class FolderLock:
    """Keeps a second broker out of a data folder; ends with the process."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise LogError(
                f"another broker uses {folder}: stop it, or give this one its own --data folder"
            ) from None

    def release(self) -> None:
        """Let another broker use the folder."""
        os.close(self._fd)
