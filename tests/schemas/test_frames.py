"""Packed frames: any rows in, the same rows out, bit for bit; and every kind of wrong bytes."""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_schemas.arrays import BAR, TRADE, Rows, message_dtype
from qd_schemas.codec import encode, iter_messages
from qd_schemas.enums import DataType, Resolution
from qd_schemas.errors import DecodeError, EncodeError
from qd_schemas.frames import (
    FRAME_BYTES_MAX,
    bar_frames,
    bar_messages,
    read_frame,
    trade_frames,
    trade_messages,
)
from qd_schemas.messages import (
    ClientLogin,
    ExactBar,
    ExactTrade,
    FrameHeader,
    OHLCVBar,
    TradeBar,
)
from schemas.strategies import ascending, rows_of

SYMBOL, STREAM = 278, 9
TRADES_A_FRAME, BARS_A_FRAME = 1776, 1066


def trades(count: int, first: int = 1) -> Rows:
    random = np.random.default_rng(7)
    rows = np.zeros(count, TRADE)
    rows["sequence"] = np.arange(first, first + count)
    rows["time"] = 1_700_000_000_000_000 + np.arange(count)
    rows["price"], rows["volume"] = random.random(count), random.random(count)
    return rows


def bars(count: int) -> Rows:
    return np.random.default_rng(7).integers(0, 2**62, (count, 6)).view(BAR).ravel()


def pack_trades(rows: Rows) -> list[bytes]:
    return trade_frames(rows, symbol_id=SYMBOL, stream_id=STREAM)


def pack_bars(rows: Rows, first: int = 1) -> list[bytes]:
    return bar_frames(
        rows,
        symbol_id=SYMBOL,
        stream_id=STREAM,
        resolution=Resolution.D1,
        first_sequence=first,
    )


def joined(frames: list[bytes], dtype: np.dtype[np.void]) -> bytes:
    rows = [read_frame(frame).rows for frame in frames]
    assert all(part.dtype == dtype for part in rows)
    return b"".join(part.tobytes() for part in rows)


COUNTS = [0, 1, 2, BARS_A_FRAME, BARS_A_FRAME + 1, TRADES_A_FRAME, TRADES_A_FRAME + 1, 10_000]


@pytest.mark.parametrize("count", COUNTS)
def test_trades(count: int) -> None:
    rows = trades(count, first=500)
    frames = pack_trades(rows)
    assert joined(frames, TRADE) == rows.tobytes()
    assert len(frames) == -(-count // TRADES_A_FRAME)
    assert all(len(frame) <= FRAME_BYTES_MAX for frame in frames)
    headers = [read_frame(frame).header for frame in frames]
    assert headers == [
        FrameHeader(
            SYMBOL,
            STREAM,
            DataType.TRADES_EXACT,
            Resolution.NONE,
            500 + start,
            min(TRADES_A_FRAME, count - start),
        )
        for start in range(0, count, TRADES_A_FRAME)
    ]


@pytest.mark.parametrize("count", COUNTS)
def test_bars(count: int) -> None:
    rows = bars(count)
    frames = pack_bars(rows, first=41)
    assert joined(frames, BAR) == rows.tobytes()
    assert len(frames) == -(-count // BARS_A_FRAME)
    assert all(len(frame) <= FRAME_BYTES_MAX for frame in frames)
    positions = [read_frame(frame).header.first_sequence for frame in frames]
    assert positions == list(range(41, 41 + count, BARS_A_FRAME))


@given(rows_of(TRADE))
def test_any_trades(rows: Rows) -> None:
    """Whatever the sequence numbers are: a jump begins a new frame."""
    rows = rows.copy()
    rows["sequence"] &= 2**63 - 1
    assert joined(pack_trades(rows), TRADE) == rows.tobytes()


@given(rows_of(TRADE), st.integers(0, 2**63 - 60))
def test_any_trades_in_sequence_are_one_frame(rows: Rows, first: int) -> None:
    rows = ascending(rows, first)
    frames = pack_trades(rows)
    assert len(frames) == bool(len(rows))
    assert joined(frames, TRADE) == rows.tobytes()


@given(rows_of(BAR), st.integers(0, 2**63 - 60))
def test_any_bars(rows: Rows, first: int) -> None:
    assert joined(pack_bars(rows, first), BAR) == rows.tobytes()


def test_sequence_numbers_do_not_wrap() -> None:
    rows = trades(2)
    rows["sequence"] = [2**63 - 1, 0]
    assert joined(pack_trades(rows), TRADE) == rows.tobytes()


@pytest.mark.parametrize("first", [-1, 2**63 - 1])
def test_sequence_numbers_that_do_not_fit(first: int) -> None:
    with pytest.raises(EncodeError, match=f"2 rows from sequence {first}; expected numbers from 0"):
        pack_bars(bars(2), first)


def test_rows_need_not_be_contiguous() -> None:
    rows = trades(100)
    every_other = rows[::2]
    assert joined(pack_trades(every_other), TRADE) == every_other.tobytes()
    assert joined(pack_bars(bars(100)[::-1]), BAR) == bars(100)[::-1].tobytes()


def test_a_frame_is_whole_messages() -> None:
    rows = trades(3)
    (frame,) = pack_trades(rows)
    header, *messages = iter_messages(frame)
    assert header == read_frame(frame).header
    assert messages == [
        ExactTrade(SYMBOL, *(row.item() for row in (one["time"], one["price"], one["volume"])))
        for one in rows
    ]
    (frame,) = pack_bars(bars(2).view(BAR))
    assert [type(message) for message in iter_messages(frame)] == [FrameHeader, ExactBar, ExactBar]


def test_the_largest_message_for_trades_is_36_bytes() -> None:
    assert message_dtype(ExactTrade).itemsize == 36


def test_rows_do_not_keep_the_frame_alive() -> None:
    frame = bytearray(pack_trades(trades(3))[0])
    rows = read_frame(frame).rows
    frame.clear()
    assert rows.tobytes() == trades(3).tobytes()
    assert rows.flags.writeable


def test_a_frame_of_a_newer_sender() -> None:
    """Longer blocks and higher versions are stepped over, as in single messages."""
    rows = trades(5)
    header, *messages = iter_messages(pack_trades(rows)[0])

    def newer(encoded: bytes, extra: bytes) -> bytes:
        block_bytes, template, schema_id, _ = struct.unpack_from("<4H", encoded)
        block_bytes += len(extra)
        return struct.pack("<4H", block_bytes, template, schema_id, 3) + encoded[8:] + extra

    frame = newer(encode(header), b"new") + b"".join(
        newer(encode(message), b"field") for message in messages
    )
    assert read_frame(frame).rows.tobytes() == rows.tobytes()


@pytest.mark.parametrize("version", [1, 2])
def test_single_messages(version: int) -> None:
    rows = trades(100)
    encoded = trade_messages(rows, SYMBOL, version)
    assert encoded == [
        encode(
            TradeBar(SYMBOL, int(row["time"]), float(row["price"]), float(row["volume"])), version
        )
        for row in rows
    ]


def test_single_bar_messages() -> None:
    rows = np.zeros(3, BAR)
    for position, name in enumerate(("open", "high", "low", "close", "volume")):
        rows[name] = [position, position + 0.1, 65432.1]
    rows["time"] = [1, 2, 253402300799999999]
    assert bar_messages(rows, SYMBOL) == [encode(OHLCVBar(SYMBOL, *row.item()), 1) for row in rows]
    assert bar_messages(rows[:0], SYMBOL) == []


def test_a_price_too_large_for_f32() -> None:
    rows = trades(2)
    rows["price"][1] = 1e39
    with pytest.raises(EncodeError, match="price of symbol id 278 is too large for f32"):
        trade_messages(rows, SYMBOL)


@pytest.mark.parametrize("pack", [pack_trades, pack_bars])
def test_rows_of_a_wrong_dtype(pack: Callable[[Any], list[bytes]]) -> None:
    with pytest.raises(EncodeError, match="rows of dtype int64; expected"):
        pack(np.zeros(3, "i8"))


@pytest.mark.parametrize("symbol_id", [-1, 65_536])
def test_a_symbol_id_that_does_not_fit(symbol_id: int) -> None:
    with pytest.raises(EncodeError, match="symbol_id uint16"):
        trade_frames(trades(1), symbol_id=symbol_id, stream_id=STREAM)
    with pytest.raises(EncodeError, match="symbol_id uint16"):
        trade_messages(trades(1), symbol_id)


GOOD = pack_trades(trades(3))[0]
HEADER = read_frame(GOOD).header


def header(**changes: int) -> bytes:
    return encode(dataclasses.replace(HEADER, **changes))


BODY = GOOD[len(header()) :]
BAD_FRAMES = [
    (b"", "0 bytes where a header"),
    (encode(ClientLogin(21)), "ClientLogin where a packed frame's FrameHeader belongs"),
    (header(count=2) + BODY, "counts 2 rows of 36 bytes, but 108 bytes follow"),
    (header(count=4) + BODY, "counts 4 rows of 36 bytes, but 108 bytes follow"),
    (header(count=2**32 - 1) + BODY, "counts 4294967295 rows"),
    (header(count=0) + BODY, "counts 0 rows"),
    (header() + BODY[:-1], "but 107 bytes follow"),
    (header() + BODY + b"\0", "but 109 bytes follow"),
    (header(), "0 bytes where a header"),
    (header(symbol_id=5) + BODY, "no ExactTrade of symbol id 5"),
    (header() + BODY[:36] + BODY[:36].replace(b"\x16\x01", b"\x17\x01") + BODY[:36], "no ExactT"),
    (header(data_type_id=1) + BODY, "data type 1; expected 3 (trades) or 4 (OHLCV)"),
    (header(data_type_id=4) + BODY, "holds ExactTrade; expected ExactBar"),
    (header(first_sequence=-1) + BODY, "3 rows from sequence -1"),
    (header(first_sequence=2**63 - 2) + BODY, "fit 63 bits"),
]


@pytest.mark.parametrize(("frame", "text"), BAD_FRAMES)
def test_bad_frames(frame: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(text)):
        read_frame(frame)


def test_an_empty_frame_is_a_frame() -> None:
    assert len(read_frame(header(count=0)).rows) == 0


def must_be_a_frame_or_decode_error(raw: bytes) -> None:
    try:
        frame = read_frame(raw)
    except DecodeError:
        return
    assert len(frame.rows) == frame.header.count == len(list(iter_messages(raw))) - 1


@given(st.binary(max_size=200))
def test_random_bytes(raw: bytes) -> None:
    must_be_a_frame_or_decode_error(raw)
    must_be_a_frame_or_decode_error(header() + raw)


@given(st.sampled_from([GOOD, pack_bars(bars(3))[0]]), st.data())
def test_mutated_and_truncated_frames(good: bytes, data: st.DataObject) -> None:
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    must_be_a_frame_or_decode_error(bytes(raw))
    must_be_a_frame_or_decode_error(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    with pytest.raises(DecodeError):
        read_frame(good[: data.draw(st.integers(0, len(good) - 1))])
