"""The statements of the readers, the same on both kinds of tables. Pure text.

Numbers and times are written into them: a COPY takes no parameters, and a plan made for the
very values reads only the partitions and chunks that matter.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qd_schemas.enums import Resolution
from qd_store.relations import BAR_TABLES
from qd_store.times import MICROSECONDS

TIME_MIN_US: Final = -62_135_596_800_000_000  # years 1 to 9999: every server holds these
TIME_MAX_US: Final = 253_402_300_799_999_999

# What must be known of a market before its bars are read: all of it is for ever true, since
# stored trades never change.
STATE: Final = f"""
SELECT trades, {MICROSECONDS.format("last_time")}, {MICROSECONDS.format("bars_time")}
FROM symbol WHERE market = %s AND trades > 0
"""

# The times between which a range of sequences lies, by the marks around it.
BETWEEN: Final = f"""
SELECT (SELECT {MICROSECONDS.format("time")} FROM trade_mark WHERE market = %s
        AND sequence <= %s ORDER BY sequence DESC LIMIT 1),
       (SELECT {MICROSECONDS.format("time")} FROM trade_mark WHERE market = %s
        AND sequence >= %s ORDER BY sequence LIMIT 1)
"""

# The indexes give the order. A sort would read all rows before it gave the first, and several
# processes for one stream would take them from the other streams. A stream lasts as long as its
# reader likes, so the server's own limits are off; by name, since not every version has them all.
SETTINGS: Final = (
    "SET enable_sort = off; SET max_parallel_workers_per_gather = 0; SET jit = off; "
    "SET default_transaction_read_only = on; SET statement_timeout = 0; "
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'"
)


def instant(time: int) -> str:
    """A time in microseconds as a literal; beyond the years 1 to 9999 the first or last one."""
    time = min(max(time, TIME_MIN_US), TIME_MAX_US)
    return f"'{np.datetime64(time, 'us')}Z'::timestamptz"


def trades(
    market: int,
    sequences: tuple[int, int | None],
    times: tuple[int | None, int | None],
    rows_max: int | None = None,
) -> str:
    """A market's trades: from the first sequence and time on, before the second ones."""
    first, end = sequences
    conditions = [f"market = {market:d}", *_between(times)]
    if first > 1:
        conditions.append(f"sequence >= {first:d}")
    if end is not None:
        conditions.append(f"sequence < {end:d}")
    return _ordered(
        "sequence, time, price, volume", "trade", conditions, "time, sequence", rows_max
    )


def first_trade(market: int, start_time: int) -> str:
    """The sequence of a market's first trade at or after a time."""
    conditions = [f"market = {market:d}", *_between((start_time, None))]
    return _ordered("sequence", "trade", conditions, "time, sequence", 1)


def bars(
    market: int,
    resolution: Resolution,
    times: tuple[int | None, int | None],
    rows_max: int | None = None,
) -> str:
    """A market's stored bars that start from the first time on, before the second one."""
    conditions = [f"market = {market:d}", *_between(times)]
    columns = "time, open, high, low, close, volume"
    return _ordered(columns, BAR_TABLES[resolution], conditions, "time", rows_max)


def bar_number(market: int, resolution: Resolution, times: tuple[int | None, int | None]) -> str:
    """The start of the stored bar of number %s, from 0, within the times."""
    conditions = " AND ".join([f"market = {market:d}", *_between(times)])
    return (
        f"SELECT {MICROSECONDS.format('time')} FROM {BAR_TABLES[resolution]} WHERE {conditions} "
        "ORDER BY time OFFSET %s LIMIT 1"
    )


def _between(times: tuple[int | None, int | None]) -> list[str]:
    start, end = times
    conditions = [] if start is None else [f"time >= {instant(start)}"]
    return conditions if end is None else [*conditions, f"time < {instant(end)}"]


def _ordered(
    columns: str, relation: str, conditions: list[str], order: str, rows_max: int | None
) -> str:
    limit = "" if rows_max is None else f" LIMIT {rows_max:d}"
    where = " AND ".join(conditions)
    return f"SELECT {columns} FROM {relation} WHERE {where} ORDER BY {order}{limit}"
