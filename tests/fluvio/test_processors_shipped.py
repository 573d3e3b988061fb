"""The processors that come with the system, against plain numpy and plain Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qd_fluvio import processors as p
from qd_fluvio.processors.shipped import SHIPPED
from qd_schemas.arrays import BAR
from qd_schemas.codec import decode, encode
from qd_schemas.enums import EndReason, Resolution
from qd_schemas.frames import bar_frames, read_frame, trade_frames, trade_messages
from qd_schemas.messages import (
    ClientLogin,
    FirstOHLCVBar,
    FirstTradeBar,
    LastOHLCVBar,
    LastTradeBar,
    TradeBar,
)
from support.bars import naive_bars
from support.processors import mixed_values, records_of, stream_values, trades
from support.trades import rows_of

RESOLUTIONS = [resolution for resolution in Resolution if resolution is not Resolution.NONE]


def bars_in(values: list[bytes]) -> tuple[list[tuple[float, ...]], list[Any]]:
    """The bars of packed frames, whose numbers follow each other, and the other messages."""
    bars: list[tuple[float, ...]] = []
    others = []
    for value in values:
        message = _first(value)
        if message is not None:
            others.append(message)
            continue
        frame = read_frame(value)
        assert frame.header.first_sequence == len(bars) + 1
        bars += [tuple(row) for row in frame.rows.tolist()]
    return bars, others


def _first(value: bytes) -> Any:
    return decode(value) if value[2] in (205, 206) else None


@pytest.mark.parametrize("resolution", RESOLUTIONS, ids=lambda each: each.label)
def test_bars_equal_bars_made_trade_by_trade(resolution: Resolution) -> None:
    step_us = 10**6 * (11 if resolution < Resolution.H1 else 40_000)
    rows = trades(5000, step_us=step_us)
    values = stream_values(rows, 4, [100, 1, 37])
    found = SHIPPED["trades-to-bars"](resolution.label).run(values)
    bars, others = bars_in([record.value for record in found])
    assert bars == naive_bars(resolution, rows)
    last = LastOHLCVBar(4, 4, EndReason.COMPLETE, len(bars))
    assert others == [FirstOHLCVBar(4, 4), last]
    assert found[0].offset == 0
    assert {record.offset for record in found[-2:]} == {len(values) - 1}


def test_bars_of_real_trades(shared_data: Path) -> None:
    for path in sorted((shared_data / "trades").glob("*.csv"))[:3]:
        rows = rows_of(path)
        values = stream_values(rows, 1, [1700])
        for label in ("1m", "1d"):
            found = SHIPPED["trades-to-bars"](label).run(values)
            bars, _ = bars_in([record.value for record in found])
            assert bars == naive_bars(Resolution.parse(label), rows)


def test_an_open_bar_is_not_given_out() -> None:
    rows = trades(20, step_us=7_000_000)
    values = trade_frames(rows, symbol_id=1, stream_id=1)
    processor = SHIPPED["trades-to-bars"]("1m")
    expected = naive_bars(Resolution.M1, rows)
    assert bars_in([r.value for r in processor.run(values)])[0] == expected[:-1]
    assert bars_in([r.value for r in processor.run(values, finish=True)])[0] == expected


def test_a_stopped_stream_does_not_finish_its_last_bar() -> None:
    rows = trades(20)
    stopped = encode(LastTradeBar(1, 1, EndReason.STOPPED, 20))
    values = [*trade_frames(rows, symbol_id=1, stream_id=1), stopped]
    bars, (last,) = bars_in([r.value for r in SHIPPED["trades-to-bars"]("1m").run(values)])
    assert bars == naive_bars(Resolution.M1, rows)[:-1]
    assert (last.end_reason, last.count) == (EndReason.STOPPED, len(bars))


def test_a_stream_that_begins_again_begins_its_bars_again() -> None:
    rows = trades(30)
    once = stream_values(rows, 1, [7])
    cut = once[:3]  # without its last message
    found = SHIPPED["trades-to-bars"]("1m").run([*cut, *once])
    again = [record.value for record in found if record.offset >= len(cut)]
    assert bars_in(again)[0] == naive_bars(Resolution.M1, rows)


def test_trades_of_a_bar_that_went_out_are_refused() -> None:
    rows = trades(30)
    (late,) = trade_frames(rows[:2], symbol_id=1, stream_id=1)
    failures: list[p.Failure] = []
    values = [*trade_frames(rows, symbol_id=1, stream_id=1), late]
    SHIPPED["trades-to-bars"]("1m").run(values, failures=failures)
    assert [failure.item.value for failure in failures] == [late]
    assert "trade 1 of symbol 1 is of a bar that went out" in failures[0].reason


def test_single_messages_make_bars_too() -> None:
    rows = trades(30)
    first, last = encode(FirstTradeBar(3), 1), encode(LastTradeBar(3), 1)
    found = SHIPPED["trades-to-bars"]("1m").run([first, *trade_messages(rows, 3), last])
    as_f32 = rows.copy()
    for name in ("price", "volume"):
        as_f32[name] = rows[name].astype("f4")
    assert bars_in([record.value for record in found])[0] == naive_bars(Resolution.M1, as_f32)


def test_sbe_to_json() -> None:
    rows = trades(3, first=7)
    bar = np.array([(1, 1.0, 2.0, 0.5, 1.5, 9.0)], BAR)
    values = [
        encode(TradeBar(1, 2, 0.5, 4.0)),
        encode(ClientLogin(21)) + encode(ClientLogin(22)),
        *trade_frames(rows, symbol_id=5, stream_id=1),
        *bar_frames(bar, symbol_id=6, stream_id=1, resolution=Resolution.D1, first_sequence=4),
    ]
    found = [json.loads(record.value) for record in SHIPPED["sbe-to-json"]().run(values)]
    assert found[0] == {
        "message": "TradeBar", "symbol_id": 1, "date_time": 2, "price": 0.5, "volume": 4.0
    }  # fmt: skip
    assert [each["client_id"] for each in found[1:3]] == [21, 22]
    assert [tuple(each[name] for name in rows.dtype.names or ()) for each in found[3:6]] == (
        rows.tolist()
    )
    assert found[6] == {
        "message": "bar", "symbol_id": 6, "resolution": "1d", "sequence": 4, "time": 1,
        "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 9.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("notional", "volume"), [(0.0, 0.0), (150.0, 0.0), (0.0, 3.0), (100.0, 2.0)]
)
def test_large_trades(notional: float, volume: float) -> None:
    rows = trades(300)
    values = trade_frames(rows, symbol_id=1, stream_id=1)
    found = SHIPPED["large-trades"](notional=notional, volume=volume).run(values)
    kept = [trade for record in found for trade in read_frame(record.value).rows.tolist()]
    assert kept == [
        trade for trade in rows.tolist() if trade[2] * trade[3] >= notional and trade[3] >= volume
    ]


def test_top_movers() -> None:
    one, two = trades(40, step_us=5_000_000), trades(40, step_us=5_000_000, seed=2)
    values = []
    for start in range(0, 40, 4):
        for symbol_id, rows in ((1, one), (2, two)):
            values += trade_frames(rows[start : start + 4], symbol_id=symbol_id, stream_id=1)
    found = [
        json.loads(record.value)
        for record in SHIPPED["top-movers"]("1m", 5, "30s").run(values, finish=True)
    ]
    for window in found:
        expected = []
        for symbol_id, rows in ((1, one), (2, two)):
            inside = rows[(rows["time"] >= window["start"]) & (rows["time"] < window["end"])]
            prices = inside["price"].tolist()
            expected.append(
                {
                    "symbol_id": symbol_id,
                    "first": prices[0],
                    "last": prices[-1],
                    "change_percent": (prices[-1] / prices[0] - 1) * 100,
                    "volume": sum(inside["volume"].tolist()),
                    "trades": len(inside),
                }
            )
        expected.sort(key=lambda mover: -abs(mover["change_percent"]))
        assert window["movers"] == expected
    assert len(found) >= 4
    (first, *_) = SHIPPED["top-movers"]("1m", 1).run(values, failures=[])
    assert len(json.loads(first.value)["movers"]) == 1


def test_deduplicate() -> None:
    found = SHIPPED["deduplicate"](count=2).run([b"a", b"a", b"b", b"c", b"a"])
    assert [record.value for record in found] == [b"a", b"b", b"c", b"a"]


def test_dispatch_by_symbol() -> None:
    values = mixed_values()
    failures: list[p.Failure] = []
    found = SHIPPED["dispatch-by-symbol"](prefix="m-").items(
        records_of([*values, encode(ClientLogin(21))]), failures=failures
    )
    assert {item.topic for item in found} == {"m-1", "m-2", "m-3"}
    reasons = [failure.reason for failure in failures]
    assert len(reasons) == 3
    assert "ClientLogin has no symbol" in reasons[-1]
    assert [item.value for item in found] == [v for v in values if v not in (b"", b"no message")]


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("trades-to-bars", {"resolution": "2h"}, "resolution: no resolution '2h'"),
        ("large-trades", {"notional": -1.0}, "expected 0 or more"),
        ("large-trades", {"volume": float("nan")}, "expected 0 or more"),
        ("top-movers", {"top": 0}, "top is 0; expected 1 to 1000"),
        ("top-movers", {"every": "x"}, "every is 'x'"),
        ("deduplicate", {"count": 0}, "count is 0"),
        ("deduplicate", {"age": "x"}, "age is 'x'"),
        ("dispatch-by-symbol", {"prefix": "No"}, "prefix: topic 'No0'"),
    ],
)
def test_settings_that_make_no_sense(name: str, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(p.BadProcessor, match=says):
        SHIPPED[name](**settings)
