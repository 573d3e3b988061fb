"""A stream is whole, or its reader is told what is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_client.assembly import ExactAssembly, ReferenceAssembly
from qd_client.errors import StreamIncomplete, StreamInterrupted
from qd_client.request import Range, StreamRequest
from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.codec import encode
from qd_schemas.enums import DataType, EndReason, Resolution
from qd_schemas.frames import bar_frames, bar_messages, trade_frames, trade_messages
from qd_schemas.messages import FirstOHLCVBar, FirstTradeBar, LastOHLCVBar, LastTradeBar
from qd_schemas.wire import NO_COUNT, NO_STREAM

TRADES = StreamRequest(21, 1, "XBTUSD", 7, DataType.TRADES_EXACT, Resolution.NONE, 3, Range())
BARS = replace(TRADES, data_type=DataType.OHLCV_EXACT, resolution=Resolution.D1)


def trades(count: int, first: int = 1) -> Rows:
    rows = np.zeros(count, TRADE)
    rows["sequence"] = np.arange(first, first + count)
    rows["time"] = np.arange(count) * 1_000_000
    rows["price"] = 65_432.1 + np.arange(count)
    rows["volume"] = 0.00231
    return rows


def bars(count: int) -> Rows:
    rows = np.zeros(count, BAR)
    rows["time"] = np.arange(count) * 86_400_000_000
    rows["open"] = rows["close"] = np.arange(count) + 0.5
    return rows


def frames(rows: Rows) -> list[bytes]:
    return trade_frames(rows, symbol_id=7, stream_id=3)


FIRST = encode(FirstTradeBar(7, 3))


def last(count: int, reason: int = EndReason.COMPLETE) -> bytes:
    return encode(LastTradeBar(7, 3, reason, count))


def test_a_whole_stream_is_its_rows() -> None:
    rows = trades(5_000)
    assembly = ExactAssembly(TRADES)
    got = assembly.add([FIRST, *frames(rows), last(5_000)])
    assert assembly.is_ended
    assert got is not None
    np.testing.assert_array_equal(got, rows)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_it_does_not_matter_how_the_records_come(sizes: list[int]) -> None:
    rows = trades(sum(sizes))
    splits = np.split(rows, np.cumsum(sizes)[:-1])
    records = [FIRST, *(f for part in splits for f in frames(part)), last(len(rows))]
    assembly = ExactAssembly(TRADES)
    got = [part for record in records if (part := assembly.add([record])) is not None]
    assert assembly.is_ended
    np.testing.assert_array_equal(np.concatenate(got), rows)


def test_whole_bars_are_their_rows() -> None:
    rows = bars(3_000)
    packed = bar_frames(rows, symbol_id=7, stream_id=3, resolution=Resolution.D1, first_sequence=1)
    end = encode(LastOHLCVBar(7, 3, EndReason.COMPLETE, 3_000))
    assembly = ExactAssembly(BARS)
    got = assembly.add([encode(FirstOHLCVBar(7, 3)), *packed, end])
    assert assembly.is_ended
    assert got is not None
    np.testing.assert_array_equal(got, rows)


WHOLE = frames(trades(10_000))
FRAME_ROWS = 1_776
OTHER_KIND = bar_frames(bars(2), symbol_id=7, stream_id=3, resolution=6, first_sequence=1)


@pytest.mark.parametrize(
    ("records", "given", "expected", "found"),
    [
        ([FIRST, *WHOLE[1:], last(10_000)], 0, 1, FRAME_ROWS + 1),
        ([FIRST, WHOLE[0], *WHOLE[2:], last(10_000)], FRAME_ROWS, FRAME_ROWS + 1, None),
        ([FIRST, *WHOLE[:-1], last(10_000)], 5 * FRAME_ROWS, 5 * FRAME_ROWS + 1, 10_001),
        ([FIRST, WHOLE[0][:-1], last(10_000)], 0, 1, 10_001),
        ([FIRST, *OTHER_KIND, last(2)], 0, 1, 3),
    ],
)
def test_a_gap_says_what_was_expected_and_found(
    records: list[bytes], given: int, expected: int, found: int | None
) -> None:
    assembly = ExactAssembly(TRADES)
    rows = assembly.add(records)
    assert (0 if rows is None else len(rows)) == given, "rows before a gap are given"
    assert not assembly.is_ended
    assert assembly.fault is not None
    assert assembly.fault.expected == expected
    assert assembly.fault.found == (found or 2 * FRAME_ROWS + 1)


@pytest.mark.parametrize(
    ("records", "kind", "text"),
    [
        ([FIRST, *WHOLE, last(9_999)], StreamIncomplete, "9999 rows"),
        ([FIRST, *WHOLE[:2], last(10, EndReason.STOPPED)], StreamIncomplete, "ended early"),
        ([FIRST, last(0, 77)], StreamIncomplete, "ended early"),
        ([FIRST, *WHOLE[:1], last(10, EndReason.INTERRUPTED)], StreamInterrupted, "interrupted"),
        ([FIRST, last(NO_COUNT, EndReason.INTERRUPTED)], StreamInterrupted, "interrupted"),
    ],
)
def test_an_early_end_is_an_error(
    records: list[bytes], kind: type[StreamIncomplete], text: str
) -> None:
    assembly = ExactAssembly(TRADES)
    assembly.add(records)
    assert not assembly.is_ended
    assert type(assembly.fault) is kind
    assert text in str(assembly.fault)


@given(st.sets(st.integers(0, len(WHOLE) - 1), min_size=1))
def test_no_frame_can_be_lost_unnoticed(lost: set[int]) -> None:
    kept = [frame for number, frame in enumerate(WHOLE) if number not in lost]
    assembly = ExactAssembly(TRADES)
    assembly.add([FIRST, *kept, last(10_000)])
    assert assembly.fault is not None
    assert not assembly.is_ended


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10)), max_size=12))
def test_rows_that_come_again_are_taken_once(repeats: list[tuple[int, int]]) -> None:
    """Whatever is sent again, in any pieces, as long as nothing is sent too early."""
    rows = trades(10)
    records, sent = [FIRST], 0
    for first, count in repeats:
        if first <= sent:
            records += [FIRST, *frames(rows[first : first + count])]
            sent = max(sent, min(first + count, 10))
    records += [*frames(rows[sent:]), last(10)]
    assembly = ExactAssembly(TRADES)
    got = assembly.add(records)
    assert assembly.is_ended
    assert got is not None
    np.testing.assert_array_equal(got, rows)


def test_a_resumed_stream_begins_where_it_was_asked_to() -> None:
    asked = replace(TRADES, range=Range(first_sequence=101))
    assembly = ExactAssembly(asked)
    got = assembly.add([FIRST, *frames(trades(50, first=101)), last(50)])
    assert got is not None
    assert got["sequence"][0] == 101
    late = ExactAssembly(asked)
    late.add([FIRST, *frames(trades(50, first=102))])
    assert late.fault is not None
    assert (late.fault.expected, late.fault.found) == (101, 102)


def test_a_range_of_time_begins_with_any_sequence() -> None:
    asked = replace(TRADES, range=Range(start=5))
    assert ExactAssembly(asked).add([FIRST, *frames(trades(5, first=1_000))]) is not None


def test_version_1_trades_are_numbered_as_they_come() -> None:
    rows = trades(10)
    asked = replace(TRADES, data_type=DataType.TRADES, stream_id=NO_STREAM)
    assembly = ReferenceAssembly(asked)
    records = trade_messages(rows, 7)
    got = [assembly.add([encode(FirstTradeBar(7), 1), *records[:4]]), assembly.add(records[4:])]
    assert assembly.add([encode(LastTradeBar(7), 1)]) is None
    assert assembly.is_ended
    whole = np.concatenate([part for part in got if part is not None])
    np.testing.assert_array_equal(whole["sequence"], rows["sequence"])
    np.testing.assert_array_equal(whole["time"], rows["time"])
    np.testing.assert_array_equal(whole["price"], rows["price"].astype("f4"))


def test_version_1_bars() -> None:
    rows = bars(10)
    asked = replace(BARS, data_type=DataType.OHLCV, resolution=Resolution.D1, stream_id=NO_STREAM)
    assembly = ReferenceAssembly(asked)
    got = assembly.add([*bar_messages(rows, 7), encode(LastOHLCVBar(7), 1)])
    assert assembly.is_ended
    assert got is not None
    np.testing.assert_array_equal(got, rows)
