"""Reading the parts' log files: the last lines in time order, and new ones as they come."""

from __future__ import annotations

import asyncio
import heapq
import io
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_POLL_SECONDS = 0.2
_TAIL_BYTES_MAX = 8 * 1024 * 1024
_NAME_WIDTH = 9
_STAMP = re.compile(r'(\{"time": ")?(?P<day>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d:\d\d(\.\d+)?)')
"""How the services write the time (with T and Z, also as JSON), and PostgreSQL (a blank, UTC)."""


def last_lines(files: Mapping[str, Path], lines_max: int) -> list[str]:
    """Return the last lines of all files together, in time order.

    Parameters
    ----------
    files : mapping of str to Path
        Log file by part; the part's name is put before its lines when there are several.
    lines_max : int
        How many lines.
    """
    streams = [_stamped(name, path, lines_max) for name, path in files.items()]
    merged = heapq.merge(*streams, key=lambda item: item[0])
    several = len(files) > 1
    return [_shown(name, line, several) for _, name, line in deque(merged, maxlen=lines_max)]


def _stamped(name: str, path: Path, lines_max: int) -> Iterator[tuple[str, str, str]]:
    """Lines with their time; one without a time belongs to the line before it."""
    stamp = ""
    for line in _tail(path, lines_max):
        if found := _STAMP.match(line):
            stamp = max(stamp, f"{found['day']}T{found['time']}")
        yield stamp, name, line


def _tail(path: Path, lines_max: int) -> list[str]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _TAIL_BYTES_MAX))
        text = file.read().decode(errors="replace")
    return text.splitlines()[-lines_max:] if lines_max else []


def _shown(name: str, line: str, several: bool) -> str:
    return f"{name:<{_NAME_WIDTH}} | {line}" if several else line


async def follow_logs(files: Mapping[str, Path], show: Callable[[str], None]) -> None:
    """Show each new line, for ever; files may come, go and be replaced."""
    followers = {name: _Follower(path) for name, path in files.items()}
    while True:
        for name, follower in followers.items():
            for line in follower.new_lines():
                show(_shown(name, line, len(files) > 1))
        await asyncio.sleep(_POLL_SECONDS)


class _Follower:
    """New whole lines of one file, from its present end."""

    def __init__(self, path: Path) -> None:
        found = path.stat() if path.exists() else None
        self._path = path
        self._position = found.st_size if found else 0
        self._inode = found.st_ino if found else None
        self._rest = b""

    def new_lines(self) -> list[str]:
        try:
            with self._path.open("rb") as file:
                self._settle(os.fstat(file.fileno()))
                file.seek(self._position)
                data = self._rest + file.read()
                self._position = file.seek(0, io.SEEK_CUR)
        except FileNotFoundError:
            return []
        *lines, self._rest = data.split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def _settle(self, found: os.stat_result) -> None:
        """Begin again when the file was replaced or emptied."""
        if found.st_ino != self._inode or found.st_size < self._position:
            self._inode, self._position, self._rest = found.st_ino, 0, b""
