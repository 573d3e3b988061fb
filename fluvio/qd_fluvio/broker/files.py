"""Files that are there whole or not at all, also after the machine lost power."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from qd_fluvio.errors import LogError

_LOCK_NAME = "broker.lock"


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
