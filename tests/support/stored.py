"""Markets written straight into the tables, and what must then be in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import psycopg
from numpy.typing import NDArray

from qd_schemas.arrays import TRADE, Rows
from qd_schemas.bars import CHAIN, bar_ends, bar_starts
from qd_store.connections import connect
from qd_store.tables import BAR_TABLES, STORED_BAR, MarketTables, Written

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
START_US = 1_388_534_390 * SECOND_US  # ten seconds before the year 2014


def random_trades(count: int, spacing_us: int, after: Rows | None = None, gap_us: int = 0) -> Rows:
    """Trades at irregular times, which follow others; some of no volume."""
    stored = 0 if after is None else len(after)
    last = START_US if after is None or not stored else int(after["time"][-1])
    chance = np.random.default_rng(stored + count)
    rows = np.empty(count, TRADE)
    rows["sequence"] = np.arange(1, count + 1) + stored
    rows["time"] = last + gap_us + np.cumsum(chance.integers(0, 2 * spacing_us + 1, count))
    rows["price"] = np.round(chance.normal(100, 20, count), 3)
    rows["volume"] = chance.exponential(1, count) * (chance.random(count) > 0.1)
    return rows


def write(dsn: str, symbol: str, rows: Rows, block_rows: int = 4_096) -> Written | None:
    with connect(dsn) as connection:
        tables = MarketTables(connection, 1, symbol)
        with connection.transaction():
            return tables.write(blocks(rows, block_rows), tables.lock())


def blocks(rows: Rows, block_rows: int) -> Iterator[Rows]:
    block_rows = max(block_rows, len(rows) // 200)
    yield from (rows[i : i + block_rows] for i in range(0, len(rows), block_rows))
    yield rows[:0]


def expected_bars(trades: Rows) -> list[Rows]:
    """Bars of all resolutions by the rule alone: one addition after the other."""
    times, volumes = trades["time"].copy(), trades["volume"].tolist()
    found = []
    for resolution in CHAIN:
        sums: dict[int, float] = {}
        for start, volume in zip(bar_starts(resolution, times).tolist(), volumes, strict=True):
            sums[start] = sums.get(start, 0.0) + volume
        times, volumes = np.array(list(sums), np.int64), list(sums.values())
        found.append(_bars(trades, bar_starts(resolution, trades["time"].copy()), volumes))
    return found


def _bars(trades: Rows, starts: NDArray[np.int64], volumes: list[float]) -> Rows:
    times, first, counts = np.unique(starts, return_index=True, return_counts=True)
    last, prices = first + counts - 1, trades["price"].copy()
    bars = np.zeros(len(times), STORED_BAR)
    bars["time"], bars["volume"], bars["trades"] = times, volumes, counts
    bars["open"], bars["close"], bars["last_sequence"] = prices[first], prices[last], last + 1
    bars["high"], bars["low"] = (
        np.maximum.reduceat(prices, first),
        np.minimum.reduceat(prices, first),
    )
    return bars


def stored_bars(dsn: str, symbol: str, table: str) -> Rows:
    query = (
        "SELECT (extract(epoch FROM b.time) * 1000000)::bigint, open, high, low, close, volume, "
        f"b.trades, last_sequence FROM {table} b JOIN symbol USING (market) "
        "WHERE symbol = %s ORDER BY b.time"
    )
    with psycopg.connect(dsn) as connection:
        return np.array(connection.execute(query.encode(), [symbol]).fetchall(), STORED_BAR)


def state(dsn: str, symbol: str) -> tuple[int, ...]:
    """A market's counts and times: trades, first, last, bars' sequence and time."""
    times = ", ".join(
        f"(extract(epoch FROM {name}) * 1000000)::bigint"
        for name in ("first_time", "last_time", "bars_time")
    )
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            f"SELECT trades, bars_sequence, {times} FROM symbol WHERE symbol = %s".encode(),
            [symbol],
        ).fetchone()
    assert row is not None
    return row


def check_final_bars(dsn: str, symbol: str, trades: Rows) -> None:
    """Bars whose interval is over by the bars' time are right, whatever was refreshed."""
    _, _, _, _, bars_time = state(dsn, symbol)
    for resolution, bars in zip(CHAIN, expected_bars(trades), strict=True):
        stored = stored_bars(dsn, symbol, BAR_TABLES[resolution])
        final = [
            rows[bar_ends(resolution, rows["time"].copy()) <= (bars_time or 0)]
            for rows in (bars, stored)
        ]
        assert final[0].tobytes() == final[1].tobytes(), (symbol, resolution)


def check_all(dsn: str, symbol: str, trades: Rows) -> None:
    """Everything stored of a market follows from its trades."""
    count, first, last = len(trades), trades["time"][0], trades["time"][-1]
    assert state(dsn, symbol) == (count, count, first, last, last)
    for resolution, bars in zip(CHAIN, expected_bars(trades), strict=True):
        stored = stored_bars(dsn, symbol, BAR_TABLES[resolution])
        assert stored.tolist() == bars.tolist(), (symbol, resolution)
        assert stored.tobytes() == bars.tobytes(), (symbol, resolution)
    assert stored_trades(dsn, symbol).tobytes() == trades.tobytes()
    with psycopg.connect(dsn) as connection:
        marks = connection.execute(
            "SELECT sequence, (extract(epoch FROM time) * 1000000)::bigint FROM trade_mark "
            "JOIN symbol USING (market) WHERE symbol = %s ORDER BY sequence",
            [symbol],
        ).fetchall()
    assert marks == trades[["sequence", "time"]][::8_192].tolist()


def stored_trades(dsn: str, symbol: str) -> Rows:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT sequence, (extract(epoch FROM time) * 1000000)::bigint, price, volume "
            "FROM trade WHERE market = (SELECT market FROM symbol WHERE symbol = %s) "
            "ORDER BY time, sequence",
            [symbol],
        ).fetchall()
    return np.array(rows, TRADE)
