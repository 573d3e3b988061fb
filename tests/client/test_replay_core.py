"""A replay's decisions against all rows sorted: any cutting, any commands, any pace."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_client import UsageError
from qd_client.replay.clock import ReplayClock
from qd_client.replay.core import ReplayCore
from qd_client.replay.events import (
    Bars,
    IntervalEnd,
    Market,
    ReplayEvent,
    Slice,
    Trades,
)
from qd_client.replay.merge import Merger
from qd_schemas.arrays import Rows
from qd_schemas.bars import bar_starts
from qd_schemas.enums import Resolution
from support.replays import Row, bars_at, expected, flat, slices, trades_at

MINUTE = 60_000_000
DAY = 1_440 * MINUTE
START = 1_388_534_400_000_000  # 2014-01-01
KINDS = ("trades", "1m", "5m", "1h", "1M")


@dataclass
class History:
    """Some markets, their rows, and how the streams cut them."""

    markets: tuple[Market, ...]
    rows: tuple[Rows, ...]
    cuts: tuple[int, ...]
    every: Resolution | None = None
    end: int | None = None
    fed: list[int] = field(default_factory=list)

    def core(self, pace: float = 0.0) -> ReplayCore:
        self.fed = [0] * len(self.markets)
        return ReplayCore(self.markets, end=self.end, pace=pace, every=self.every)

    @property
    def expected(self) -> list[Row | IntervalEnd]:
        return expected(self.markets, self.rows, self.every, self.end)

    def feed(self, core: ReplayCore) -> bool:
        """Give hungry markets their next rows, in pieces of the drawn lengths."""
        hungry = core.hungry
        for market in hungry:
            rows, begin = self.rows[market], self.fed[market]
            if begin == len(rows):
                core.end(market)
            else:
                end = min(len(rows), begin + self.cuts[begin % len(self.cuts)])
                core.feed(market, rows[begin:end])
                self.fed[market] = end
        return bool(hungry)

    def drain(
        self, core: ReplayCore, now: float = 0.0, rows_max: int | None = None
    ) -> list[ReplayEvent]:
        """Take what is due now."""
        events: list[ReplayEvent] = []
        while True:
            event = core.take(now, rows_max)
            if event is not None:
                events.append(event)
            elif not self.feed(core):
                return events


@st.composite
def histories(draw: st.DrawFn) -> History:
    # Few different times, so that many are equal, and boundaries among them.
    units = st.lists(st.integers(0, 400), max_size=25).map(sorted)
    scale = draw(st.sampled_from([MINUTE // 2, MINUTE, 30 * MINUTE, DAY]))
    markets: list[Market] = []
    rows: list[Rows] = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))):
        times = START + scale * np.array(draw(units), np.int64)
        if kind == "trades":
            markets.append(Trades(number))
            rows.append(trades_at(times.tolist()))
        else:
            bars = Bars(number, kind)
            markets.append(bars)
            rows.append(bars_at(np.unique(bar_starts(Resolution.parse(kind), times)).tolist()))
    return History(
        tuple(markets),
        tuple(rows),
        tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))),
        every=draw(st.sampled_from([None, Resolution.M5, Resolution.D1, Resolution.MO1])),
        end=draw(st.sampled_from([None, START + 100 * scale])),
    )


@given(histories())
def test_any_cutting_gives_all_rows_sorted_with_the_marks(history: History) -> None:
    core = history.core()
    events = history.drain(core)
    assert flat(history.markets, events) == history.expected
    assert core.is_ended
    for one, other in itertools.pairwise(slices(events)):
        assert one.times[-1] <= other.times[0]


def test_rows_that_follow_each_other_come_together() -> None:
    markets: tuple[Market, ...] = (Trades("A"), Trades("B"))
    rows = (trades_at([START, START + 1, START + 5]), trades_at([START + 2, START + 3]))
    history = History(markets, rows, (100,))
    events = slices(history.drain(history.core()))
    assert [len(event.rows) for event in events] == [2, 2, 1]


@given(histories(), st.sampled_from([1.0, 60.0, 86_400.0]))
def test_each_event_comes_when_it_is_due_by_one_clock(history: History, pace: float) -> None:
    core = history.core(pace)
    found: list[tuple[float, ReplayEvent]] = []
    now = 1_000.0
    while not core.is_ended:
        found += [(now, event) for event in history.drain(core, now)]
        if core.wake_at is not None:
            assert core.wake_at > now
            now = core.wake_at
    assert flat(history.markets, [event for _, event in found]) == history.expected
    begin = min((event.time for _, event in found), default=0)
    for number, (at, event) in enumerate(found):
        last = event.end if isinstance(event, IntervalEnd) else int(event.times[-1])
        if number < len(found) - 1 or isinstance(event, Slice):
            assert at == pytest.approx(1_000.0 + (last - begin) / 1e6 / pace, abs=1e-3)


COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 6)),
        st.tuples(st.just("step"), st.integers(1, 12)),
        st.tuples(st.just("back"), st.integers(0, 4)),
        st.tuples(st.just("pace"), st.sampled_from([0, 1, 3_600, 1e6])),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.5, 30.0, 86_400.0])),
        st.sampled_from([("pause", 0), ("resume", 0)]),
    ),
    min_size=5,
    max_size=40,
)


class Commander:
    """Gives a core commands as they were drawn, and keeps what a user would have seen."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.core = history.core()
        self.seen: list[ReplayEvent] = []
        self.now = 0.0
        self.may_come: float = np.inf  # rows that a paused replay may still give

    def obey(self, command: str, value: float) -> None:
        if command == "take":
            self.take(int(value))
        elif command == "step":
            self.core.step(int(value), self.now)
            self.may_come = int(value)
        elif command == "back":
            self.back(int(value))
        elif command == "pace":
            self.core.set_pace(value, self.now)
        elif command == "wait":
            self.now += value
        elif command == "pause":
            self.core.pause(self.now)
            self.may_come = 0
        else:
            self.core.resume(self.now)
            self.may_come = np.inf

    def take(self, rows_max: int) -> None:
        while (event := self.core.take(self.now, rows_max)) is None:
            if not self.history.feed(self.core):
                return
        self.seen.append(event)
        if isinstance(event, Slice):
            assert len(event.rows) <= rows_max
            self.may_come -= len(event.rows)
        assert self.may_come >= 0

    def back(self, count: int) -> None:
        count = min(count, len(self.seen))
        back = self.seen[len(self.seen) - count :]
        del self.seen[len(self.seen) - count :]
        self.core.put_back(back)
        self.may_come += sum(len(event.rows) for event in slices(back))


@given(histories(), COMMANDS)
def test_no_command_loses_repeats_or_reorders_a_row(
    history: History, commands: list[tuple[str, float]]
) -> None:
    commander = Commander(history)
    for command, value in commands:
        commander.obey(command, value)
        assert commander.core.is_paused == (commander.may_come == 0)
    commander.core.set_pace(0, commander.now)
    commander.core.resume(commander.now)
    commander.seen += history.drain(commander.core, commander.now)
    assert flat(history.markets, commander.seen) == history.expected


@given(histories(), st.integers(1, 30))
def test_a_step_gives_so_many_rows_and_pauses(history: History, count: int) -> None:
    core = history.core(pace=1.0)
    core.step(count, 0.0)
    found = [row for row in flat(history.markets, history.drain(core)) if isinstance(row, Row)]
    rows = [row for row in history.expected if isinstance(row, Row)]
    assert found == rows[:count]
    assert core.is_paused == (len(rows) >= count)


def one_market(times: Sequence[int], every: Resolution | None = None) -> History:
    return History((Trades("A"),), (trades_at(times),), (100,), every)


def test_pausing_stops_the_clock_and_a_step_sets_it() -> None:
    history = one_market([START, START + 10_000_000, START + 20_000_000, START + 30_000_000])
    core = history.core(pace=1.0)
    assert len(history.drain(core, 100.0)) == 1
    assert core.wake_at == 110.0
    core.pause(105.0)
    assert history.drain(core, 500.0) == []
    assert core.wake_at is None
    core.resume(500.0)
    assert history.drain(core, 504.0) == []
    assert core.wake_at == 505.0
    core.step(1, 504.5)
    assert [event.time for event in history.drain(core, 504.5)] == [START + 10_000_000]
    core.resume(600.0)
    assert history.drain(core, 600.0) == []
    assert core.wake_at == 610.0
    core.set_pace(10.0, 605.0)
    assert history.drain(core, 605.0) == []
    assert core.wake_at == 605.5
    core.set_pace(0, 605.1)
    assert len(slices(history.drain(core, 605.1))[0].rows) == 2
    assert core.is_ended


def test_a_pace_after_none_counts_from_the_last_event() -> None:
    history = one_market([START, START + DAY, START + DAY + 5_000_000])
    core = history.core()
    assert history.feed(core)
    assert core.take(0.0, 2) is not None
    core.set_pace(1.0, 7.0)
    assert core.take(7.0) is None
    assert core.wake_at == 12.0


def test_marks_come_when_their_interval_is_over_and_the_last_one_at_once() -> None:
    history = one_market([START + MINUTE, START + 3 * DAY + MINUTE], Resolution.D1)
    core = history.core(pace=60.0)
    begin = START + MINUTE
    seen: list[tuple[float, ReplayEvent]] = []
    now = 0.0
    while not core.is_ended:
        seen += [(now, event) for event in history.drain(core, now)]
        now = core.wake_at or now
    due = [(at, event.time, isinstance(event, IntervalEnd)) for at, event in seen]
    assert due == [
        (0.0, begin, False),
        (1_439.0, START + DAY, True),
        (3 * 1_440.0 - 1, START + 3 * DAY, True),
        (3 * 1_440.0, START + 3 * DAY + MINUTE, False),
        (3 * 1_440.0, START + 4 * DAY, True),
    ]
    assert [event.is_empty for _, event in seen if isinstance(event, IntervalEnd)] == [
        False,
        True,
        False,
    ]


def test_a_mark_divides_its_instant() -> None:
    markets: tuple[Market, ...] = (Trades("A"), Bars("A", "1d"))
    history = History(
        markets, (trades_at([START, START + DAY]), bars_at([START])), (1,), Resolution.D1
    )
    assert flat(markets, history.drain(history.core())) == [
        Row(START, 0, 0),
        Row(START + DAY, 1, 0),
        IntervalEnd(START, START + DAY, False),
        Row(START + DAY, 0, 1),
        IntervalEnd(START + DAY, START + 2 * DAY, False),
    ]


def test_rows_that_are_given_back_belong_to_the_step_still() -> None:
    history = one_market([START + second for second in range(10)])
    core = history.core()
    core.step(4, 0.0)
    singles = history.drain(core, rows_max=1)
    assert (len(singles), core.is_paused) == (4, True)
    core.put_back(singles[2:])
    assert not core.is_paused
    assert [event.time for event in history.drain(core)] == [START + 2, START + 3]
    assert core.is_paused


@pytest.mark.parametrize(("end", "bars"), [(START + DAY, 1), (START + DAY - 1, 0)])
def test_a_bar_that_closes_at_the_end_is_within(end: int, bars: int) -> None:
    history = History((Bars("A", "1d"),), (bars_at([START, START + DAY]),), (9,), end=end)
    assert len(history.drain(history.core())) == bars


def test_the_merger_holds_no_more_than_one_array_of_each() -> None:
    merger = Merger(3)
    times = np.arange(0, 30_000, dtype=np.int64)
    given, cursor = 0, [0, 0, 0]
    while not merger.is_done:
        for source in merger.hungry:
            keys = times[cursor[source] : cursor[source] + 100 * (source + 1)]
            cursor[source] += len(keys)
            if len(keys):
                merger.feed(source, keys)
            else:
                merger.end(source)
        merged = merger.merge()
        given += 0 if merged is None else len(merged.keys)
        assert sum(cursor) - given <= 100 + 200 + 300
    assert given == 3 * len(times)


@pytest.mark.parametrize("pace", [-1, float("nan"), float("inf")])
def test_a_pace_that_makes_no_sense_is_refused(pace: float) -> None:
    with pytest.raises(UsageError, match="pace is"):
        ReplayClock(pace)
    core = one_market([START]).core()
    with pytest.raises(UsageError, match="pace is"):
        core.set_pace(pace, 0.0)
    with pytest.raises(UsageError, match="step is given 0"):
        core.step(0, 0.0)
    with pytest.raises(UsageError, match="no resolution '2m'"):
        Bars("A", "2m")
