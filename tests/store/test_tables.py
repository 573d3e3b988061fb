"""Trades, marks and bars in the tables: the same as numpy's on either kind, to the last bit."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qd_schemas.arrays import TRADE, Rows
from qd_store.connections import connect
from qd_store.errors import ImportStopped
from qd_store.migrate import migrate
from qd_store.tables import (
    BAR_TABLES,
    MarketTables,
    RefreshProgress,
    TableKind,
    Written,
    kind_of,
    refresh_bars,
)
from qd_store.tables.pieces import PIECES_ROWS_MIN
from support.effort import tried
from support.stored import (
    DAY_US,
    SECOND_US,
    check_all,
    check_final_bars,
    random_trades,
    state,
    stored_bars,
    stored_trades,
    write,
)

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


@settings(
    max_examples=tried(5, thoroughly=40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(pieces=PIECES)
def test_bars_are_those_of_numpy_however_trades_came(own: str, pieces: list[Piece]) -> None:
    prefix = f"M{next(_names)}"
    markets: dict[str, Rows] = {}
    for piece in pieces:
        symbol = f"{prefix}x{piece.market}"
        before = markets.get(symbol, np.empty(0, TRADE))
        spacing_us = min(piece.spacing_us, PIECE_US_MAX // piece.count)
        rows = random_trades(piece.count, spacing_us, before, piece.gap_us)
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


def test_a_month_and_a_year_that_begin_with_the_last_trade(own: str) -> None:
    trades = random_trades(2, 0)
    trades["time"] = [1_388_534_399 * SECOND_US, 1_388_534_400 * SECOND_US]  # the year 2014
    write(own, "A", trades)
    refresh_bars(own)
    check_all(own, "A", trades)
    refresh_bars(own, everything=True)
    check_all(own, "A", trades)


def test_side_by_side_nobody_waits(own: str) -> None:
    """An import in the middle of another one, into times that had no trades before."""
    trades = random_trades(2_500, DAY_US // 4)

    def interrupted() -> Iterator[Rows]:
        yield trades[:2_000]
        with connect(own) as connection:
            connection.execute("SET lock_timeout = '5s'")
            other = MarketTables(connection, 1, "OTHER")
            with connection.transaction():
                other.write([trades], other.lock())
        refresh_bars(own)  # what is not committed yet is for the next one
        check_all(own, "OTHER", trades)
        yield trades[2_000:]

    with connect(own) as connection:
        one = MarketTables(connection, 1, "ONE")
        with connection.transaction():
            one.write(interrupted(), one.lock())
    refresh_bars(own)
    check_all(own, "ONE", trades)
    check_all(own, "OTHER", trades)


def failing(rows: Rows) -> Iterator[Rows]:
    yield rows
    raise ZeroDivisionError


def test_an_import_that_fails_leaves_nothing(own: str) -> None:
    trades = random_trades(30_000, SECOND_US)
    write(own, "A", trades[:10_000])
    for symbol, rows in (("A", trades[10_000:]), ("NEW", trades)):
        with connect(own) as connection:
            tables = MarketTables(connection, 1, symbol)
            with pytest.raises(ZeroDivisionError), connection.transaction():
                tables.write(
                    (part[: 1 // len(part)] for part in (rows[:1], rows[:0])), tables.lock()
                )
    assert state(own, "NEW")[0] == 0
    refresh_bars(own)
    check_all(own, "A", trades[:10_000])
    assert not len(stored_bars(own, "NEW", "bar_1m"))


def test_trades_that_come_after_a_refresh_began_wait_for_the_next(own: str) -> None:
    """Bars count as complete up to what was there when the refresh began, and no further."""
    trades = random_trades(12_000, 60 * SECOND_US)
    write(own, "A", trades[:10_000])
    with connect(own) as connection:
        connection.execute("UPDATE symbol SET bars_sequence = 0, bars_time = NULL")
    came: list[RefreshProgress] = []

    def add(progress: RefreshProgress) -> None:
        if not came and kind_of_database is TableKind.TIMESCALEDB:
            write(own, "A", trades[10_000:])
        came.append(progress)

    with connect(own) as connection:
        kind_of_database = kind_of(connection)
    assert refresh_bars(own, progress=add) == 1
    check_final_bars(own, "A", trades)
    if kind_of_database is TableKind.PLAIN:  # there a market's writers wait for each other
        write(own, "A", trades[10_000:])
    assert [step.done for step in came] == sorted(step.done for step in came)
    assert came[-1].done == came[-1].total
    refresh_bars(own)
    check_all(own, "A", trades)


def test_a_refresh_stops_between_two_steps_and_is_finished_later(own: str) -> None:
    trades = random_trades(20_000, 60 * SECOND_US)
    write(own, "A", trades)
    with connect(own) as connection:
        connection.execute("UPDATE symbol SET bars_sequence = 0, bars_time = NULL")
    stop = threading.Event()
    with pytest.raises(ImportStopped):
        refresh_bars(own, progress=lambda _: stop.set(), stop=stop)
    assert state(own, "A")[1] == 0
    assert refresh_bars(own) == 1
    check_all(own, "A", trades)


def uncompressed(dsn: str) -> int:
    """How many trades are not compressed, of all chunks."""
    with connect(dsn) as connection:
        found = connection.execute(
            "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks "
            "WHERE hypertable_schema = current_schema() AND hypertable_name = 'trade'"
        ).fetchall()
        counts = [
            connection.execute(f"SELECT count(*) FROM ONLY {chunk}".encode()).fetchone()
            for (chunk,) in found
        ]
    return sum(count for (count,) in filter(None, counts))


def write_in_pieces(dsn: str, symbol: str, trades: Rows) -> None:
    for start in range(0, len(trades), 500):
        write(dsn, symbol, trades[start : start + 500])


def test_many_trades_that_came_in_pieces_are_compressed(own: str) -> None:
    trades = random_trades(2 * PIECES_ROWS_MIN + 500, 60 * SECOND_US)
    with connect(own) as connection:
        on_timescaledb = kind_of(connection) is TableKind.TIMESCALEDB
    for end in (PIECES_ROWS_MIN, 2 * PIECES_ROWS_MIN):
        write_in_pieces(own, "A", trades[end - PIECES_ROWS_MIN : end])
        refresh_bars(own)
        assert not on_timescaledb or uncompressed(own) == 0
    write_in_pieces(own, "A", trades[2 * PIECES_ROWS_MIN :])
    refresh_bars(own)
    assert not on_timescaledb or uncompressed(own) == 500
    check_all(own, "A", trades)


def test_pieces_are_compressed_beside_somebody_who_writes(own: str) -> None:
    trades = random_trades(PIECES_ROWS_MIN, 60 * SECOND_US)
    write_in_pieces(own, "A", trades)
    with connect(own) as connection:
        on_timescaledb = kind_of(connection) is TableKind.TIMESCALEDB
        other = MarketTables(connection, 1, "OTHER")
        with connection.transaction():
            other.write([trades[:10]], other.lock())
            refresh_bars(own)
            assert len(stored_trades(own, "A")) == PIECES_ROWS_MIN
    refresh_bars(own)
    assert not on_timescaledb or uncompressed(own) <= 10
    check_all(own, "A", trades)
    check_all(own, "OTHER", trades[:10])


def test_a_refresh_waits_for_another_one(own: str) -> None:
    write(own, "A", random_trades(10, SECOND_US))
    stop = threading.Event()
    waits = []

    def try_too(_: RefreshProgress) -> None:
        with pytest.raises(ImportStopped):
            refresh_bars(own, stop=stop)
        waits.append(1)

    stop.set()
    refresh_bars(own, progress=try_too, everything=True)
    assert waits


def test_what_a_refresh_repairs(own: str) -> None:
    trades = random_trades(9_000, 600 * SECOND_US)
    write(own, "A", trades)
    refresh_bars(own)
    with connect(own) as connection:
        if kind_of(connection) is TableKind.PLAIN:
            for table in BAR_TABLES.values():
                connection.execute(f"DELETE FROM {table}".encode())
    refresh_bars(own, everything=True)
    check_all(own, "A", trades)
