"""Replays over a real gateway, and the shell's own waiting over streams of the test."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Sequence

import numpy as np
import pytest

from qd_client import (
    Bars,
    DataUnavailable,
    IntervalEnd,
    QDClient,
    Replay,
    Single,
    Slice,
    StreamIncomplete,
    StreamsFull,
    SyncReplay,
    TradeRow,
    Trades,
    UsageError,
)
from qd_client.blocking import LoopThread
from qd_client.replay import Market, ReplayEvent
from qd_client.request import Time
from qd_schemas.arrays import Rows
from qd_schemas.bars import Resampler
from qd_schemas.enums import Resolution
from support.markets import Markets
from support.replays import Row, expected, flat, trades_at

DAY_US = 86_400_000_000
START = 1_388_534_400_000_000


# --- over a real gateway ------------------------------------------------------------------


@pytest.fixture
async def qd(fluvio_endpoint: str, gateway: object) -> AsyncGenerator[QDClient, None]:
    async with QDClient(endpoint=fluvio_endpoint) as client:
        yield client


def wanted(markets: Markets) -> tuple[list[Market], list[Rows]]:
    """Trades of one market, bars of both; and their rows, made here."""
    usd, eur = markets.ids["XBTUSD"], markets.ids["XBTEUR"]
    asked: list[Market] = [Trades(usd), Bars(eur, "1h"), Bars(usd, Resolution.D1)]
    bars = [
        Resampler(resolution).feed(markets.trades[symbol])  # leaves out what is not over
        for symbol, resolution in (("XBTEUR", Resolution.H1), ("XBTUSD", Resolution.D1))
    ]
    return asked, [markets.trades["XBTUSD"], *bars]


def as_rows(asked: Sequence[Market], rows: Sequence[Rows], events: list[ReplayEvent]) -> list[Row]:
    """Events as rows, found again in what was stored; compares all their values."""
    places = [0] * len(asked)
    found: list[Row] = []
    for event in events:
        assert isinstance(event, Slice)
        number = asked.index(event.market)
        begin = places[number]
        places[number] += len(event.rows)
        np.testing.assert_array_equal(event.rows, rows[number][begin : places[number]])
        found += [Row(time, number, begin + n) for n, time in enumerate(event.times.tolist())]
    return found


async def test_all_markets_in_order_of_time(qd: QDClient, markets: Markets) -> None:
    asked, rows = wanted(markets)
    async with qd.replay(asked) as replay:
        events = [event async for event in replay]
        assert replay.is_ended
    assert as_rows(asked, rows, events) == expected(asked, rows, None, None)


async def test_marks_and_single_rows(qd: QDClient, markets: Markets) -> None:
    asked, rows = wanted(markets)
    begin = int(rows[0]["time"][0]) // DAY_US * DAY_US + DAY_US
    within = [one[(one["time"] >= begin) & (one["time"] < begin + 5 * DAY_US)] for one in rows]
    async with qd.replay(asked, start=begin, end=begin + 5 * DAY_US, every="1d") as replay:
        events = [event async for event in replay.events()]
    places = [0] * len(asked)
    found: list[Row | IntervalEnd] = []
    for event in events:
        if isinstance(event, IntervalEnd):
            found.append(event)
            continue
        number = asked.index(event.market)
        assert tuple(event.row) == within[number][places[number]].item()
        found.append(Row(event.time, number, places[number]))
        places[number] += 1
    assert found == expected(asked, within, Resolution.D1, begin + 5 * DAY_US)
    assert sum(isinstance(event, IntervalEnd) for event in events) == 5


async def test_seeking_stepping_and_pausing(qd: QDClient, markets: Markets) -> None:
    rows = markets.trades["XBTUSD"]
    asked = Trades(markets.ids["XBTUSD"])
    async with qd.replay([asked], pace=1.0) as replay:
        first = await anext(replay)
        assert first.time == rows["time"][0]
        replay.step(3)
        steps = [await anext(replay) for _ in range(1)]
        assert sum(len(event.rows) for event in steps if isinstance(event, Slice)) == 3
        assert replay.is_paused
        for place in (4_000, 10, 4_990):
            await replay.seek(int(rows["time"][place]))
            assert replay.is_paused
            replay.step(1)
            event = await anext(replay)
            assert isinstance(event, Slice)
            # Trades of the same time come from the first of them on.
            assert event.time == replay.time == rows["time"][place]
        replay.set_pace(0)
        replay.resume()
        rest = [event async for event in replay]
        assert isinstance(rest[-1], Slice)
        assert rest[-1].rows[-1] == rows[-1]
        await replay.seek(int(rows["time"][-1]) + 1)  # where nothing is
        assert [event async for event in replay] == []
        await replay.seek(int(rows["time"][-2]))
        assert isinstance(await anext(replay), Slice)


async def test_a_market_without_rows_in_the_range_is_just_silent(
    qd: QDClient, markets: Markets
) -> None:
    usd, eur = (markets.trades[symbol] for symbol in ("XBTUSD", "XBTEUR"))
    ids = [markets.ids["XBTUSD"], markets.ids["XBTEUR"]]
    after = int(usd["time"][-1]) + 1
    async with qd.replay(ids, start=after) as replay:
        events = [event async for event in replay]
    assert {event.market for event in events if isinstance(event, Slice)} == {Trades(ids[1])}
    assert sum(len(e.rows) for e in events if isinstance(e, Slice)) == (eur["time"] >= after).sum()
    async with qd.replay(ids, start=int(eur["time"][-1]) + 1) as replay:
        with pytest.raises(DataUnavailable):
            await anext(replay)


async def test_what_makes_no_sense_is_refused(qd: QDClient, markets: Markets) -> None:
    market = markets.ids["XBTUSD"]
    for markets_given, options in (
        ([], {}),
        ([5.5], {}),
        ([market], {"pace": -1.0}),
        ([market], {"every": "2d"}),
        ([market], {"start": 5, "end": 5}),
    ):
        with pytest.raises(UsageError):
            qd.replay(markets_given, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="replay with version 2"):
        QDClient(endpoint="127.0.0.1:1", version=1).replay([market])
    replay = qd.replay([market], end=START)
    with pytest.raises(UsageError, match="use it inside `with`, or `async with`"):
        await anext(replay)
    async with replay:
        with pytest.raises(UsageError, match="ends at"):
            await replay.seek(START)


# --- the shell alone ----------------------------------------------------------------------


class Source:
    """Streams arrays of a test, and tells how far it was read."""

    def __init__(self, *arrays: Rows, error: Exception | None = None) -> None:
        self._arrays = arrays
        self._error = error
        self.read = 0
        self.closed = 0

    async def __call__(
        self, market: Market, start: Time | None, end: Time | None
    ) -> AsyncGenerator[Rows, None]:
        try:
            for rows in self._arrays:
                self.read += 1
                yield rows
            if self._error is not None:
                raise self._error
        finally:
            self.closed += 1


def hours(count: int) -> list[Rows]:
    return [trades_at([START + hour * 3_600_000_000]) for hour in range(count)]


async def test_a_paused_replay_reads_two_arrays_ahead_and_no_more() -> None:
    source = Source(*hours(50))
    async with Replay(source, [Trades("A")]) as replay:
        await anext(replay)
        replay.pause()
        waiting = asyncio.ensure_future(anext(replay))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert source.read <= 3
        replay.resume()
        await waiting
    assert source.closed == 1


async def test_leaving_in_the_middle_of_a_wait_closes_the_streams() -> None:
    source = Source(*hours(2))
    async with Replay(source, [Trades("A"), Trades("B")], pace=1e-6) as replay:
        await anext(replay)
        await anext(replay)
        waiting = asyncio.ensure_future(anext(replay))
        for _ in range(10):
            await asyncio.sleep(0)
    with pytest.raises(UsageError, match="not open"):
        await waiting
    assert source.closed == 2


async def test_a_streams_error_comes_after_the_rows_before_it() -> None:
    error = StreamIncomplete("some are missing")
    source = Source(*hours(3), error=error)
    async with Replay(source, [Trades("A")]) as replay:
        for _ in range(3):
            assert isinstance(await anext(replay), Slice)
        with pytest.raises(StreamIncomplete):
            await anext(replay)
    assert source.closed == 1


async def test_streams_that_never_begin_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway has no place for them, and the others keep theirs for as long as they wait."""
    monkeypatch.setattr("qd_client.replay.replay.REPLAY_BEGIN_SECONDS_MAX", 1.0)
    source, never = Source(*hours(5)), asyncio.Event()

    async def full(
        market: Market, start: Time | None, end: Time | None
    ) -> AsyncGenerator[Rows, None]:
        if market.symbol == "B":
            await never.wait()
        async for rows in source(market, start, end):
            yield rows

    async with Replay(full, [Trades("A"), Trades("B")]) as replay:
        with pytest.raises(StreamsFull, match="1 of the 2 streams of a replay, such as trades of"):
            await anext(replay)


async def test_events_come_at_their_time_of_the_loop() -> None:
    """Each is asked for when it is due: no earlier, and by one timer."""
    loop = asyncio.get_running_loop()
    rows = trades_at([START + 2_000 * n for n in range(20)])  # 2 ms apart
    async with Replay(Source(rows), [Trades("A")], pace=1.0) as replay:
        began = loop.time()
        await anext(replay)
        async for event in replay:
            assert isinstance(event, Slice)
            passed = loop.time() - began
            assert int(event.times[-1]) - START <= (passed + 1e-3) * 1e6


async def test_a_seek_that_is_cancelled_leaves_a_replay_that_goes_on() -> None:
    market = Trades("A")
    async with Replay(Source(*hours(5)), [market]) as replay:
        await anext(replay)
        seeking = asyncio.ensure_future(replay.seek(START))
        await asyncio.sleep(0)  # it waits for the streams to close
        seeking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await seeking
        async with asyncio.timeout(60):
            seen = [event async for event in replay]
    assert flat([market], seen) == [Row(int(rows["time"][0]), 0, 0) for rows in hours(5)]


def test_commands_of_another_thread_take_events_that_are_just_being_seen() -> None:
    market = Trades("A")
    rows = trades_at(list(range(20_000)))
    thread = LoopThread()
    errors: list[Exception] = []
    is_over = threading.Event()
    between = sys.getswitchinterval()
    try:
        with SyncReplay(thread, Replay(Source(rows), [market])) as replay:

            def command() -> None:
                try:
                    while not is_over.is_set():
                        replay.resume()
                except Exception as error:
                    errors.append(error)

            commanding = threading.Thread(target=command)
            sys.setswitchinterval(1e-6)
            commanding.start()
            assert not replay.is_ended
            seen = [event.time for event in replay.events()]
            is_over.set()
            commanding.join()
            assert replay.is_ended
    finally:
        sys.setswitchinterval(between)
        thread.close()
    assert errors == []
    assert seen == rows["time"].tolist()


async def test_events_ahead_can_be_given_back() -> None:
    market = Trades("A")
    async with Replay(Source(*hours(5)), [market]) as replay:
        ahead: deque[ReplayEvent] = deque()
        await replay.take_into(ahead, 3)
        seen = [ahead.popleft()]
        replay.put_back(list(ahead))
        seen += [event async for event in replay]
    assert flat([market], seen) == [Row(int(rows["time"][0]), 0, 0) for rows in hours(5)]


def test_single_rows_have_names() -> None:
    rows = trades_at([5])
    (single,) = Slice(Trades("A"), rows, rows["time"]).singles()
    assert single == Single(Trades("A"), 5, TradeRow(1, 5, 0.0, 0.0))
    assert single.row.volume == 0.0
