"""Rows read in pieces out of a real database are those of one fetch, whatever happens between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from qd_gateway.core.plans import StreamPlan
from qd_gateway.errors import StreamRefused
from qd_gateway.metrics import GatewayMetrics
from qd_gateway.streams.database import Database
from qd_gateway.streams.grants import Grants
from qd_gateway.streams.pieces import Pieces
from qd_gateway.streams.reader import RowReader
from qd_gateway.streams.supply import Supply
from qd_gateway.streams.turns import Turns
from qd_schemas.arrays import Rows
from qd_schemas.bars import bar_ends
from qd_schemas.enums import DataErrorType, DataType, Reason, Resolution, UnfinishedBar
from qd_store import Market, Store
from qd_store.append import MarketAppender
from qd_store.reading import BarQuery, TradeQuery, Unfinished
from support.markets import Markets, database_of, generated

TRADES = 3_000
UNFINISHED = {
    UnfinishedBar.LEFT_OUT: Unfinished.LEFT_OUT,
    UnfinishedBar.INCLUDED: Unfinished.INCLUDED,
}


@pytest.fixture(scope="module")
def stored(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Markets]:
    folder = tmp_path_factory.mktemp("pieces")
    with database_of(database_dsn, folder, {"XBTUSD": generated(3, TRADES)}) as found:
        yield found


class Clock:
    """A clock that goes on by itself, so much at each look."""

    def __init__(self, step_s: float = 0.0) -> None:
        self._now, self._step_s = 0.0, step_s

    def __call__(self) -> float:
        self._now += self._step_s
        return self._now


class Told(GatewayMetrics):
    """Says when the database was found down."""

    def __init__(self) -> None:
        super().__init__()
        self.down = asyncio.Event()

    def database(self, *, up: bool) -> None:
        super().database(up=up)
        if not up:
            self.down.set()


def planned(markets: Markets, data_type: DataType, **changes: object) -> StreamPlan:
    plan = StreamPlan(
        ticket=1,
        client_id=21,
        version=2,
        exchange_id=1,
        symbol_id=markets.ids["XBTUSD"],
        data_type=data_type,
        resolution=Resolution.NONE if data_type is DataType.TRADES_EXACT else Resolution.H1,
        stream_id=1,
        first_sequence=1,
        start_time=None,
        end_time=None,
        pace=0.0,
    )
    return replace(plan, **changes)  # type: ignore[arg-type]  # as the tests give them


@contextlib.asynccontextmanager
async def reader_of(
    plan: StreamPlan, dsn: str, clock: Clock | None = None, metrics: GatewayMetrics | None = None
) -> AsyncIterator[RowReader]:
    database = Database(dsn)
    reader = RowReader(
        plan, database, Grants(Turns()), metrics or GatewayMetrics(), clock or Clock()
    )
    try:
        yield reader
    finally:
        await reader.let_go()
        await database.aclose()


async def rows_of(reader: RowReader, count: int) -> Rows:
    """The next piece of so many rows, where there are more."""
    rows = await reader.next(count)
    assert rows is not None
    return rows


async def rest_of(reader: RowReader) -> AsyncIterator[Rows]:
    while (rows := await reader.next(100)) is not None:
        yield rows


async def one_fetch(plan: StreamPlan, dsn: str) -> Rows:
    """What the plan is to give."""
    async with Store.open(dsn) as store:
        market = await store.market(plan.exchange_id, plan.symbol_id)
        assert market is not None
        times = (plan.start_time, plan.end_time)
        if not plan.is_bars:
            return await store.query(TradeQuery(market, *times, plan.first_sequence))
        unfinished = UNFINISHED[plan.unfinished]
        query = BarQuery(
            market, plan.resolution, *times, plan.first_sequence, unfinished=unfinished
        )
        return await store.query(query)


@st.composite
def plans(draw: st.DrawFn) -> dict[str, object]:
    """Changes to a plan: any range of any data, often one that ends amid or beyond the market."""
    rows = generated(3, TRADES)
    first, last = int(rows["time"][0]), int(rows["time"][-1])
    day = 86_400_000_000
    times = st.one_of(st.none(), st.integers(first - day, last + day))
    return {
        "data_type": draw(st.sampled_from([DataType.TRADES_EXACT, DataType.OHLCV_EXACT])),
        "start_time": draw(times),
        "end_time": draw(times),
        "first_sequence": draw(st.one_of(st.just(1), st.integers(1, TRADES + 1))),
        "unfinished": draw(st.sampled_from(UnfinishedBar)),
        "resolution": draw(st.sampled_from([r for r in Resolution if r])),
    }


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    """What happens while rows are read: (event, rows)."""
    sizes = st.sampled_from([1, 7, 100, 1_000, 4_096, 262_144])
    events = st.sampled_from(["take", "take", "take", "shrink", "cancel", "lost"])
    return draw(st.lists(st.tuples(events, sizes), max_size=12))


async def supplied(reader: RowReader, history: list[tuple[str, int]], dsn: str) -> Rows:
    """All rows of a reader, by way of a supply to which these things happen first."""
    news, parts = asyncio.Event(), []
    async with contextlib.aclosing(Supply(reader, news.set)) as supply:
        for event, rows in [*history, *[("take", 262_144)] * 100_000]:
            news.clear()
            supply.collect()
            if supply.has_ended:
                break
            if not supply.is_reading:
                supply.read(rows)
            match event:
                case "take" if len(supply.rows):
                    parts.append(supply.take(min(rows, len(supply.rows))))
                case "take":
                    await news.wait()
                case "shrink":
                    supply.shrink()
                case "cancel":
                    supply.shrink(at_once=True)
                case _:
                    end_connections(dsn)
    assert not reader.is_open
    return np.concatenate(parts)


def end_connections(dsn: str) -> None:
    """End all that the database has, as a restart does."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=plans(), history=histories())
def test_pieces_are_one_fetch(
    stored: Markets, changes: dict[str, object], history: list[tuple[str, int]]
) -> None:
    plan = planned(stored, **changes)  # type: ignore[arg-type]  # each is what it is named for

    async def run() -> None:
        expected = await one_fetch(plan, stored.dsn)
        async with reader_of(plan, stored.dsn) as reader:
            if len(expected):
                found = await supplied(reader, history, stored.dsn)
                np.testing.assert_array_equal(found, expected)
            else:
                with pytest.raises(StreamRefused) as refused:
                    await supplied(reader, history, stored.dsn)
                included = replace(plan, unfinished=UnfinishedBar.INCLUDED)
                is_there = len(await one_fetch(included, stored.dsn))
                reason = Reason.BAR_NOT_OVER if is_there else Reason.NO_ROWS
                assert refused.value.refusal.reason is reason
                assert refused.value.refusal.error is DataErrorType.DATA_UNAVAILABLE

    asyncio.run(run())


async def test_a_symbol_that_is_not_there(stored: Markets) -> None:
    plan = planned(stored, DataType.TRADES_EXACT, symbol_id=999)
    async with reader_of(plan, stored.dsn) as reader:
        with pytest.raises(StreamRefused) as refused:
            await reader.next(1_000)
    assert refused.value.refusal.error is DataErrorType.TABLE_NOT_FOUND
    assert refused.value.refusal.reason is Reason.SYMBOL_UNKNOWN


async def test_between_pieces_no_connection_and_no_turn_is_held(stored: Markets) -> None:
    plan = planned(stored, DataType.TRADES_EXACT)
    async with reader_of(plan, stored.dsn) as reader:
        for _ in range(3):
            rows = await reader.next(100)
            assert rows is not None
            assert len(rows) == 100
            assert not reader.is_open


async def test_trades_that_come_meanwhile_are_no_part_of_a_stream(
    database_dsn: str, tmp_path: Path
) -> None:
    """Nor of its last bar, which would otherwise be told as it was in the middle."""
    rows = generated(4, 600)
    with database_of(database_dsn, tmp_path, {"XBTUSD": rows[:500]}) as markets:
        trades = planned(markets, DataType.TRADES_EXACT)
        bars = planned(markets, DataType.OHLCV_EXACT, resolution=Resolution.M5)
        expected = {plan: await one_fetch(plan, markets.dsn) for plan in (trades, bars)}
        async with (
            reader_of(trades, markets.dsn) as of_trades,
            reader_of(bars, markets.dsn) as of_bars,
        ):
            found = {trades: [await rows_of(of_trades, 100)], bars: [await rows_of(of_bars, 50)]}
            with MarketAppender.open(markets.dsn, 1, "XBTUSD") as appender:
                assert appender.append(rows[500:]).added == 100
            for plan, reader in ((trades, of_trades), (bars, of_bars)):
                found[plan] += [rows async for rows in rest_of(reader)]
        np.testing.assert_array_equal(np.concatenate(found[trades]), expected[trades])
        got: Rows = np.concatenate(found[bars])
        assert got["time"].tolist() == expected[bars]["time"].tolist()
        np.testing.assert_array_equal(got[:-1], expected[bars][:-1])


@contextlib.contextmanager
def unreachable(dsn: str) -> Iterator[None]:
    """The database takes no connections, and has none, while the block runs."""
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    assert isinstance(name, str)
    other = psycopg.conninfo.make_conninfo(dsn, dbname="postgres")
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        try:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            yield
        finally:
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


async def test_a_database_that_comes_back_is_outlasted(stored: Markets) -> None:
    plan = planned(stored, DataType.TRADES_EXACT)
    told = Told()
    async with reader_of(plan, stored.dsn, metrics=told) as reader:
        parts = [await rows_of(reader, 1_000)]
        with unreachable(stored.dsn):
            reading = asyncio.create_task(rows_of(reader, 1_000))
            await told.down.wait()
            assert not reader.is_open  # others may have the turn
        parts += [await reading, *[rows async for rows in rest_of(reader)]]
    np.testing.assert_array_equal(np.concatenate(parts), await one_fetch(plan, stored.dsn))


@pytest.mark.parametrize("begun", [False, True])
async def test_a_database_that_stays_away_refuses(stored: Markets, begun: bool) -> None:
    plan = planned(stored, DataType.TRADES_EXACT)
    async with reader_of(plan, stored.dsn, Clock(step_s=6.0)) as reader:
        if begun:
            await reader.next(1_000)
        with unreachable(stored.dsn), pytest.raises(StreamRefused) as refused:
            await reader.next(1_000)
    assert refused.value.refusal.error is DataErrorType.CHANNEL_FAILED
    assert refused.value.refusal.reason is Reason.DATABASE_DOWN


async def test_a_database_that_refuses_is_not_asked_again(stored: Markets) -> None:
    plan = planned(stored, DataType.TRADES_EXACT)
    async with reader_of(plan, stored.dsn) as reader:
        await reader.next(1_000)
        rename = "ALTER TABLE {} RENAME TO {}"
        with psycopg.connect(stored.dsn, autocommit=True) as connection:
            connection.execute(rename.format("trade", "other"))
            try:
                with pytest.raises(StreamRefused) as refused:
                    await reader.next(1_000)
            finally:
                connection.execute(rename.format("other", "trade"))
    assert refused.value.refusal.reason is Reason.DATABASE_FAILED


def test_bars_go_on_by_time() -> None:
    market = Market(1, 1, "XBTUSD", 100, 0, 10 * 3_600_000_000 + 1)
    plan = StreamPlan(
        1, 21, 2, 1, 1, DataType.OHLCV_EXACT, Resolution.H1, 1, 4, None, None, 0.0,
        unfinished=UnfinishedBar.LEFT_OUT,
    )  # fmt: skip
    pieces = Pieces(plan, market)
    first = pieces.query(2)
    assert (first.first_sequence, first.end_sequence, first.start_time) == (4, 6, None)
    rows = np.zeros(2, first.dtype)
    rows["time"] = [3 * 3_600_000_000, 4 * 3_600_000_000]
    pieces.gave(rows)
    pieces.ended()
    second = pieces.query(2)
    assert (second.first_sequence, second.end_sequence) == (1, 3)
    assert second.start_time == bar_ends(Resolution.H1, rows["time"][-1:].copy())[0]
