"""How far a stream may run ahead of its reader, in rows. Pure."""

from __future__ import annotations

from typing import Final

UNBOUNDED: Final = 2**63


class Window:
    """What the reader has taken, and how many rows more may be on their way.

    Parameters
    ----------
    rows : int
        How many; 0 for any number.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._taken: int | None = None  # the number of the first row that the reader has not taken
        self._next = 0  # the number of the first row that was not sent

    def room(self, ahead: int = 0) -> int:
        """How many rows may be sent, when so many others have been."""
        if self._rows == 0:
            return UNBOUNDED
        if self._taken is None:
            return self._rows - ahead
        return self._taken + self._rows - self._next - ahead

    def sent(self, first: int, count: int) -> None:
        """Rows of these numbers were sent; the first one ever counts as not taken."""
        if self._taken is None:
            self._taken = first
        self._next = first + count

    def advance(self, sequence: int) -> None:
        """The reader has taken all rows before this one; what cannot be is ignored."""
        if self._taken is not None and self._taken < sequence <= self._next:
            self._taken = sequence
