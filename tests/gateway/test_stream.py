"""One stream's records, from rows in memory to a sink in memory: what is sent, held and let go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_gateway.core.plans import Refusal, StreamPlan, plan_of
from qd_gateway.errors import StreamRefused
from qd_gateway.metrics import GatewayMetrics
from qd_gateway.streams.sizes import HELD_ROWS_MAX
from qd_gateway.streams.stream import Stream
from qd_gateway.streams.supply import Supply
from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.codec import decode
from qd_schemas.enums import DataErrorType, DataType, EndReason, Reason, Resolution
from qd_schemas.errors import EncodeError
from qd_schemas.frames import read_frame
from qd_schemas.messages import FirstTradeBar, LastTradeBar, StartData

BATCH = 1_000


def planned(request: StartData) -> StreamPlan:
    plan = plan_of(request, 2, 1)
    assert isinstance(plan, StreamPlan)
    return plan


PLAN = planned(StartData(21, 1, 7, 0, DataType.TRADES_EXACT, 3))
BARS = planned(StartData(21, 1, 7, Resolution.M1, DataType.OHLCV_EXACT, 3))


class ListSink:
    """Keeps what it is sent; takes nothing while it is full."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.flushed = 0
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.changed = asyncio.Event()

    async def send(self, payload: bytes) -> None:
        await self.send_many([payload])

    async def send_many(self, payloads: list[bytes]) -> None:
        await self.has_room.wait()
        self.records += payloads
        self.changed.set()

    async def flush(self) -> None:
        self.flushed = len(self.records)

    @property
    def rows(self) -> Rows:
        """Of all frames."""
        frames = [read_frame(record).rows for record in self.records if record[2] == 210]
        return np.concatenate([np.empty(0, TRADE), *frames])

    async def wait_rows(self, count: int) -> None:
        while len(self.rows) < count:
            self.changed.clear()
            await self.changed.wait()


class ListSource:
    """Rows in memory, in pieces of some batches; knows what it was asked for."""

    def __init__(self, rows: Rows, error: Exception | None = None) -> None:
        self._rows = rows
        self._error = error
        self._at = 0
        self._piece_left = 0
        self.asked: list[int] = []
        self.was_let_go = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._piece_left > 0

    async def next(self, rows: int) -> Rows | None:
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        if not self._piece_left:
            self.asked.append(rows)
            self._piece_left = rows
        batch = self._rows[self._at : self._at + min(BATCH, self._piece_left)]
        self._at += len(batch)
        self._piece_left = self._piece_left - len(batch) if len(batch) else 0
        return batch if len(batch) else None

    async def let_go(self) -> None:
        if self.is_open:
            self._piece_left = 0
            self.was_let_go.set()

    def go_back(self, last: Rows | None) -> None:
        self._at = 0 if last is None else int(last["sequence"][0] - self._rows["sequence"][0]) + 1


class SlowSource(ListSource):
    """Takes its time to let go of a piece."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self.may_let_go = asyncio.Event()

    async def let_go(self) -> None:
        if self.is_open:
            await super().let_go()
            await self.may_let_go.wait()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def stream_of(plan: StreamPlan, clock: Clock | None = None) -> Stream:
    return Stream(plan, clock or Clock(), asyncio.Lock(), GatewayMetrics())


def rows_of(count: int, first: int = 1) -> Rows:
    rows = np.zeros(count, TRADE)
    rows["sequence"] = np.arange(first, first + count)
    rows["time"] = rows["sequence"] * 1_000_000
    rows["price"] = 0.1 * rows["sequence"]
    return rows


@contextlib.asynccontextmanager
async def running(stream: Stream, source: ListSource, sink: ListSink) -> AsyncIterator[None]:
    """Run a stream meanwhile; it must end by itself."""
    task = asyncio.create_task(stream.run(source, sink))
    try:
        yield
        await task
    finally:
        task.cancel()


async def settled() -> None:
    """Until whatever can go on without us has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_first_rows_last() -> None:
    sink, stream = ListSink(), stream_of(PLAN)
    await stream.run(ListSource(rows_of(20_010)), sink)
    first, *frames, last = sink.records
    assert decode(first) == FirstTradeBar(7, 3)
    assert decode(last) == LastTradeBar(7, 3, EndReason.COMPLETE, 20_010)
    np.testing.assert_array_equal(sink.rows, rows_of(20_010))
    assert sink.flushed == len(sink.records)
    assert (stream.totals.rows, stream.totals.records) == (20_010, len(frames))


async def test_bars_are_numbered_from_the_first_one_asked_for() -> None:
    sink, bars = ListSink(), np.zeros(10, BAR)
    await stream_of(replace(BARS, first_sequence=5)).run(ListSource(bars), sink)
    assert [read_frame(record).header.first_sequence for record in sink.records[1:-1]] == [5]


async def test_a_refusal_comes_without_a_first_message() -> None:
    sink = ListSink()
    refusal = Refusal(DataErrorType.DATA_UNAVAILABLE, Reason.NO_ROWS)
    with pytest.raises(StreamRefused) as refused:
        await stream_of(PLAN).run(ListSource(rows_of(0), StreamRefused(refusal, "none")), sink)
    assert refused.value.refusal is refusal
    assert sink.records == []


@pytest.mark.parametrize("reason", [EndReason.STOPPED, EndReason.INTERRUPTED])
async def test_a_stop_is_told_with_its_reason_and_the_count(reason: EndReason) -> None:
    sink, stream = ListSink(), stream_of(replace(PLAN, window_rows=100))
    source = ListSource(rows_of(200_000))
    async with running(stream, source, sink):
        await sink.wait_rows(100)
        stream.stop(reason)
        stream.stop(EndReason.STOPPED)  # the first reason counts
    assert decode(sink.records[-1]) == LastTradeBar(7, 3, reason, 100)
    assert not source.is_open


async def test_a_stop_before_the_first_row() -> None:
    sink, stream = ListSink(), stream_of(PLAN)
    stream.stop(EndReason.STOPPED)
    await stream.run(ListSource(rows_of(100)), sink)
    assert [decode(record) for record in sink.records] == [
        FirstTradeBar(7, 3),
        LastTradeBar(7, 3, EndReason.STOPPED, 0),
    ]


class TestWindow:
    async def test_nothing_goes_beyond_it(self) -> None:
        sink, stream = ListSink(), stream_of(replace(PLAN, window_rows=2_500))
        async with running(stream, ListSource(rows_of(10_000, first=51)), sink):
            for taken in (51, 51 + 1_000, 51 + 2_500, 51 + 5_000, 51 + 7_500):
                stream.advance(taken)
                await sink.wait_rows(taken - 51 + 2_500)
                await settled()
                assert len(sink.rows) == taken - 51 + 2_500
        np.testing.assert_array_equal(sink.rows, rows_of(10_000, first=51))

    @pytest.mark.parametrize("sequence", [-1, 0, 1, 101, 2**63 - 1])
    async def test_an_acknowledgement_that_cannot_be_is_ignored(self, sequence: int) -> None:
        sink, stream = ListSink(), stream_of(replace(PLAN, window_rows=100, first_sequence=1))
        async with running(stream, ListSource(rows_of(150)), sink):
            stream.advance(sequence)
            await sink.wait_rows(100)
            stream.advance(sequence if sequence != 101 else 102)
            await settled()
            assert len(sink.rows) == 100
            stream.advance(101)
        assert len(sink.rows) == 150

    async def test_who_waits_for_it_holds_few_rows_and_no_piece(self) -> None:
        sink, stream = ListSink(), stream_of(replace(PLAN, window_rows=50_000))
        source = ListSource(rows_of(200_000))
        async with running(stream, source, sink):
            await sink.wait_rows(50_000)
            await settled()
            assert not source.is_open
            assert source._at - 50_000 <= HELD_ROWS_MAX
            stream.stop(EndReason.STOPPED)


async def test_a_full_sink_costs_the_stream_what_it_has_read_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qd_gateway.streams.stream.STALL_SECONDS", 0.01)
    sink, stream = ListSink(), stream_of(PLAN)
    source = ListSource(rows_of(60_000))
    async with running(stream, source, sink):
        await sink.wait_rows(5_000)
        sink.has_room.clear()
        await source.was_let_go.wait()
        assert not source.is_open
        sink.has_room.set()
    np.testing.assert_array_equal(sink.rows, rows_of(60_000))


async def test_a_piece_that_is_slow_to_be_left_costs_no_row() -> None:
    """What is not at hand any more is read again, though the source is busy going elsewhere."""
    rows = rows_of(5_000)
    source = SlowSource(rows)
    async with contextlib.aclosing(Supply(source, lambda: None)) as supply:
        supply.read(5_000)
        await settled()
        supply.collect()
        supply.shrink()  # keeps what is at hand, and leaves the piece
        np.testing.assert_array_equal(supply.take(10), rows[:10])
        supply.read(5_000)
        await settled()
        supply.shrink(at_once=True)  # keeps nothing
        await settled()
        supply.read(5_000)
        await settled()
        source.may_let_go.set()
        taken = []
        while not supply.has_ended:
            await settled()
            supply.collect()
            taken.append(supply.take(BATCH))
            if not supply.is_reading:
                supply.read(5_000)
        np.testing.assert_array_equal(np.concatenate(taken[:-1]), rows[10:])


async def test_a_paced_stream_sends_what_is_due_and_wakes_for_a_stop() -> None:
    sink, clock = ListSink(), Clock()
    stream = stream_of(replace(PLAN, pace=1.0), clock)
    async with running(stream, ListSource(rows_of(100)), sink):
        await sink.wait_rows(1)
        clock.now = 2.5
        stream.advance(1)  # which has it look at the clock
        await sink.wait_rows(3)
        await settled()
        stream.stop(EndReason.STOPPED)
    assert decode(sink.records[-1]) == LastTradeBar(7, 3, EndReason.STOPPED, 3)


async def test_a_paced_bar_comes_when_it_is_over() -> None:
    sink, clock, bars = ListSink(), Clock(), np.zeros(3, BAR)
    bars["time"] = np.array([0, 60_000_000, 180_000_000])
    stream = stream_of(replace(BARS, pace=60.0), clock)
    async with running(stream, ListSource(bars), sink):
        for now, sent in [(0.0, 0), (0.99, 0), (1.0, 1), (2.1, 2), (3.99, 2), (4.0, 3)]:
            clock.now = now
            stream.advance(0)
            await settled()
            assert stream.totals.rows == sent


async def test_a_symbol_that_does_not_fit_its_message_is_an_encode_error() -> None:
    plan = replace(PLAN, symbol_id=70_000)
    with pytest.raises(EncodeError):
        await stream_of(plan).run(ListSource(rows_of(1)), ListSink())


class Turbulence:
    """Acknowledgements, full sinks and stalls at random moments."""

    def __init__(self, stream: Stream, sink: ListSink, total: int) -> None:
        self._stream, self._sink, self._total = stream, sink, total

    async def go_on(self, events: list[int]) -> None:
        for event in events:
            for _ in range(event % 7):
                await asyncio.sleep(0)
            match event % 3:
                case 0:
                    self._sink.has_room.clear()
                case 1:
                    self._sink.has_room.set()
                    self._stream.advance(1 + event % (len(self._sink.rows) + 2))
                case _:
                    self._stream.advance(1 + len(self._sink.rows))
        self._sink.has_room.set()
        while len(self._sink.rows) < self._total:
            self._stream.advance(1 + len(self._sink.rows))
            await asyncio.sleep(0)


@settings(max_examples=60, deadline=None)
@given(
    total=st.integers(1, 9_000),
    window=st.sampled_from([0, 70, 1_000, 5_000]),
    pace=st.sampled_from([0.0, 1e9]),
    events=st.lists(st.integers(0, 1_000), max_size=30),
)
def test_all_rows_come_once_and_in_order(
    total: int, window: int, pace: float, events: list[int]
) -> None:
    async def run() -> None:
        sink = ListSink()
        stream = Stream(
            replace(PLAN, window_rows=window, pace=pace),
            asyncio.get_running_loop().time,
            asyncio.Lock(),
            GatewayMetrics(),
        )
        async with running(stream, ListSource(rows_of(total)), sink):
            await Turbulence(stream, sink, total).go_on(events)
        np.testing.assert_array_equal(sink.rows, rows_of(total))
        assert decode(sink.records[-1]) == LastTradeBar(7, 3, EndReason.COMPLETE, total)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("qd_gateway.streams.stream.STALL_SECONDS", 0.0)
        asyncio.run(run())
