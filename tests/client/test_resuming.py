"""Across whatever interrupts a stream its rows come once and in order, or an error says why not.

The core and the assembly are driven together against a gateway of pure functions, which loses,
repeats, interrupts and refuses as a random history tells it to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_client import errors
from qd_client.assembly import ExactAssembly
from qd_client.limits import GAP_TRIES_MAX, RETRY_SECONDS_MAX
from qd_client.refusals import data_refusal
from qd_client.request import Range, StreamRequest, microseconds
from qd_client.resuming import Progress, Resuming
from qd_fluvio import ConnectionLost, TlsFailed, TopicDeleted
from qd_fluvio.errors import TlsUnanswered
from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.codec import encode
from qd_schemas.enums import DataErrorType, DataType, EndReason, Reason, Resolution
from qd_schemas.errors import QdError
from qd_schemas.frames import bar_frames, trade_frames
from qd_schemas.messages import (
    DataError,
    FirstOHLCVBar,
    FirstTradeBar,
    LastOHLCVBar,
    LastTradeBar,
)
from qd_schemas.wire import NO_COUNT

HOUR_US = 3_600_000_000
TRADES = StreamRequest(21, 1, "XBTUSD", 7, DataType.TRADES_EXACT, Resolution.NONE, 0, Range())
BARS = replace(TRADES, data_type=DataType.OHLCV_EXACT, resolution=Resolution.H1)


def trades(count: int, first: int = 1) -> Rows:
    rows = np.zeros(count, TRADE)
    rows["sequence"] = np.arange(first, first + count)
    rows["time"] = np.arange(count) // 2 * HOUR_US  # several at one time
    rows["price"] = np.arange(count) + 0.1
    return rows


def bars(count: int, first_hour: int = 0) -> Rows:
    rows = np.zeros(count, BAR)
    rows["time"] = (first_hour + np.arange(count) * 2) * HOUR_US  # every other hour
    rows["open"] = rows["time"] / HOUR_US + 0.5
    return rows


def chosen(rows: Rows, asked: StreamRequest) -> Rows:
    """What a gateway has for a request."""
    start = -(2**62) if asked.range.start is None else microseconds(asked.range.start)
    found = rows[(rows["time"] >= start) & (rows["time"] < microseconds(asked.range.end))]
    if asked.is_bars:
        return found[asked.range.first_sequence - 1 :]
    return found[found["sequence"] >= asked.range.first_sequence]


def records_of(rows: Rows, asked: StreamRequest, skipped: int = 0) -> list[bytes]:
    ids = {"symbol_id": 7, "stream_id": asked.stream_id}
    if not asked.is_bars:
        return trade_frames(rows, **ids)
    first = asked.range.first_sequence + skipped
    return bar_frames(rows, **ids, resolution=asked.resolution, first_sequence=first)


def last(asked: StreamRequest, reason: EndReason, count: int) -> bytes:
    kind = LastOHLCVBar if asked.is_bars else LastTradeBar
    return encode(kind(7, asked.stream_id, reason, count))


def refusal(reason: Reason, kind: DataErrorType = DataErrorType.CHANNEL_FAILED) -> errors.Refused:
    return data_refusal("it", DataError(21, kind, 1, reason=reason))


NO_ROWS = refusal(Reason.NO_ROWS, DataErrorType.DATA_UNAVAILABLE)


class Driven:
    """A stream that is read to its end or an error, in one pass, with a clock of its own."""

    def __init__(self, request: StreamRequest, patience_s: float = 60.0) -> None:
        self.progress = Progress()
        self.core = Resuming(request, patience_s, self.progress, lambda: 1.0)
        self.now = 0.0
        self.given: list[Rows] = []
        self.asked: list[StreamRequest] = []

    def ask(self) -> StreamRequest | None:
        request = self.core.next_request(len(self.asked) + 1, self.now)
        if request is not None:
            self.asked.append(request)
            self.assembly = ExactAssembly(request)
            self.core.asked(self.now)
        return request

    def feed(self, records: list[bytes]) -> QdError | None:
        """Take in records; the fault that they end in, if any."""
        rows = self.assembly.add(records)
        if rows is not None:
            self.given.append(self.core.took(rows))
        return self.assembly.fault

    def fail(self, error: QdError) -> bool:
        """Whether to ask again; the clock goes on to when that is."""
        wait_s = self.core.failed(error, self.now)
        if wait_s is not None:
            assert 0 < wait_s <= RETRY_SECONDS_MAX
            self.now += wait_s
        return wait_s is not None

    @property
    def rows(self) -> Rows:
        return np.concatenate(self.given)


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one request: so many rows arrive, pieces repeated or lost, then this."""

    rows: int
    frame_rows: int
    repeats: int
    lost: int | None
    ends: str


STEPS = st.lists(
    st.builds(
        Step,
        rows=st.integers(0, 40),
        frame_rows=st.integers(1, 7),
        repeats=st.integers(0, 3),
        lost=st.none() | st.integers(0, 5),
        ends=st.sampled_from(["interrupted", "dead", "silent", "lost", "down", "unsent"]),
    ),
    max_size=12,
)
ENDS: dict[str, QdError] = {
    "silent": errors.GatewayLost("silent"),
    "lost": ConnectionLost("lost"),
    "down": refusal(Reason.DATABASE_DOWN),
    "unsent": refusal(Reason.NOT_SENT, DataErrorType.SEND_FAILED),
}


def frames_of(step: Step, rows: Rows, asked: StreamRequest) -> Iterator[bytes]:
    pieces = [rows[at : at + step.frame_rows] for at in range(0, len(rows), step.frame_rows)]
    # Where the first trade may be any, only the count of a complete stream shows its loss.
    losable = 0 if asked.is_bars or asked.range.start is None else 1
    for number, piece in enumerate(pieces):
        if number == step.lost and number >= losable:
            continue
        (frame,) = records_of(piece, asked, number * step.frame_rows)
        yield frame
        if number < step.repeats:
            yield frame


def play(driven: Driven, steps: list[Step], rows: Rows) -> None:
    """Let a history happen; after it all is well, and the stream ends."""
    for step in steps:
        asked = driven.ask()
        if asked is None:
            return
        left = chosen(rows, asked)
        if not len(left):
            assert not driven.fail(NO_ROWS)
            return
        first = encode((FirstOHLCVBar if asked.is_bars else FirstTradeBar)(7, asked.stream_id))
        records = [first, *frames_of(step, left[: step.rows], asked)]
        if step.ends in ("interrupted", "dead"):
            count = NO_COUNT if step.ends == "dead" else min(step.rows, len(left))
            records.append(last(asked, EndReason.INTERRUPTED, count))
        fault = driven.feed(records)
        if not driven.fail(fault or ENDS[step.ends]):
            return
    asked = driven.ask()
    if asked is None:
        return
    left = chosen(rows, asked)
    if not len(left):
        assert not driven.fail(NO_ROWS)
        return
    assert (
        driven.feed([*records_of(left, asked), last(asked, EndReason.COMPLETE, len(left))]) is None
    )
    assert driven.assembly.is_ended


RANGES = st.builds(
    lambda first, start, length: Range(
        first_sequence=first,
        start=None if start is None else start * HOUR_US,
        end=None if length is None else ((start or 0) + length) * HOUR_US,
    ),
    first=st.integers(1, 20),
    start=st.none() | st.integers(0, 30),
    length=st.none() | st.integers(1, 60),
)


@given(STEPS, RANGES)
def test_trades_come_once_and_in_order(steps: list[Step], wanted: Range) -> None:
    rows, request = trades(100), replace(TRADES, range=wanted)
    expected = chosen(rows, request)
    check(Driven(request), steps, rows, expected)


@given(STEPS, RANGES, st.booleans())
def test_bars_come_once_and_in_order(steps: list[Step], wanted: Range, unfinished: bool) -> None:
    rows, request = bars(50), replace(BARS, range=wanted, unfinished=unfinished)
    expected = chosen(rows, request)
    check(Driven(request), steps, rows, expected)


def check(driven: Driven, steps: list[Step], rows: Rows, expected: Rows) -> None:
    if not len(expected):
        return
    fault: QdError | None = None
    try:
        play(driven, steps, rows)
    except errors.StreamIncomplete as error:
        fault = error
    if fault is not None:
        # Only a gap that stayed may end it, and what was given before is right.
        assert sum(step.lost is not None for step in steps) >= GAP_TRIES_MAX
        given = driven.rows if driven.given else expected[:0]
        np.testing.assert_array_equal(given, expected[: len(given)])
        return
    np.testing.assert_array_equal(driven.rows, expected)
    assert driven.progress.rows == len(expected)
    assert driven.progress.resumed == len(driven.asked) - 1


# --- what is asked for -----------------------------------------------------------------


def interrupted(driven: Driven, rows: Rows) -> StreamRequest | None:
    """Ask, get some rows, be interrupted; the next request."""
    asked = driven.ask()
    assert asked is not None
    fault = driven.feed([*records_of(rows, asked), last(asked, EndReason.INTERRUPTED, len(rows))])
    assert fault is not None
    assert driven.fail(fault)
    return driven.ask()


def test_trades_go_on_at_their_next_sequence() -> None:
    driven = Driven(replace(TRADES, range=Range(start=0, end=9 * HOUR_US, pace=2.0)))
    asked = interrupted(driven, trades(10))
    assert asked is not None
    assert asked.range == Range(first_sequence=11, end=9 * HOUR_US, pace=2.0)
    assert asked.stream_id == 2


def test_bars_go_on_by_time_because_an_import_may_shift_their_numbers() -> None:
    driven = Driven(replace(BARS, range=Range(first_sequence=3, end=99 * HOUR_US)))
    asked = interrupted(driven, bars(3))
    assert asked is not None
    assert asked.range == Range(start=5 * HOUR_US, end=99 * HOUR_US)
    assert driven.progress.next_sequence == 6


def test_months_go_on_at_the_next_month() -> None:
    driven = Driven(replace(BARS, resolution=Resolution.MO1))
    rows = bars(1)
    rows["time"] = np.datetime64("2024-02-01", "us").astype(np.int64)
    asked = interrupted(driven, rows)
    assert asked is not None
    assert asked.range.start == np.datetime64("2024-03-01", "us").astype(np.int64)


def test_a_range_whose_last_bar_was_given_is_whole() -> None:
    assert interrupted(Driven(replace(BARS, range=Range(end=5 * HOUR_US))), bars(3)) is None


def test_without_a_row_the_same_is_asked_for() -> None:
    wanted = Range(first_sequence=4, start=7, end=9)
    asked = interrupted(Driven(replace(TRADES, range=wanted)), trades(0))
    assert asked is not None
    assert asked.range == wanted


def test_a_bar_that_was_not_over_is_asked_for_again_and_not_given_twice() -> None:
    driven = Driven(replace(BARS, unfinished=True))
    asked = interrupted(driven, bars(3))
    assert asked is not None
    assert asked.range == Range(start=4 * HOUR_US)
    more = bars(3, first_hour=4)
    assert driven.feed([*records_of(more, asked), last(asked, EndReason.COMPLETE, 3)]) is None
    np.testing.assert_array_equal(driven.rows, bars(5))


def test_a_bar_that_has_grown_since_it_was_given_is_an_error() -> None:
    driven = Driven(replace(BARS, unfinished=True))
    asked = interrupted(driven, bars(3))
    assert asked is not None
    grown = bars(3, first_hour=4)
    grown["volume"][0] = 1.0
    with pytest.raises(errors.StreamIncomplete, match="1970-01-01T04:00:00Z"):
        driven.feed(records_of(grown, asked))


# --- when it is given up ---------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        errors.GatewayLost("x"),
        errors.GatewayUnavailable("x"),
        errors.NotLoggedIn("x"),
        errors.StreamInterrupted("x"),
        ConnectionLost("x"),
        TopicDeleted("x"),
        refusal(Reason.DATABASE_DOWN),
        refusal(Reason.STREAMS_FULL),
        refusal(Reason.TOO_FAST),
        refusal(Reason.STOPPING),
        refusal(Reason.NONE),
        refusal(Reason.NOT_SENT, DataErrorType.SEND_FAILED),
        TlsUnanswered("x"),
    ],
)
def test_what_passes_is_waited_out_as_long_as_the_patience_lasts(error: QdError) -> None:
    driven = Driven(TRADES, patience_s=60.0)
    driven.ask()
    driven.feed(trade_frames(trades(10), symbol_id=7, stream_id=1))
    with pytest.raises(type(error), match=r"for 60 s\); ask again from sequence 11"):
        fail_for_ever(driven, error)
    assert len(driven.asked) > 60 / RETRY_SECONDS_MAX, "it is asked for at least that often"
    assert driven.now < 60.0

    impatient = Driven(TRADES, patience_s=0)
    impatient.ask()
    with pytest.raises(type(error), match="ask again from sequence 1"):
        impatient.fail(error)


def fail_for_ever(driven: Driven, error: QdError) -> None:
    while driven.fail(error):
        driven.ask()


@pytest.mark.parametrize(
    "error",
    [
        errors.UsageError("x"),
        errors.StreamIncomplete("ended early"),
        errors.SymbolUnknown("x"),
        errors.TokenRefused("x"),
        errors.SessionEnded("x"),
        TlsFailed("x"),
        NO_ROWS,
        refusal(Reason.DATABASE_FAILED),
        refusal(Reason.CLIENT_STREAMS_FULL),
        refusal(Reason.DEFECT, DataErrorType.UNKNOWN),
    ],
)
def test_what_stays_is_raised_at_once(error: QdError) -> None:
    driven = Driven(TRADES)
    driven.ask()
    with pytest.raises(type(error), match=str(error)):
        driven.fail(error)


@pytest.mark.parametrize("reason", [Reason.DATABASE_FAILED, Reason.CLIENT_STREAMS_FULL])
def test_what_worked_before_may_work_again(reason: Reason) -> None:
    driven = Driven(TRADES)
    assert interrupted(driven, trades(1)) is not None
    assert driven.fail(refusal(reason))


def test_only_time_in_trouble_counts() -> None:
    """A paced stream may be silent for hours, and lose its gateway after that."""
    driven = Driven(TRADES, patience_s=10.0)
    driven.ask()
    for _ in range(50):
        driven.now += 3_600.0
        assert driven.fail(errors.GatewayLost("x"))
        driven.feed(
            trade_frames(trades(1, driven.progress.next_sequence), symbol_id=7, stream_id=1)
        )
        driven.ask()


def test_a_gap_that_stays_says_what_was_expected_and_found() -> None:
    driven = Driven(TRADES)
    for tries in range(GAP_TRIES_MAX):
        asked = driven.ask()
        assert asked is not None
        fault = driven.feed(records_of(trades(5, 11), asked))
        assert fault is not None
        if tries + 1 < GAP_TRIES_MAX:
            assert driven.fail(fault)
    assert fault is not None
    with pytest.raises(errors.StreamIncomplete, match="asked 3 times") as caught:
        driven.fail(fault)
    assert (caught.value.expected, caught.value.found) == (1, 11)


def test_rows_that_the_gateway_had_and_has_no_more_are_missing() -> None:
    driven = Driven(TRADES)
    asked = driven.ask()
    assert asked is not None
    fault = driven.feed([*records_of(trades(3), asked), last(asked, EndReason.COMPLETE, 5)])
    assert fault is not None
    assert driven.fail(fault)
    assert driven.ask() is not None
    with pytest.raises(
        errors.DataUnavailable, match=r"further rows before.*ask again from sequence 4"
    ):
        driven.fail(NO_ROWS)
