"""Trades, marks and bars in the tables: the same as numpy's on either kind, to the last bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qd_schemas.arrays import TRADE, Rows
from qd_schemas.bars import CHAIN, bar_ends, bar_starts
from qd_store.connections import connect
from qd_store.errors import ImportStopped
from qd_store.migrate import migrate
from qd_store.tables import (
    BAR_TABLES,
    STORED_BAR,
    MarketTables,
    RefreshProgress,
    Written,
    refresh_bars,
)

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
START_US = 1_388_534_390 * SECOND_US  # ten seconds before the year 2014
SPACINGS_US = (0, SECOND_US // 3, 7 * SECOND_US, 50 * SECOND_US, 3_600 * SECOND_US, 9 * DAY_US)
GAPS_US = (0, 1, 60 * SECOND_US, DAY_US, 100 * DAY_US, 800 * DAY_US)
PIECE_US_MAX = 500 * DAY_US
_names = itertools.count()


@dataclass(frozen=True)
class Piece:
    """Some trades for a market: how many, how far apart, and what happens to the bars then."""

    market: int
    count: int
    gap_us: int
    spacing_us: int
    block_rows: int
    refreshed: bool


PIECES = st.lists(
    st.builds(
        Piece,
        market=st.integers(0, 2),
        count=st.sampled_from((1, 2, 30, 999, 1_000, 5_000, 9_000)),
        gap_us=st.sampled_from(GAPS_US),
        spacing_us=st.sampled_from(SPACINGS_US),
        block_rows=st.sampled_from((1, 700, 4_096, 10_000)),
        refreshed=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture
def own(dsn: str) -> str:
    """A migrated database."""
    with connect(dsn) as connection:
        migrate(connection)
    return dsn


def made(piece: Piece, after: Rows) -> Rows:
    """A piece's trades, which follow those of a market."""
    chance = np.random.default_rng(len(after) + piece.count)
    last = int(after["time"][-1]) if len(after) else START_US
    rows = np.empty(piece.count, TRADE)
    rows["sequence"] = np.arange(1, piece.count + 1) + len(after)
    spacing = min(piece.spacing_us, PIECE_US_MAX // piece.count)
    steps = chance.integers(0, 2 * spacing + 1, piece.count)
    rows["time"] = last + piece.gap_us + np.cumsum(steps)
    rows["price"] = np.round(chance.normal(100, 20, piece.count), 3)
    rows["volume"] = chance.exponential(1, piece.count) * (chance.random(piece.count) > 0.1)
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


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=PIECES)
def test_bars_are_those_of_numpy_however_trades_came(own: str, pieces: list[Piece]) -> None:
    prefix = f"M{next(_names)}"
    markets: dict[str, Rows] = {}
    for piece in pieces:
        symbol = f"{prefix}x{piece.market}"
        before = markets.get(symbol, np.empty(0, TRADE))
        rows = made(piece, before)
        written = write(own, symbol, rows, piece.block_rows)
        assert written == Written(
            len(rows), len(before) + 1, int(rows["time"][0]), int(rows["time"][-1])
        )
        markets[symbol] = np.concatenate((before, rows))
        if piece.refreshed:
            refresh_bars(own)
            check_all(own, symbol, markets[symbol])
    for symbol, trades in markets.items():
        check_final_bars(own, symbol, trades)
    refresh_bars(own)
    for symbol, trades in markets.items():
        check_all(own, symbol, trades)
    assert refresh_bars(own) == 0
