"""What a later export adds to a market: its rows less those that are stored already.

Kraken's rows carry no ids, so rows are compared as a multiset of (time, price, volume): a row
that the file has twice and the table once is new once. Both sides come in time order, and
are compared piece by piece. A row at the time of the last stored one may be new; an older
one that is not stored cannot be added, since sequence numbers never change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qd_schemas.arrays import TRADE, Rows
from qd_store.errors import SourceRefused
from qd_store.imports.rows import RAW

ONE_TIME_ROWS_MAX: Final = 2_000_000
"""Rows of one time are compared at once, so there is a bound: 64 MB. Real ones are some hundred."""
_END: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Compared:
    """A piece of the file: rows to add, lines of those too old, and how many are known."""

    fresh: Rows
    older_lines: NDArray[np.int64]
    known: int


def compare(file: Iterator[Rows], stored: Iterator[Rows], last_time: int) -> Iterator[Compared]:
    """Tell new rows from stored and impossible ones.

    Parameters
    ----------
    file : iterator of ndarray of RAW
        In time order.
    stored : iterator of ndarray of TRADE
        The stored trades from the file's first time on, in time order. Read no further
        than needed.
    last_time : int
        Of the last stored trade.

    Raises
    ------
    SourceRefused
        More than `ONE_TIME_ROWS_MAX` rows are of one time.
    """
    new, old = _Side(file, RAW), _Side(stored, TRADE)
    while new.has_rows():
        old.has_rows()
        bound = min(new.complete_before(), old.complete_before())
        rows, known = new.take_before(bound), old.take_before(bound)
        if len(rows):
            yield _compared(rows, known, last_time)
        elif not len(known):  # all at hand is of one time, which may go on
            for side in (new, old):
                if side.complete_before() == bound:
                    side.read()


def _compared(rows: Rows, stored: Rows, last_time: int) -> Compared:
    """Compare all rows of some times with all stored ones of the same times."""
    if rows["time"][0] > last_time:
        return Compared(rows, np.empty(0, np.int64), 0)
    known = _known(rows, stored)
    late = ~known & (rows["time"] < last_time)
    return Compared(rows[~known & ~late], rows["line"][late], int(np.count_nonzero(known)))


def _known(rows: Rows, stored: Rows) -> NDArray[np.bool_]:
    """Which rows the stored ones account for; of equal rows, the first ones of the file."""
    both = [np.concatenate((stored[name], rows[name])) for name in ("time", "price", "volume")]
    is_file = np.arange(len(both[0])) >= len(stored)
    order = np.lexsort((*both[::-1],))  # stable: of equal rows the stored ones come first
    differs = np.zeros(len(order), np.bool_)
    differs[:1] = True
    for column in both:
        differs[1:] |= column[order][1:] != column[order][:-1]
    group = np.cumsum(differs) - 1
    in_store = np.bincount(group, weights=~is_file[order]).astype(np.int64)
    rank = np.arange(len(order)) - np.flatnonzero(differs)[group]
    known = np.zeros(len(order), np.bool_)
    known[order] = rank < 2 * in_store[group]
    return known[len(stored) :]


class _Side:
    """One of the two streams that are compared, given out by time."""

    def __init__(self, blocks: Iterator[Rows], dtype: np.dtype[np.void]) -> None:
        self._blocks = blocks
        self._rows = np.empty(0, dtype)
        self._ended = False

    def has_rows(self) -> bool:
        """Whether there are more rows; reads some where none are at hand."""
        while not len(self._rows) and not self._ended:
            self.read()
        return len(self._rows) > 0

    def read(self) -> None:
        """Have one more block at hand."""
        rows = next(self._blocks, None)
        if rows is None:
            self._ended = True
            return
        self._rows = np.concatenate((self._rows, rows))
        if len(self._rows) > ONE_TIME_ROWS_MAX + len(rows):
            raise SourceRefused(
                f"more than {ONE_TIME_ROWS_MAX} rows have the time {self._rows['time'][0]} "
                "microseconds: too many to compare with the stored ones; is it a file of trades?"
            )

    def complete_before(self) -> int:
        """The time before which all rows are at hand."""
        return _END if self._ended else int(self._rows["time"][-1])

    def take_before(self, time: int) -> Rows:
        """Give out the rows before a time."""
        count = int(np.searchsorted(self._rows["time"], time))
        given, self._rows = self._rows[:count], self._rows[count:]
        return given
