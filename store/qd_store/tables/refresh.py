"""Bring stored bars up to the stored trades.

Needed after imports on TimescaleDB, whose continuous aggregates follow when told, and after
an upgrade of plain tables. Until then readers make the bars that lack out of trades, so
nobody ever sees a wrong one. Trades that came uncompressed are compressed afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from qd_store.connections import connect, translating
from qd_store.tables.aggregates import refresh_aggregates
from qd_store.tables.kinds import TableKind, kind_of
from qd_store.tables.pieces import compress_pieces
from qd_store.tables.progress import POLL_SECONDS, RefreshCallback, Steps
from qd_store.tables.rebuild import rebuild_bars

__all__ = ["RefreshCallback", "refresh_bars"]

_LOCK_KEY = 0x7164_0003  # "qd", a refresh


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
    steps = Steps(progress, stop)
    with translating(), connect(dsn) as connection, _alone(connection, steps):
        if kind_of(connection) is TableKind.TIMESCALEDB:
            markets = refresh_aggregates(connection, steps, everything=everything)
            compress_pieces(connection, steps)
            return markets
        return rebuild_bars(dsn, connection, steps, everything=everything)


@contextmanager
def _alone(connection: psycopg.Connection[Any], steps: Steps) -> Iterator[None]:
    """Keep other refreshes out; the lock goes with the connection, however that ends."""
    while connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK_KEY]).fetchone() != (True,):
        steps.wait(POLL_SECONDS)
    yield
