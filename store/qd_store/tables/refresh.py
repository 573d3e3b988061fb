"""Bring stored bars up to the stored trades.

Needed after imports on TimescaleDB, whose continuous aggregates follow when told, and after
an upgrade of plain tables. Until then readers make the bars that lack out of trades, so
nobody ever sees a wrong one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class RefreshProgress:
    """How far a refresh has come.

    Attributes
    ----------
    done, total : int
        Trades' worth of work, estimated.
    what : str
        What is being done, for people.
    """

    done: int
    total: int
    what: str


RefreshCallback: TypeAlias = Callable[[RefreshProgress], None]


def refresh_bars(
    dsn: str,
    *,
    progress: RefreshCallback | None = None,
    stop: threading.Event | None = None,
    everything: bool = False,
) -> int:
    """Bring the stored bars of all markets up to their trades; blocks.

    Several may run at a time: one works, the others wait for it. Killed anywhere, it leaves
    bars as they were or complete, and running it again finishes the rest.

    Parameters
    ----------
    dsn : str
        The database, as its owner or importer.
    progress : callable, optional
        Told after each step, in this thread.
    stop : threading.Event, optional
        Set it to stop after the present step.
    everything : bool
        Make all bars anew, also those that count as complete: the repair of `qd db check`.

    Returns
    -------
    int
        How many markets had bars that were behind.

    Raises
    ------
    ImportStopped
        The caller asked for it; what was done stays.
    DatabaseUnreachable, ConnectionLost, QueryFailed
        About the database.
    """
    raise NotImplementedError
