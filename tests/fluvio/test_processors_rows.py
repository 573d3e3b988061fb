"""Processors over arrays: rows find their records again, and bad ones fail alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qd_fluvio import processors as p
from qd_fluvio.processors.rows import read
from qd_fluvio.processors.values import item_of
from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.codec import encode
from qd_schemas.enums import DataType, Resolution
from qd_schemas.frames import bar_frames, bar_messages, read_frame, trade_frames, trade_messages
from qd_schemas.messages import FirstTradeBar, Heartbeat, LastTradeBar, OHLCVBar
from support.processors import doubled, records_of, trades

FIRST, LAST = encode(FirstTradeBar(1, 5)), encode(LastTradeBar(1, 5, 0, 9))


def frame(count: int, *, first: int = 1, symbol_id: int = 1) -> bytes:
    rows = trades(count, first=first)
    (made,) = trade_frames(rows, symbol_id=symbol_id, stream_id=5)
    return made


def rows_in(records: list[Any]) -> list[tuple[int, list[int]]]:
    """Each record's origin, and the sequences in it."""
    return [(each.offset, read_frame(each.value).rows["sequence"].tolist()) for each in records]


def bars(count: int) -> Rows:
    rows = np.zeros(count, BAR)
    rows["time"] = np.arange(count) * 60_000_000
    rows["open"] = rows["low"] = 1.0
    rows["high"] = rows["close"] = 2.0
    rows["volume"] = 3.0
    return rows


def test_frames_and_single_messages_become_one_array() -> None:
    rows = trades(8)
    values = [
        FIRST,
        *trade_frames(rows[:3], symbol_id=7, stream_id=9),
        *trade_messages(rows[3:5], 8),
        b"".join(trade_messages(rows[5:], 8)),
        LAST,
    ]
    batch = read(p.TRADES, [item_of(record) for record in records_of(values)])
    assert batch.counts.tolist() == [0, 3, 1, 1, 3, 0]
    assert list(batch.marks) == [0, 5]
    assert batch.rows["symbol_id"].tolist() == [7] * 3 + [8] * 5
    assert batch.rows["sequence"].tolist() == [1, 2, 3, 0, 0, 0, 0, 0]
    assert batch.rows["price"][:3].tolist() == rows["price"][:3].tolist()
    assert batch.rows["price"][3:].tolist() == rows["price"][3:].astype("f4").tolist()
    assert batch.item_of_row(np.arange(8)).tolist() == [1, 1, 1, 2, 3, 4, 4, 4]


def test_bars_keep_their_resolution_and_numbers() -> None:
    made = bars(4)
    values = bar_frames(
        made[:3], symbol_id=7, stream_id=9, resolution=Resolution.H1, first_sequence=5
    )
    same = p.map(p.BARS)(lambda rows: rows)
    assert [record.value for record in same.run(values)] == values
    batch = read(p.BARS, [item_of(r) for r in records_of([*values, *bar_messages(made[3:], 8)])])
    assert batch.rows["number"].tolist() == [5, 6, 7, 0]
    assert batch.rows["resolution"].tolist() == [Resolution.H1] * 3 + [0]


@pytest.mark.parametrize(
    ("codec", "value", "says"),
    [
        (p.TRADES, b"", "0 bytes where a header"),
        (p.TRADES, b"x" * 28, "schema id"),
        (p.TRADES, frame(2)[:-1], "bytes follow its header"),
        (
            p.TRADES,
            encode(Heartbeat(30)),
            "a record of Heartbeat; expected packed frames of TRADES",
        ),
        (p.TRADES, bar_messages(bars(1), 1)[0], "a record of OHLCVBar; expected"),
        (p.BARS, frame(2), "a packed frame of TRADES_EXACT; expected OHLCV_EXACT"),
        (p.BARS, FIRST, "a record of FirstTradeBar"),
        (p.TRADES, FIRST + LAST, "after a whole FirstTradeBar"),
        (p.TRADES, trade_messages(trades(1), 1)[0] + b"x" * 28, "a record of TradeBar"),
    ],
)
def test_what_holds_no_rows_fails_alone(codec: p.RowsCodec, value: bytes, says: str) -> None:
    failures: list[p.Failure] = []
    passed = p.filter(codec)(lambda rows: np.ones(len(rows), bool))
    good = frame(2) if codec is p.TRADES else bar_messages(bars(1), 1)[0]
    found = passed.run([good, value, good], failures=failures)
    assert [record.offset for record in found] == [0, 2]
    assert [failure.item.origin for failure in failures] == [1]
    assert says in failures[0].reason


def test_a_filter_keeps_whole_records_as_they_are_and_cuts_others() -> None:
    odd = p.filter(p.TRADES)(lambda rows: (rows["sequence"] % 2 == 1) | (rows["sequence"] > 4))
    values = [FIRST, frame(4), frame(3, first=5), frame(1, first=2), LAST]
    found = odd.run(values)
    assert [record.offset for record in found] == [0, 1, 1, 2, 4]
    assert [record.value for record in found if record.offset in (0, 2, 4)] == [
        FIRST,
        values[2],
        LAST,
    ]
    cut = [record for record in found if record.offset == 1]
    assert rows_in(cut) == [(1, [1]), (1, [3])]  # a frame's sequences follow each other
    assert read_frame(cut[1].value).rows["price"][0] == trades(4)["price"][2]
    assert read_frame(cut[1].value).header.stream_id == 5


def test_one_call_a_batch() -> None:
    sizes: list[int] = []

    @p.filter(p.TRADES)
    def none(rows: Rows) -> Any:
        sizes.append(len(rows))
        return np.zeros(len(rows), bool)

    assert none.run([frame(4), *trade_messages(trades(100), 2), frame(3)]) == []
    assert sizes == [107]


def test_results_go_back_to_the_records_they_came_of() -> None:
    @p.array_map(p.TRADES)
    def ends(rows: Rows) -> Any:
        sources = np.flatnonzero(rows["sequence"] % 3 != 0)
        return rows[sources], sources

    found = ends.run([FIRST, frame(4), frame(1, first=3), frame(2, first=4)])
    assert [record.offset for record in found] == [0, 1, 1, 3]
    assert rows_in(found[1:]) == [(1, [1, 2, 4]), (3, [4, 5])] or rows_in(found[1:]) == [
        (1, [1, 2]),
        (1, [4]),
        (3, [4, 5]),
    ]


def test_rows_can_become_json() -> None:
    prices = p.map(p.TRADES, out=p.JSON)(lambda rows: [{"s": s} for s in rows["sequence"].tolist()])
    found = prices.run([FIRST, frame(2), LAST, frame(1, first=3)])
    assert [(r.offset, json.loads(r.value)["s"]) for r in found] == [(1, 1), (1, 2), (3, 3)]


def test_rows_are_dispatched_in_records_of_their_own() -> None:
    @p.dispatch(p.TRADES)
    def by_sequence(rows: Rows) -> Any:
        return np.where(rows["sequence"] <= 2, "low", np.where(rows["sequence"] == 3, "", "high"))

    values = [FIRST, frame(4), frame(2)]
    found = by_sequence.items(values)
    assert [(item.origin, item.topic) for item in found] == [
        (0, None),
        (1, "low"),
        (1, None),
        (1, "high"),
        (2, "low"),
    ]
    assert found[-1].value == values[2]
    sequences = [read_frame(item.value).rows["sequence"].tolist() for item in found[1:4]]
    assert sequences == [[1, 2], [3], [4]]


def test_rows_are_deduplicated_within_and_between_batches() -> None:
    once = p.deduplicate(p.TRADES, count=5)(lambda rows: rows["sequence"])
    values = [frame(3), frame(3), frame(4), frame(4, first=7), frame(1)]
    for found in (once.run(values), p.chain(doubled, once).run(values)):
        assert rows_in(found) == [(0, [1, 2, 3]), (2, [4]), (3, [7, 8, 9, 10]), (4, [1])]


def test_a_record_that_fails_does_so_alone() -> None:
    @p.map(p.TRADES)
    def fussy(rows: Rows) -> Rows:
        if (rows["sequence"] == 5).any():
            raise ValueError("five")
        return rows

    failures: list[p.Failure] = []
    found = fussy.run([frame(2), frame(3, first=4), frame(1, first=9)], failures=failures)
    assert [record.offset for record in found] == [0, 2]
    assert [(f.item.origin, f.reason) for f in failures] == [(1, "ValueError: five")]


def as_they_are(rows: Rows) -> Any:
    return rows


@pytest.mark.parametrize(
    ("processor", "says"),
    [
        (
            p.filter(p.TRADES)(lambda rows: rows["price"]),
            "float64 of shape (2,); expected a mask of 2",
        ),
        (p.filter(p.TRADES)(lambda rows: np.ones(3, bool)), "bool of shape (3,); expected a mask"),
        (p.map(p.TRADES)(lambda rows: rows["price"]), "returned float64; expected rows of"),
        (p.map(p.TRADES)(lambda rows: rows[:1]), "returned 1 rows for 2"),
        (p.map(p.TRADES, out=p.JSON)(lambda rows: "text"), "returned str, no list"),
        (p.array_map(p.TRADES)(as_they_are), "expected (results, index of the row"),
        (
            p.array_map(p.TRADES)(lambda rows: (rows, [1, 0])),
            "expected indices of 2 rows, in order",
        ),
        (p.array_map(p.TRADES)(lambda rows: (rows, [0, 2])), "expected indices of 2 rows"),
        (p.array_map(p.TRADES)(lambda rows: (rows, [0])), "gave 2 results, but not a row for each"),
        (p.filter_map(p.TRADES)(lambda rows: (rows, [0, 0])), "in increasing order"),
        (p.dispatch(p.TRADES)(lambda rows: rows["price"]), "expected a topic's name for each of 2"),
        (p.dispatch(p.TRADES)(lambda rows: np.array(["A", "b"])), "topic 'A'"),
        (p.deduplicate(p.TRADES, count=1)(lambda rows: [1]), "expected a key for each of 2 rows"),
        (
            p.window(p.TRADES, every="1s", initial=0)(lambda n, rows: 1 // 0),
            "ZeroDivisionError",
        ),
        (p.aggregate(p.TRADES, initial=0)(lambda n, rows: {n}), "cannot be written as JSON"),
    ],
)
def test_functions_that_give_something_else(processor: p.Processor, says: str) -> None:
    failures: list[p.Failure] = []
    assert processor.run([frame(2)], failures=failures) == []
    assert says in failures[0].reason


def test_late_rows_are_told_and_the_others_count() -> None:
    count = p.window(p.TRADES, every="1m", initial=0)(lambda n, rows: n + len(rows))
    rows = trades(8)
    start = int(rows["time"][0]) // 60_000_000 * 60_000_000
    rows["time"] = start + np.array([0, 30, 61, 59, 70, 1, 119, 125]) * 1_000_000
    values = [
        value
        for part in (rows[:2], rows[2:6], rows[6:])
        for value in trade_frames(part, symbol_id=1, stream_id=1)
    ]
    failures: list[p.Failure] = []
    found = count.run(values, finish=True, failures=failures)
    assert [(r.offset, json.loads(r.value)["value"]) for r in found] == [(1, 2), (2, 3), (2, 1)]
    (failure,) = failures
    assert failure.item.origin == 1
    assert "late: 2 of its 4 rows belong to windows that were given out" in failure.reason


@pytest.mark.parametrize("make", [lambda: trades(0), lambda: trades(5)])
def test_the_rows_of_a_codec_have_the_columns_of_the_schema(make: Callable[[], Rows]) -> None:
    assert set(TRADE.names or ()) < set(p.TRADE_ROW.names or ())
    assert set(BAR.names or ()) < set(p.BAR_ROW.names or ())
    rows = np.zeros(len(make()), p.TRADE_ROW)
    assert len(p.TRADES.encode(rows)) == len(rows)  # sequence 0 again and again
    assert p.BARS.data_type is DataType.OHLCV_EXACT
    assert p.BARS.single is OHLCVBar
