"""New trades of one market into the tables, with all that follows from them.

In the caller's transaction: trades, their marks, on plain PostgreSQL their bars, and the
market's counts. Memory is that of some blocks, whatever comes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Written:
    """What a market got.

    Attributes
    ----------
    rows : int
        How many trades, at least one.
    first_sequence : int
        Of the first of them.
    first_time, last_time : int
        Of the first and last of them, microseconds since the epoch.
    """

    rows: int
    first_sequence: int
    first_time: int
    last_time: int
