"""TimescaleDB: compress the trades that came in pieces too small to be compressed at once.

Live trades come so, and updates of small markets. Compressing a chunk takes it away from
writers for a moment, so a chunk that somebody writes to is left to the next time.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg

from qd_store.tables.progress import Steps

PIECES_ROWS_MIN: Final = 10_000
"""As many trades of a chunk may be uncompressed: about a megabyte."""
_WAIT_SECONDS_MAX: Final = 1  # for a chunk's writers; others wait behind this

# Pages that held rows may be empty now: the function counts.
_CHUNKS: Final = """
SELECT (extract(epoch FROM range_start) * 1000000)::bigint
FROM timescaledb_information.chunks
WHERE hypertable_schema = current_schema() AND hypertable_name = 'trade'
  AND pg_relation_size(format('%I.%I', chunk_schema, chunk_name)::regclass) > 0
ORDER BY range_start
"""
_BUSY: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


def compress_pieces(connection: psycopg.Connection[Any], steps: Steps) -> None:
    """Compress each chunk that has many uncompressed trades, in a transaction of its own.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode; it gets a limit on waiting for locks.
    steps : Steps
        Asked between two chunks whether to go on.
    """
    starts = [start for (start,) in connection.execute(_CHUNKS)]
    connection.execute(f"SET lock_timeout = '{_WAIT_SECONDS_MAX}s'")
    for start in starts:
        steps.check()
        try:
            connection.execute("SELECT compress_trade_chunk(%s, %s)", [start, PIECES_ROWS_MIN])
        except _BUSY:
            continue
