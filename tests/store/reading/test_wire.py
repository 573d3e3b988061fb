"""The server's bytes to rows, however they are cut, and what else the server may say."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_schemas.arrays import BAR, TRADE, Rows
from qd_store.reading.wire import (
    MESSAGE_BYTES_MAX,
    AnswerBuffer,
    CopyMessages,
    ServerError,
    WireViolation,
    copy_of,
    question,
)

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
EPOCH_2000_US = 946_684_800_000_000
DONE = [(b"d", TRAILER), (b"c", b""), (b"C", b"COPY 1\0"), (b"Z", b"I")]


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">i", len(body) + 4) + body


def bytes_of(messages: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(message(*each) for each in messages)


def row_of(values: Any, dtype: np.dtype[np.void]) -> bytes:
    parts = [struct.pack(">h", len(values))]
    for name, value in zip(dtype.names or (), values, strict=True):
        code = ">q" if dtype[name].kind == "i" else ">d"
        shifted = value - EPOCH_2000_US if name == "time" else value
        parts.append(struct.pack(">i", 8) + struct.pack(code, shifted))
    return b"".join(parts)


def answer_of(rows: Rows) -> list[tuple[bytes, bytes]]:
    """All messages; the first row comes with the header, as servers send it."""
    packed = [row_of(row, rows.dtype) for row in rows.tolist()]
    if packed:
        packed[0] = HEADER + packed[0]
        return [(b"H", b"\1\0\4"), *((b"d", row) for row in packed), *DONE]
    return [(b"H", b"\1\0\4"), (b"d", HEADER + TRAILER), *DONE[1:]]


def rows_of(count: int, dtype: np.dtype[np.void] = TRADE) -> Rows:
    random = np.random.default_rng(count)
    rows = np.empty(count, dtype)
    for name in dtype.names or ():
        rows[name] = random.integers(-(2**50), 2**50, count)
    return rows


def fed(data: bytes, cuts: Iterator[int], dtype: np.dtype[np.void], batch_rows: int) -> Rows:
    """What a connection that gives so many bytes at a time, and then ends, gives."""
    buffer = AnswerBuffer(dtype, batch_rows)
    parts, at, count = [np.empty(0, dtype)], 0, 1
    while count and not buffer.answer.ended:
        space = buffer.space()
        count = min(len(space), next(cuts), len(data) - at)
        space[:count] = data[at : at + count]
        space.release()
        at += count
        parts.append(buffer.received(count))
    assert at == len(data)
    if buffer.answer.error is not None:
        raise RuntimeError(buffer.answer.error)
    assert buffer.answer.ended
    return np.concatenate(parts)


def always(count: int) -> Iterator[int]:
    while True:
        yield count


@settings(deadline=None)
@given(
    st.integers(0, 300),
    st.sampled_from([TRADE, BAR]),
    st.integers(1, 400),
    st.lists(st.integers(1, 2000), min_size=1, max_size=30),
)
def test_rows_come_whole_however_they_are_cut(
    count: int, dtype: np.dtype[np.void], batch_rows: int, sizes: list[int]
) -> None:
    rows = rows_of(count, dtype)

    def cuts() -> Iterator[int]:
        while True:
            yield from sizes

    found = fed(bytes_of(answer_of(rows)), cuts(), dtype, batch_rows)
    assert found.dtype == dtype
    assert found.tobytes() == rows.tobytes()


@pytest.mark.parametrize("messages_max", [1, 7, 10_000])
@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_rows_of_libpq_are_the_same(count: int, messages_max: int) -> None:
    rows = rows_of(count)
    messages = [body for kind, body in answer_of(rows) if kind == b"d"]
    copy, parts = CopyMessages(TRADE), [np.empty(0, TRADE)]
    for begin in range(0, len(messages), messages_max):
        parts.append(copy.take(messages[begin : begin + messages_max]))
    assert np.concatenate(parts).tobytes() == rows.tobytes()


def test_a_row_of_libpq_that_is_none() -> None:
    messages = [body for kind, body in answer_of(rows_of(3)) if kind == b"d"]
    with pytest.raises(WireViolation, match="expected 55 each"):
        CopyMessages(TRADE).take([*messages[:2], messages[2][:-8]])


def test_what_is_said_among_rows_is_stepped_over() -> None:
    rows = rows_of(100)
    messages = answer_of(rows)
    for at in (1, 50, 80):
        messages.insert(at, (b"N", b"SNOTICE\0Mhello\0\0"))
        messages.insert(at, (b"S", b"TimeZone\0UTC\0"))
    for step in (1, 64, 100_000):
        assert fed(bytes_of(messages), always(step), TRADE, 16).tobytes() == rows.tobytes()


ERROR = (b"E", b"SERROR\0C57014\0Mcanceling statement\n due to user request\0\0")


@pytest.mark.parametrize("end", [[ERROR, (b"Z", b"I")], [ERROR]])
def test_rows_before_an_error_are_given(end: list[tuple[bytes, bytes]]) -> None:
    """The last one is of a server that ends the connection after its words."""
    rows = rows_of(50)
    data = bytes_of([*answer_of(rows)[:51], *end])
    buffer = AnswerBuffer(TRADE, 1000)
    buffer.space()[: len(data)] = data
    parts = [buffer.received(len(data))]
    parts.append(buffer.received(0))
    assert np.concatenate(parts).tobytes() == rows.tobytes()
    error = ServerError("57014", "canceling statement due to user request")
    assert buffer.answer.error == error


def test_a_message_may_be_longer_than_the_buffer() -> None:
    rows = rows_of(3)
    messages = answer_of(rows)
    messages.insert(2, (b"N", b"M" + b"x" * 100_000 + b"\0\0"))
    assert fed(bytes_of(messages), always(5000), TRADE, 1).tobytes() == rows.tobytes()


def null_row() -> bytes:
    return struct.pack(">h", 4) + struct.pack(">iq", 8, 1) * 3 + struct.pack(">i", -1)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (message(b"d", HEADER + null_row()), "a row of 42 bytes; expected 50"),
        (message(b"X", b""), "kind 'X'"),
        (b"d" + struct.pack(">i", MESSAGE_BYTES_MAX), "bytes"),
        (b"d" + struct.pack(">i", 3), "a message of 4 bytes"),
        (b"HTTP/1.1 400 Bad Request\r\n", "bytes"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes, text: str) -> None:
    buffer = AnswerBuffer(TRADE, 100)
    buffer.space()[: len(data)] = data
    buffer.received(len(data))
    with pytest.raises(WireViolation, match=text):
        buffer.received(0)


def test_questions() -> None:
    assert question(copy_of("SELECT 1")) == (b"Q\0\0\0.COPY (SELECT 1) TO STDOUT (FORMAT BINARY)\0")
