"""What an actor of the soak knows for certain, in a file that outlives its death.

One line an entry, a word and numbers. Each is one write into the kernel's hands, so it survives
kill -9; a line that the kill cut has no end and does not count.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """One line."""

    word: str
    numbers: tuple[int, ...]


ACKNOWLEDGED = "acknowledged"
"""Epoch, records of it that the cluster has acknowledged so far."""
RESUMED = "resumed"
"""Offset at which a consumer that was opened begins."""
READ = "read"
"""First offset, the identity of its record, and how many in a row follow it with its own."""
COMMITTING = "committing"
"""Offset before which everything was read, about to be committed."""
COMMITTED = "committed"
"""The same, once the cluster has confirmed it."""


class Ledger:
    """A ledger that is being written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def note(self, *entries: tuple[object, ...]) -> None:
        """Write entries: a word and its numbers each."""
        text = "".join(" ".join(map(str, entry)) + "\n" for entry in entries)
        data = memoryview(text.encode())
        while data:
            data = data[os.write(self._file, data) :]


def entries_of(path: Path) -> list[Entry]:
    """Return what a ledger says; nothing where its actor died before it began."""
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0]
    return [
        Entry(word, tuple(map(int, numbers)))
        for word, *numbers in (line.split() for line in whole.splitlines())
    ]
