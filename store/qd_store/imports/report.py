"""What an import tells its caller: progress while it runs, a report at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class FileState(StrEnum):
    """What became of a file."""

    IMPORTED = "imported"
    """Its market is new."""
    APPENDED = "appended"
    """It added trades to its market."""
    UNCHANGED = "unchanged"
    """All its trades were there already."""
    REFUSED = "refused"
    """It could not be imported; nothing of it was stored."""
    CHECKED = "checked"
    """It was only read, to see what an import would find."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file.

    Attributes
    ----------
    file, symbol : str
        The file and its market.
    state : FileState
        What became of it.
    rows : int
        Trades added.
    known : int
        Trades of the file that were stored already.
    rejected : int
        Lines refused.
    reasons : mapping of str to int
        The refused lines by reason; empty for a file imported before.
    seconds : float
        How long it took.
    rejects : Path or None
        The file of refused lines.
    error : str
        Why it was refused.
    retriable : bool
        It was refused for what may pass: the same import may succeed later.
    layout : str
        The columns found in it, for people; empty where none were found.
    """

    file: str
    symbol: str
    state: FileState
    rows: int = 0
    known: int = 0
    rejected: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    rejects: Path | None = None
    error: str = ""
    retriable: bool = False
    layout: str = ""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of all files, in the order they were found."""

    files: tuple[FileResult, ...]
    seconds: float

    @property
    def rows(self) -> int:
        """Trades added."""
        return sum(file.rows for file in self.files)

    @property
    def rejected(self) -> int:
        """Lines refused."""
        return sum(file.rejected for file in self.files)

    @property
    def refused(self) -> tuple[FileResult, ...]:
        """The files that could not be imported."""
        return tuple(file for file in self.files if file.state is FileState.REFUSED)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one file is.

    Attributes
    ----------
    file, symbol : str
        The file and its market.
    rows : int
        Rows read so far. A file found to be out of order is read a second time, from 0.
    bytes_done, bytes_total : int
        How far the reading is in the file, packed bytes where it is packed.
    layout : str
        The columns found in it; empty while an imported file is only compared.
    """

    file: str
    symbol: str
    rows: int
    bytes_done: int
    bytes_total: int
    layout: str = ""


ExpectedCallback = Callable[[Mapping[str, int]], None]
"""Called with all files and their bytes, before the first one is read."""

ProgressCallback = Callable[[Progress], None]
"""Called from the import's threads, one call at a time."""
