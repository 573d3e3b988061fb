"""Bring TimescaleDB's continuous aggregates up to the trades.

Each aggregate is made of the next finer one, so they are refreshed finest first. TimescaleDB
knows which times changed; work is cut into windows of whole months, of about as many trades
each as the marks tell, so that one can say how far it is and stop in between. A refresh sees
what was committed before it; trades that come meanwhile are for the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from qd_schemas.enums import Resolution
from qd_store.tables.bars import BAR_TABLES
from qd_store.tables.progress import Steps
from qd_store.tables.writer import MARK_EVERY

_WINDOW_MARKS: Final = 128  # a million trades
_WHOLE: Final = (Resolution.MO1, Resolution.Y1)  # longer than a window may be
"""Refreshed whole, by year. TimescaleDB 2.29 takes the end of what changed as exclusive where
buckets differ in width, and would miss a month whose only day is its first: they are forced.
"""
# Bars written as rows, with their indexes, take three times as long as compressed ones.
_COMPRESSED = "SET timescaledb.enable_direct_compress_on_cagg_refresh = on"
_SORTED_IN_MEMORY = "SET work_mem = '64MB'"
# By default a refresh goes by ten buckets, each a scan of its own.
_REFRESH = """
CALL {schema}.refresh_continuous_aggregate(
    {view}, {start}::timestamptz, {end}::timestamptz, force => {force},
    options => '{{"buckets_per_batch": 0}}'::jsonb)
"""
_EXTENSION_SCHEMA = """
SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname = 'timescaledb'
"""
_BEHIND = """
SELECT market, trades, last_time, CASE WHEN %(all)s THEN first_time
    ELSE coalesce(bars_time, first_time) END
FROM symbol WHERE trades > 0 AND (%(all)s OR bars_sequence < trades)
"""
_MONTHS = """
SELECT date_trunc('month', time, 'UTC') AS month, count(*)
FROM trade_mark WHERE time >= %s AND time <= %s GROUP BY month ORDER BY month
"""
_COMPLETE = """
UPDATE symbol SET bars_sequence = done.trades, bars_time = done.last_time
FROM unnest(%s::integer[], %s::bigint[], %s::timestamptz[]) AS done (market, trades, last_time)
WHERE symbol.market = done.market AND symbol.bars_sequence < done.trades
"""


def refresh_aggregates(
    connection: psycopg.Connection[Any], steps: Steps, *, everything: bool
) -> int:
    """Refresh what is behind, or all; see `refresh_bars`."""
    behind = connection.execute(_BEHIND, {"all": everything}).fetchall()
    if not behind:
        return 0
    first = min(row[3] for row in behind).astimezone(UTC)
    last = max(row[2] for row in behind).astimezone(UTC)
    months = connection.execute(_MONTHS, [first, last]).fetchall()
    windows = _windows(first, last, [(m.astimezone(UTC), marks) for m, marks in months])
    steps.begin(sum(marks for _, _, marks in windows) * MARK_EVERY)
    aggregates = _Aggregates(connection)
    for start, end, marks in windows:
        for resolution in BAR_TABLES:
            if resolution not in _WHOLE:
                steps.check()
                aggregates.refresh(resolution, start, end, force=everything)
        steps.step(marks * MARK_EVERY, f"bars of {start:%Y-%m} to {end:%Y-%m}")
    for resolution in _WHOLE:
        aggregates.refresh(resolution, _year(first.year), _year(last.year + 1), force=True)
    connection.execute(_COMPLETE, [[row[i] for row in behind] for i in range(3)])
    return len(behind)


class _Aggregates:
    """Refreshes one aggregate at a time."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        for setting in (_COMPRESSED, _SORTED_IN_MEMORY):
            connection.execute(setting)
        row = connection.execute(_EXTENSION_SCHEMA).fetchone()
        assert row is not None  # the aggregates need it
        self._schema = sql.Identifier(row[0])

    def refresh(
        self, resolution: Resolution, start: datetime, end: datetime, *, force: bool
    ) -> None:
        """Refresh the bars from a time up to another, or only those that are known to be old."""
        self._connection.execute(
            sql.SQL(_REFRESH).format(
                schema=self._schema,
                view=sql.Literal(BAR_TABLES[resolution]),
                start=sql.Literal(start.isoformat()),
                end=sql.Literal(end.isoformat()),
                force=sql.Literal(force),
            )
        )


def _windows(
    first: datetime, last: datetime, months: Sequence[tuple[datetime, int]]
) -> list[tuple[datetime, datetime, int]]:
    """Windows of whole months from the first time to past the last, with their marks."""
    windows = []
    start, marks = _month(first), 0
    for month, count in months:
        if marks and marks + count > _WINDOW_MARKS and month > start:
            windows.append((start, month, marks))
            start, marks = month, 0
        marks += count
    windows.append((start, _next_month(last), max(marks, 1)))
    return windows


def _month(time: datetime) -> datetime:
    return datetime(time.year, time.month, 1, tzinfo=UTC)


def _next_month(time: datetime) -> datetime:
    return datetime(time.year + time.month // 12, time.month % 12 + 1, 1, tzinfo=UTC)


def _year(number: int) -> datetime:
    return datetime(number, 1, 1, tzinfo=UTC)
