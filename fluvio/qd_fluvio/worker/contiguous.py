"""The proof that a stream of records lost none: offsets without a jump, or a refill.

A fetch that the cluster cuts in the middle of a batch makes the client skip the batch's rest.
Only the offsets show it. This module decides; it opens nothing and reads nothing.
"""

from __future__ import annotations

import enum


class Step(enum.Enum):
    """What to do with a record that came."""

    TAKE = "take"  # it is the one that was missing
    SKIP = "skip"  # it came before
    REFILL = "refill"  # offsets before it are missing: open the stream there again
    GIVE_UP = "give up"  # they do not come, however often they are asked for


class Contiguous:
    """Follows the offsets of a partition across all streams that were opened for it.

    Parameters
    ----------
    next_offset : int
        The offset that must come first.
    refill_tries_max : int
        Refills in a row that may bring nothing before the offsets count as missing.
    """

    def __init__(self, next_offset: int, refill_tries_max: int) -> None:
        self.next_offset = next_offset
        self._tries_max = refill_tries_max
        self._tries = 0

    def step(self, offset: int) -> Step:
        """Judge the offset of the record that came."""
        if offset == self.next_offset:
            self.advance()
            return Step.TAKE
        if offset < self.next_offset:
            return Step.SKIP
        return self.missing()

    def advance(self) -> None:
        """The record with the next offset has come."""
        self.next_offset += 1
        self._tries = 0

    def missing(self) -> Step:
        """Judge that the next record does not come, though there is one."""
        self._tries += 1
        return Step.REFILL if self._tries <= self._tries_max else Step.GIVE_UP
