"""Bars of what is stored: the same as from all trades, whatever is stored and asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.bars import CHAIN, Resampler, bar_ends, bar_starts
from qd_schemas.enums import Resolution
from qd_store import Market
from qd_store.reading import statements
from qd_store.reading.pieces import MarketState, Piece, bar_pieces
from qd_store.reading.queries import MARKED_BAR, BarQuery, Unfinished
from qd_store.reading.sources import bar_rows

MINUTE_US = 60_000_000
DAY_US = 1440 * MINUTE_US
START_US = 1_388_534_390_000_000  # ten seconds before the year 2014
GAPS_US = (0, 1, 20_000_000, 3 * MINUTE_US, 7 * 60 * MINUTE_US, 3 * DAY_US, 200 * DAY_US)


def bars_of(trades: Rows, resolution: Resolution) -> Rows:
    resampler = Resampler(resolution)
    return np.concatenate([resampler.feed(trades), resampler.finish()])


class Tables:
    """A market's rows in memory, stored bars being complete up to a trade.

    Bars that are not final are not among them: whoever reads one gets nothing for it.
    """

    def __init__(self, trades: Rows, bars_trades: int) -> None:
        self.trades_stored = trades
        bars_time = int(trades["time"][bars_trades - 1]) if bars_trades else None
        self.state = MarketState(len(trades), int(trades["time"][-1]), bars_time)
        self.trades_read = 0
        self.answers_left = 0  # of stored bars: read from, but not to the end
        self.stored: dict[Resolution, Rows] = {}
        for resolution in CHAIN:
            bars = bars_of(trades[:bars_trades], resolution)
            self.stored[resolution] = bars[
                bar_ends(resolution, np.ascontiguousarray(bars["time"])) <= (bars_time or 0)
            ]

    async def ask(self, statement: str, *parameters: Any) -> Sequence[Any]:
        if statement == statements.STATE:
            return [(self.state.trades, self.state.last_time, self.state.bars_time)]
        raise AssertionError(statement)

    async def trades(
        self, market: int, sequences: tuple[int, int | None], times: Any
    ) -> AsyncGenerator[Rows]:
        rows = _between(self.trades_stored, times)
        rows = rows[(rows["sequence"] >= sequences[0]) & (rows["sequence"] < sequences[1])]
        self.trades_read += len(rows)
        for start in range(0, len(rows), 7):
            yield rows[start : start + 7]

    async def bars(
        self, market: int, piece: Piece, bars_max: int | None = None
    ) -> AsyncGenerator[Rows]:
        assert piece.resolution is not None
        rows = _between(self.stored[piece.resolution], (piece.start_time, piece.end_time))
        rows = rows[:bars_max]
        self.answers_left += 1
        for start in range(0, len(rows), 5):
            yield rows[start : start + 5]
        self.answers_left -= 1


def _between(rows: Rows, times: Any) -> Rows:
    start, end = times
    keep = np.ones(len(rows), np.bool_)
    if start is not None:
        keep &= rows["time"] >= start
    if end is not None:
        keep &= rows["time"] < end
    return rows[keep]


def made(gaps: list[int]) -> Rows:
    rows = np.empty(len(gaps), TRADE)
    rows["sequence"] = np.arange(1, len(gaps) + 1)
    rows["time"] = START_US + np.cumsum(gaps)
    rows["price"] = 100 + np.arange(len(gaps)) % 17 * 0.1
    rows["volume"] = 0.1 * (np.arange(len(gaps)) % 23)
    return rows


TRADES = st.lists(st.sampled_from(GAPS_US), min_size=1, max_size=120).map(made)


@st.composite
def queries(draw: st.DrawFn) -> tuple[Tables, BarQuery]:
    trades = draw(TRADES)
    tables = Tables(trades, draw(st.integers(0, len(trades))))
    first, last = int(trades["time"][0]), int(trades["time"][-1])
    times = st.one_of(st.none(), st.integers(first - DAY_US, last + 400 * DAY_US))
    market = Market(1, 1, "XBTEUR", len(trades), first, last)
    end = draw(times)
    query = BarQuery(
        market,
        draw(st.sampled_from(CHAIN)),
        draw(times),
        end,
        unfinished=draw(st.sampled_from(Unfinished)),
        end_sequence=draw(st.one_of(st.none(), st.integers(0, 50))),
    )
    return tables, query


def expected(tables: Tables, query: BarQuery) -> Rows:
    """By definition, from all trades."""
    trades = tables.trades_stored
    bars = bars_of(trades, query.resolution)
    last = bar_starts(query.resolution, trades["time"][-1:].copy())[0]
    rows = np.empty(len(bars), MARKED_BAR)
    for name in BAR.names or ():
        rows[name] = bars[name]
    rows["final"] = bars["time"] != last
    rows = _between(rows, (query.start_time, query.end_time))
    if query.unfinished is Unfinished.LEFT_OUT:
        rows = rows[rows["final"]]
    end = None if query.end_sequence is None else max(query.end_sequence - 1, 0)
    rows = rows[:end]
    return (
        rows if query.unfinished is Unfinished.MARKED else rows[list(BAR.names or ())].astype(BAR)
    )


def read(tables: Tables, query: BarQuery) -> Rows:
    async def run() -> list[Rows]:
        return [rows async for rows in bar_rows(query, tables, tables.ask)]

    parts = asyncio.run(run())
    assert all(len(rows) for rows in parts)
    return np.concatenate([np.empty(0, query.dtype), *parts])


@settings(max_examples=300, deadline=None)
@given(queries())
def test_bars_are_those_of_all_trades(given_query: tuple[Tables, BarQuery]) -> None:
    tables, query = given_query
    found = read(tables, query)
    assert found.dtype == query.dtype
    assert found.tobytes() == expected(tables, query).tobytes()
    assert tables.answers_left == 0  # one that is left costs its connection


@pytest.mark.parametrize("resolution", CHAIN)
def test_complete_bars_are_read_and_not_made_of_trades(resolution: Resolution) -> None:
    tables = Tables(made([20_000_000] * 5_000), 5_000)
    market = Market(1, 1, "XBTEUR", 5_000, START_US, tables.state.last_time)
    query = BarQuery(market, resolution, unfinished=Unfinished.INCLUDED)
    assert read(tables, query).tobytes() == expected(tables, query).tobytes()
    assert tables.trades_read <= MINUTE_US // 20_000_000


NEW_YEAR_US = 1_388_534_400_000_000  # 2014


@pytest.mark.parametrize(
    ("resolution", "after_us", "pieces"),
    [
        (Resolution.M1, 0, [(Resolution.M1, 0), (None, None)]),
        (Resolution.M1, 59_999_999, [(Resolution.M1, 0), (None, None)]),
        (Resolution.M1, 60_000_000, [(Resolution.M1, 1), (None, None)]),
        (Resolution.M5, 4 * MINUTE_US, [(Resolution.M5, 0), (Resolution.M1, 4), (None, None)]),
        (Resolution.M5, 5 * MINUTE_US, [(Resolution.M5, 5), (None, None)]),
        (
            Resolution.D1,
            (26 * 60 + 47) * MINUTE_US,
            [
                (Resolution.D1, 24 * 60),
                (Resolution.H1, 26 * 60),
                (Resolution.M30, 26 * 60 + 30),
                (Resolution.M15, 26 * 60 + 45),
                (Resolution.M1, 26 * 60 + 47),
                (None, None),
            ],
        ),
        (
            Resolution.Y1,
            40 * DAY_US,
            [
                (Resolution.Y1, 0),
                (Resolution.MO1, 31 * 1440),
                (Resolution.D1, 40 * 1440),
                (None, None),
            ],
        ),
    ],
)
def test_each_piece_is_as_coarse_as_can_be(
    resolution: Resolution, after_us: int, pieces: list[tuple[Resolution | None, int | None]]
) -> None:
    """Ends in minutes after the new year up to which bars are stored."""
    time = NEW_YEAR_US + after_us
    found = bar_pieces(resolution, (None, None), MarketState(1, time, time))
    ends = [
        (p.resolution, None if p.end_time is None else (p.end_time - NEW_YEAR_US) // MINUTE_US)
        for p in found
    ]
    assert ends == pieces
    assert [p.start_time for p in found] == [None, *(p.end_time for p in found[:-1])]


def test_nothing_is_read_where_nothing_can_be() -> None:
    state = MarketState(1, NEW_YEAR_US, NEW_YEAR_US)
    later = NEW_YEAR_US + DAY_US
    assert bar_pieces(Resolution.D1, (later, None), state) == []
    assert bar_pieces(Resolution.D1, (NEW_YEAR_US, NEW_YEAR_US), state) == []
