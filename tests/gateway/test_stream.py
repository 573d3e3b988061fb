"""One stream's records, from rows in memory to a sink in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import numpy as np
import pytest

from qd_gateway.errors import StreamRefused
from qd_gateway.plans import StreamPlan, plan_of
from qd_gateway.stream import Stream
from qd_schemas.arrays import TRADE, Rows
from qd_schemas.codec import decode
from qd_schemas.enums import DataErrorType, DataType, EndReason
from qd_schemas.errors import EncodeError
from qd_schemas.frames import read_frame
from qd_schemas.messages import FirstTradeBar, LastTradeBar, StartData


def planned(request: StartData) -> StreamPlan:
    plan = plan_of(request, 2, 1)
    assert isinstance(plan, StreamPlan)
    return plan


PLAN = planned(StartData(21, 1, 7, 0, DataType.TRADES_EXACT, 3))


class ListSink:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.flushed = 0
        self.was_flushed = asyncio.Event()

    async def send(self, payload: bytes) -> None:
        self.records.append(payload)

    async def send_many(self, payloads: list[bytes]) -> None:
        self.records += payloads

    async def flush(self) -> None:
        self.flushed = len(self.records)
        self.was_flushed.set()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rows_of(count: int, first: int = 1) -> Rows:
    rows = np.zeros(count, TRADE)
    rows["sequence"] = np.arange(first, first + count)
    rows["time"] = rows["sequence"] * 1_000_000
    rows["price"] = 0.1 * rows["sequence"]
    return rows


async def feed(*batches: Rows) -> AsyncGenerator[Rows, None]:
    for batch in batches:
        yield batch


def rows_in(records: list[bytes]) -> Rows:
    return np.concatenate([read_frame(record).rows for record in records])


async def test_first_rows_last() -> None:
    sink, stream = ListSink(), Stream(PLAN, Clock())
    await stream.run(feed(rows_of(2_000), rows_of(10, 2_001)), sink)
    first, *frames, last = sink.records
    assert decode(first) == FirstTradeBar(7, 3)
    assert decode(last) == LastTradeBar(7, 3, EndReason.COMPLETE, 2_010)
    np.testing.assert_array_equal(rows_in(frames), rows_of(2_010))
    assert sink.flushed == len(sink.records)
    assert (stream.totals.rows, stream.totals.records) == (2_010, len(frames))


@pytest.mark.parametrize("batches", [[], [rows_of(0)]])
async def test_no_rows_are_a_refusal_without_a_first_message(batches: list[Rows]) -> None:
    sink = ListSink()
    with pytest.raises(StreamRefused) as refused:
        await Stream(PLAN, Clock()).run(feed(*batches), sink)
    assert refused.value.refusal.error is DataErrorType.DATA_UNAVAILABLE
    assert sink.records == []


async def test_a_stop_between_batches_is_told_with_the_count() -> None:
    sink, stream = ListSink(), Stream(PLAN, Clock())

    async def stopping() -> AsyncGenerator[Rows, None]:
        yield rows_of(100)
        stream.stop(EndReason.STOPPED)
        yield rows_of(100, 101)
        raise AssertionError("a stopped stream reads no further")

    await stream.run(stopping(), sink)
    assert decode(sink.records[-1]) == LastTradeBar(7, 3, EndReason.STOPPED, 100)


async def test_a_stop_before_the_first_row() -> None:
    sink, stream = ListSink(), Stream(PLAN, Clock())
    stream.stop(EndReason.STOPPED)
    await stream.run(feed(rows_of(100)), sink)
    assert [decode(record) for record in sink.records] == [
        FirstTradeBar(7, 3),
        LastTradeBar(7, 3, EndReason.STOPPED, 0),
    ]


async def test_a_paced_stream_sends_what_is_due_and_wakes_for_a_stop() -> None:
    sink, clock = ListSink(), Clock()
    stream = Stream(replace(PLAN, pace=1.0), clock)
    running = asyncio.create_task(stream.run(feed(rows_of(100)), sink))
    await sink.was_flushed.wait()
    assert sink.flushed == 2  # paced rows are not left waiting for a batch to fill
    stream.stop(EndReason.STOPPED)
    await running
    assert decode(sink.records[-1]) == LastTradeBar(7, 3, EndReason.STOPPED, 1)


async def test_a_symbol_that_does_not_fit_its_message_is_an_encode_error() -> None:
    plan = replace(PLAN, symbol_id=70_000)
    with pytest.raises(EncodeError):
        await Stream(plan, Clock()).run(feed(rows_of(1)), ListSink())
