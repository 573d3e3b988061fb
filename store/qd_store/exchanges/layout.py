"""The columns of a file of trades, as values; which one a file has is found by the import."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class TimeUnit(IntEnum):
    """What a file's times count, since 1970; the values are microseconds."""

    MICROSECONDS = 1
    MILLISECONDS = 1_000
    SECONDS = 1_000_000

    @property
    def text(self) -> str:
        """The unit's name for people."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a file of trades.

    Attributes
    ----------
    name : str
        The columns' names, separated by commas, as users are told.
    time, price, volume : int
        Which ones matter, from 0.
    unit : TimeUnit
        What the times count.
    header : bool
        Whether the first line names the columns.
    fractions : bool
        Whether times have fractions of their unit. Files that may have them may also have
        none, so this only says what was seen.
    """

    name: str
    time: int
    price: int
    volume: int
    unit: TimeUnit = TimeUnit.SECONDS
    header: bool = False
    fractions: bool = False

    @property
    def columns(self) -> int:
        """How many columns a row has."""
        return self.name.count(",") + 1

    @property
    def kind(self) -> str:
        """The columns, and whether a header names them."""
        return f"{self.name} {'with' if self.header else 'without'} header"

    @property
    def text(self) -> str:
        """All of it for people."""
        unit = self.unit.text
        return f"{self.kind}, {'fractional ' if self.fractions else ''}{unit}"


def with_header(name: str, *, time: str, price: str, volume: str) -> Layout:
    """Make the layout of files whose header has these names, times in seconds."""
    names = name.split(",")
    return Layout(name, names.index(time), names.index(price), names.index(volume), header=True)
