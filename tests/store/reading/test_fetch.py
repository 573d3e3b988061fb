"""Queries and fetches out of a database: what they give, and that memory is no matter of length."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pytest

from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.bars import CHAIN, Resampler
from qd_schemas.enums import DataType, Resolution
from qd_schemas.frames import read_frame
from qd_store import Market, Store
from qd_store.reading import BarQuery, MergedQuery, Query, TradeQuery, Unfinished
from qd_store.tables import refresh_bars
from support.stored_trades import Statement, Write, trades_of

COUNT = 30_000
HOUR_US = 3_600_000_000


@pytest.fixture
def rows() -> Rows:
    """Trades of three years, now and then some at one time."""
    random = np.random.default_rng(5)
    gaps = random.integers(0, 2 * HOUR_US, COUNT) * (random.random(COUNT) < 0.8)
    return trades_of(gaps // 1_000_000 * 1_000_000)


@pytest.fixture
async def market(write: Write, rows: Rows) -> Market:
    return await write("XBTEUR", rows)


def bars_of(trades: Rows, resolution: Resolution) -> Rows:
    resampler = Resampler(resolution)
    return np.concatenate([resampler.feed(trades), resampler.finish()])


@pytest.mark.parametrize("refreshed", [True, False])
async def test_bars_of_all_resolutions(
    store: Store, market: Market, rows: Rows, dsn: str, refreshed: bool
) -> None:
    if refreshed:
        await asyncio.to_thread(refresh_bars, dsn)
    for resolution in CHAIN:
        query = BarQuery(market, resolution, unfinished=Unfinished.INCLUDED)
        every = bars_of(rows, resolution)
        assert (await store.query(query)).tobytes() == every.tobytes()
        final = await store.query(replace(query, unfinished=Unfinished.LEFT_OUT))
        assert final.tobytes() == every[:-1].tobytes()
        marked = await store.query(replace(query, unfinished=Unfinished.MARKED))
        assert marked[list(BAR.names or ())].astype(BAR).tobytes() == every.tobytes()
        assert marked["final"].tolist() == [True] * (len(every) - 1) + [False]


async def test_bars_follow_trades_that_are_added(
    store: Store, write: Write, rows: Rows, dsn: str
) -> None:
    """Refreshed for a part, not for what came since."""
    market = await write("XBTEUR", rows[:20_000])
    await asyncio.to_thread(refresh_bars, dsn)
    for end in (20_001, 20_500, COUNT):
        market = await write("XBTEUR", rows[market.trades : end])
        for resolution in CHAIN:
            query = BarQuery(market, resolution, unfinished=Unfinished.INCLUDED)
            expected = bars_of(rows[:end], resolution)
            assert (await store.query(query)).tobytes() == expected.tobytes()


async def test_a_bar_is_final_when_a_later_trade_is_stored(store: Store, write: Write) -> None:
    minute = 60_000_000
    market = await write("XBTEUR", trades_of([10_000_000, 30_000_000, minute - 30_000_001]))
    assert len(await store.query(BarQuery(market, Resolution.M1))) == 0
    assert len(await store.query(BarQuery(market, Resolution.D1))) == 0
    market = await write("XBTEUR", trades_of([1], market.last_time))
    assert len(await store.query(BarQuery(market, Resolution.M1))) == 1
    assert len(await store.query(BarQuery(market, Resolution.M5))) == 0


@pytest.mark.parametrize("resolution", [Resolution.M15, Resolution.D1, Resolution.Y1])
@pytest.mark.parametrize(("first", "end"), [(1, 1), (2, 3), (3, None), (700, 1_100), (10**6, None)])
async def test_bars_by_number(
    store: Store, market: Market, rows: Rows, resolution: Resolution, first: int, end: int | None
) -> None:
    start = int(rows["time"][1_000])
    query = BarQuery(
        market,
        resolution,
        start,
        first_sequence=first,
        end_sequence=end,
        unfinished=Unfinished.INCLUDED,
    )
    every = bars_of(rows, resolution)
    every = every[every["time"] >= start]
    found = await store.query(query)
    assert found.tobytes() == every[first - 1 : None if end is None else end - 1].tobytes()


@pytest.mark.parametrize("first", [1, 8_192, 8_193, 8_194, 16_385, COUNT, COUNT + 1])
@pytest.mark.parametrize("count", [0, 1, 8_192, COUNT, None])
async def test_trades_by_sequence(
    store: Store, market: Market, rows: Rows, first: int, count: int | None
) -> None:
    end = None if count is None else first + count
    found = await store.query(TradeQuery(market, first_sequence=first, end_sequence=end))
    expected = rows[first - 1 : None if end is None else end - 1]
    assert found.tobytes() == expected.tobytes()


async def test_times_and_sequences_together(store: Store, market: Market, rows: Rows) -> None:
    start, end = int(rows["time"][9_000]), int(rows["time"][20_000])
    query = TradeQuery(market, start, end, 8_000, 15_000)
    keep = (rows["time"] >= start) & (rows["time"] < end)
    keep &= (rows["sequence"] >= 8_000) & (rows["sequence"] < 15_000)
    assert (await store.query(query)).tobytes() == rows[keep].tobytes()


async def test_merged_trades_and_bars(store: Store, write: Write, rows: Rows) -> None:
    data = {"XBTEUR": rows, "XBTUSD": trades_of(np.full(9_000, 3 * HOUR_US)), "ETHEUR": rows[:77]}
    markets = [await write(symbol, trades) for symbol, trades in data.items()]
    trade_queries = tuple(TradeQuery(market) for market in markets)
    found = await store.query(MergedQuery(trade_queries))
    assert found.tobytes() == merged_of(markets, list(data.values())).tobytes()
    bar_queries = tuple(
        BarQuery(market, resolution, unfinished=Unfinished.INCLUDED)
        for market, resolution in zip(
            markets, (Resolution.H1, Resolution.D1, Resolution.M5), strict=True
        )
    )
    bars = [
        bars_of(trades, query.resolution)
        for trades, query in zip(data.values(), bar_queries, strict=True)
    ]
    found = await store.query(MergedQuery(bar_queries))
    assert found.tobytes() == merged_of(markets, bars).tobytes()


def merged_of(markets: list[Market], parts: list[Rows]) -> Rows:
    merged = []
    for market, rows in zip(markets, parts, strict=True):
        named = np.empty(len(rows), [("market", "<i4"), *rows.dtype.descr])
        named["market"] = market.key
        for name in rows.dtype.names or ():
            named[name] = rows[name]
        merged.append(named)
    every = np.concatenate(merged)
    return every[np.argsort(every["time"], kind="stable")]


async def test_frames_are_those_of_the_rows(store: Store, market: Market, rows: Rows) -> None:
    frames = [
        read_frame(frame)
        async for some in store.fetch_frames(TradeQuery(market), stream_id=9)
        for frame in some
    ]
    assert np.concatenate([frame.rows for frame in frames]).tobytes() == rows.tobytes()
    assert {(frame.header.symbol_id, frame.header.stream_id) for frame in frames} == {(1, 9)}
    query = BarQuery(market, Resolution.M15, first_sequence=500)
    fetch = store.fetch_frames(query, stream_id=2, batch_rows=1_000)
    frames = [read_frame(frame) async for some in fetch for frame in some]
    assert frames[0].header.data_type_id == DataType.OHLCV_EXACT
    numbers = [frame.header.first_sequence for frame in frames]
    assert numbers == list(np.cumsum([500, *(len(frame.rows) for frame in frames[:-1])]))
    expected = bars_of(rows, Resolution.M15)[499:-1]
    assert np.concatenate([frame.rows for frame in frames]).tobytes() == expected.tobytes()


async def test_frames_of_rows_that_they_have_no_field_for(store: Store, market: Market) -> None:
    marked = BarQuery(market, Resolution.D1, unfinished=Unfinished.MARKED)
    several: Any = MergedQuery((TradeQuery(market),))
    for query in (marked, several):
        with pytest.raises(ValueError, match="no field for all of"):
            store.fetch_frames(query, stream_id=1)


@pytest.mark.parametrize("far", [2**62, 2**63, 10**30])
async def test_bounds_far_beyond_all_rows(store: Store, market: Market, far: int) -> None:
    whole = await store.query(TradeQuery(market))
    assert len(await store.query(TradeQuery(market, -far, far, -far, far))) == len(whole)
    bars = BarQuery(market, Resolution.M1)
    assert len(await store.query(replace(bars, first_sequence=-far, end_sequence=far))) > 0
    for query in (
        TradeQuery(market, first_sequence=far),
        TradeQuery(market, start_time=far),
        TradeQuery(market, end_time=-far),
        TradeQuery(market, far, -far),
        replace(bars, first_sequence=far),
        replace(bars, start_time=far),
        replace(bars, end_sequence=-far),
    ):
        assert len(await store.query(query)) == 0


@pytest.mark.parametrize("symbol", ["XBT'EUR", 'X"', "%s", "a\0b", "\ud800", ""])
async def test_names_that_no_market_has(store: Store, symbol: str) -> None:
    assert await store.market_by_symbol(1, symbol) is None


async def test_a_market_without_trades(store: Store, market: Market) -> None:
    nobody = Market(1, 77, "NONE", 0, 0, 0)
    for query in (TradeQuery(nobody), BarQuery(nobody, Resolution.D1)):
        assert len(await store.query(query)) == 0
    merged = MergedQuery((TradeQuery(nobody), TradeQuery(market)))
    assert len(await store.query(merged)) == COUNT


@pytest.mark.parametrize("batch_rows", [1_000, 32_768])
async def test_where_libpq_must_read(
    store: Store, market: Market, rows: Rows, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    """On an encrypted connection; the rows are the same."""
    monkeypatch.setattr("qd_store.reading.connection.is_plain", lambda _: False)
    sizes = []
    parts = [np.empty(0, TRADE)]
    async for some in store.fetch(TradeQuery(market), batch_rows=batch_rows):
        sizes.append(len(some))
        parts.append(some)
    assert np.concatenate(parts).tobytes() == rows.tobytes()
    assert max(sizes) <= batch_rows


async def test_connections_are_used_again(
    store: Store, market: Market, statement: Statement
) -> None:
    for query in (TradeQuery(market), BarQuery(market, Resolution.D1)) * 3:
        await store.query(query)
    (found,) = statement(CONNECTIONS)
    assert found == (2,)  # one for reading in bulk, one for all else


CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
    "AND application_name = current_setting('application_name')"
)
STALLED = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' "
    "AND application_name = current_setting('application_name')"
)


async def test_a_reader_that_stalls_holds_one_connection_and_no_memory(
    store: Store, write: Write, statement: Statement
) -> None:
    """The server waits: neither it nor this process takes more rows than one buffer holds."""
    rows = trades_of(np.full(600_000, 1_000_000))
    market = await write("XBTEUR", rows)
    fetch = store.fetch(TradeQuery(market), batch_rows=1_000)
    parts = [await anext(fetch)]
    while statement(STALLED) != [(1,)]:
        pass
    before = psutil.Process().memory_info().rss
    for _ in range(10):
        assert statement(STALLED) == [(1,)]
    assert statement(CONNECTIONS) == [(2,)]
    assert psutil.Process().memory_info().rss - before < rows.nbytes // 10
    parts += [some async for some in fetch]
    assert np.concatenate(parts).tobytes() == rows.tobytes()


async def test_a_closed_connection_is_not_used_again(
    store: Store, market: Market, statement: Statement
) -> None:
    await store.query(TradeQuery(market))
    statement(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND application_name = current_setting('application_name')"
    )
    assert len(await store.query(TradeQuery(market))) == COUNT


@pytest.mark.parametrize("kind", ["trades", "bars", "merged"])
def test_what_is_left_of_a_query(kind: str) -> None:
    one, two = Market(1, 1, "A", 9, 0, 9), Market(1, 2, "B", 9, 0, 9)
    trades = np.zeros(3, TRADE)
    trades["sequence"] = [4, 5, 6]
    query: Query
    if kind == "trades":
        query = TradeQuery(one, 1, 2, 3, 9)
        assert query.after(trades) == TradeQuery(one, 1, 2, 7, 9)
        assert query.after(trades[:0]) == query
    elif kind == "bars":
        query = BarQuery(one, Resolution.D1, 5, 6, 10)
        assert query.after(np.zeros(3, BAR)) == BarQuery(one, Resolution.D1, 5, 6, 13)
    else:
        query = MergedQuery((TradeQuery(one), TradeQuery(two)))
        rows = np.zeros(2, query.dtype)
        rows["market"], rows["sequence"] = two.key, [1, 2]
        left = MergedQuery((TradeQuery(one), TradeQuery(two, first_sequence=3)))
        assert query.after(rows) == left


def test_queries_that_make_no_sense() -> None:
    one = Market(1, 1, "A", 9, 0, 9)
    with pytest.raises(ValueError, match="expected one of 1m to 1y"):
        BarQuery(one, Resolution.NONE)
    with pytest.raises(ValueError, match="each of its own market"):
        MergedQuery((TradeQuery(one), TradeQuery(one)))
    with pytest.raises(ValueError, match="0 parts"):
        MergedQuery(())
    other = replace(one, symbol_id=2)
    marked = BarQuery(other, Resolution.D1, unfinished=Unfinished.MARKED)
    with pytest.raises(ValueError, match="different dtypes"):
        MergedQuery((BarQuery(one, Resolution.D1), marked))
