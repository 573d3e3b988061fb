"""TimescaleDB's chunks, made before the rows that need them.

Making a chunk, and marking it as compressed, locks others out until the transaction ends,
which for an import may be minutes. So chunks are made in short transactions on a connection
beside the import's. A chunk whose rows then never come stays empty.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final

import psycopg

from qd_store.connections import connect_beside

_WAIT_SECONDS_MAX: Final = 60

_INTERVAL = """
SELECT (extract(epoch FROM time_interval) * 1000000)::bigint
FROM timescaledb_information.dimensions
WHERE hypertable_schema = current_schema() AND hypertable_name = 'trade'
"""
_PRESENT = """
SELECT (extract(epoch FROM range_start) * 1000000)::bigint
FROM timescaledb_information.chunks
WHERE hypertable_schema = current_schema() AND hypertable_name = 'trade'
"""


class Chunks:
    """Makes chunks of `trade` while the block runs.

    Parameters
    ----------
    connection : psycopg.Connection
        The import's; only asked what there is.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._beside: psycopg.Connection[Any] | None = None
        self._interval = 0
        self._present: set[int] = set()

    def __enter__(self) -> Chunks:
        row = self._connection.execute(_INTERVAL).fetchone()
        assert row is not None  # the migration made the hypertable
        self._interval = int(row[0])
        self._present = {start for (start,) in self._connection.execute(_PRESENT)}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._beside is not None:
            self._beside.close()

    def ensure(self, first_time: int, last_time: int) -> None:
        """Have the chunks of the times from the first to the last, microseconds."""
        first, last = first_time // self._interval, last_time // self._interval
        for number in range(first, last + 1):
            start = number * self._interval
            if start not in self._present:
                self._make(start)
                self._present.add(start)

    def _make(self, start: int) -> None:
        if self._beside is None:
            self._beside = connect_beside(self._connection)
            self._beside.execute(f"SET lock_timeout = '{_WAIT_SECONDS_MAX}s'")
        self._beside.execute("SELECT make_trade_chunk(%s)", [start])
