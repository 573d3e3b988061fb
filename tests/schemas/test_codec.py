"""One message at a time: round trips, both versions, and every kind of wrong bytes."""

from __future__ import annotations

import contextlib
import re
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_schemas.codec import decode, encode, iter_messages, version_of
from qd_schemas.constructs import construct_layout
from qd_schemas.enums import EndReason
from qd_schemas.errors import DecodeError, EncodeError
from qd_schemas.messages import (
    BreakoutAlert,
    ClientLogin,
    ClientLogout,
    Heartbeat,
    LastTradeBar,
    Message,
    StartData,
    StopAllData,
    TradeBar,
)
from qd_schemas.table import LAYOUTS, layout_of
from qd_schemas.wire import NO_COUNT, NO_REASON, NO_STREAM, NO_TIME
from schemas.golden import GOLDEN
from schemas.strategies import messages

LOGIN = ClientLogin(client_id=77)
LOGIN_1 = encode(LOGIN, 1)
LOGIN_2 = encode(LOGIN, 2)


def with_header(encoded: bytes, **changes: int) -> bytes:
    """The same message with parts of its header changed."""
    names = ("block_length", "template_id", "schema_id", "version")
    header = dict(zip(names, struct.unpack("<4H", encoded[:8]), strict=True)) | changes
    return struct.pack("<4H", *header.values()) + encoded[8:]


@given(messages())
def test_round_trip(message: Message) -> None:
    encoded = encode(message)
    assert decode(encoded) == message
    assert decode(memoryview(encoded)) == decode(bytearray(encoded)) == message
    assert encoded[2] == message.TEMPLATE % 256
    assert len(encoded) == layout_of(type(message)).total_bytes(2)


@given(messages(version=1))
def test_round_trip_in_version_1(message: Message) -> None:
    encoded = encode(message, 1)
    assert decode(encoded) == message
    assert version_of(encoded) == 1


@given(messages())
def test_equals_construct(message: Message) -> None:
    layout = layout_of(type(message))
    values = {name: getattr(message, name) for name in layout.names}
    assert construct_layout(layout.template).build(values) == encode(message)


@given(st.lists(messages(), max_size=8))
def test_a_frame_of_messages(sent: list[Message]) -> None:
    assert list(iter_messages(b"".join(map(encode, sent)))) == sent


@given(messages(version=1))
def test_a_version_1_reader_understands_version_2(message: Message) -> None:
    """It reads the fields it knows and steps over the rest by the block's length."""
    layout = layout_of(type(message))
    encoded = encode(message, 2)
    (block_bytes,) = struct.unpack_from("<H", encoded)
    expected = encode(message, 1)
    assert encoded[8 : 8 + layout.block_bytes(1)] == expected[8:]
    assert 8 + block_bytes == len(encoded)


@given(messages(), st.integers(3, 65_535), st.binary(max_size=40))
def test_a_newer_sender_is_understood(message: Message, version: int, extra: bytes) -> None:
    encoded = encode(message)
    newer = with_header(encoded, version=version, block_length=len(encoded) - 8 + len(extra))
    assert decode(newer + extra) == message
    assert list(iter_messages((newer + extra) * 2)) == [message, message]


def test_version_2_extra_of_a_version_1_sender_is_no_field() -> None:
    """The version decides which fields there are, not the block's length."""
    odd = with_header(encode(ClientLogin(77, lease_ms=5)), version=1)
    assert decode(odd) == ClientLogin(77, lease_ms=0)


def test_what_an_older_sender_left_out_is_absent() -> None:
    start = StartData(21, 1, 7, 0, 1, 5, 6, 7, 8, 2.0)
    assert decode(encode(start, 1)) == StartData(
        21, 1, 7, 0, 1, NO_STREAM, first_sequence=0, start_time=NO_TIME, end_time=NO_TIME, pace=0.0
    )
    last = LastTradeBar(7, stream_id=3, end_reason=EndReason.COMPLETE, count=9)
    assert decode(encode(last, 1)) == LastTradeBar(7, NO_STREAM, NO_REASON, NO_COUNT)


ENCODE_ERRORS: list[tuple[Any, int, str]] = [
    (Heartbeat(21), 1, "version 1 has no Heartbeat; it came with version 2"),
    (BreakoutAlert(*range(11)), 1, "version 1 has no BreakoutAlert"),
    (LOGIN, 3, "no version 3 to encode ClientLogin in; expected 1 or 2"),
    (LOGIN, 0, "no version 0"),
    (ClientLogin(65_536), 2, "does not fit its fields"),
    (ClientLogin(-1), 1, "client_id uint16"),
    (ClientLogin("21"), 2, "does not fit its fields"),  # type: ignore[arg-type]
    (TradeBar(1, 0, 1e39, 1.0), 1, "price float"),
    (TradeBar(1, 2**63, 1.0, 1.0), 1, "date_time int64"),
]


@pytest.mark.parametrize(("message", "version", "text"), ENCODE_ERRORS)
def test_encode_errors(message: Message, version: int, text: str) -> None:
    with pytest.raises(EncodeError, match=re.escape(text)):
        encode(message, version)


DECODE_ERRORS = [
    (b"", "0 bytes where a header of 8 was expected"),
    (LOGIN_2[:7], "7 bytes where a header"),
    (LOGIN_2[:-1], "ClientLogin is cut off: 23 bytes of 24"),
    (LOGIN_2 + b"\0", "1 bytes after a whole ClientLogin of 24 bytes"),
    (LOGIN_2 + LOGIN_2, "24 bytes after a whole ClientLogin"),
    (with_header(LOGIN_2, schema_id=2), "schema id 2; expected 1"),
    (with_header(LOGIN_2, version=0), "schema version 0; expected 1 or later"),
    (with_header(LOGIN_2, template_id=999), "template id 999 is no message of this schema"),
    (with_header(LOGIN_2, template_id=102), "ClientLogout says message type 101; expected 102"),
    (with_header(LOGIN_2, block_length=4), "block of 4 bytes; version 2 has at least 16"),
    (with_header(LOGIN_1, block_length=3), "block of 3 bytes; version 1 has at least 4"),
    (with_header(LOGIN_1, block_length=65_535), "ClientLogin is cut off: 12 bytes of 65543"),
    (with_header(encode(Heartbeat(21)), version=1), "Heartbeat came with version 2"),
]


@pytest.mark.parametrize(("encoded", "text"), DECODE_ERRORS)
def test_decode_errors(encoded: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(text)):
        decode(encoded)


def test_a_frame_gives_what_precedes_its_fault() -> None:
    walk = iter_messages(encode(ClientLogout(21)) + encode(StopAllData(21, 1)) + b"\1\2\3")
    assert next(walk) == ClientLogout(21)
    assert next(walk) == StopAllData(21, 1)
    with pytest.raises(DecodeError, match="3 bytes where a header"):
        next(walk)


def must_be_messages_or_decode_error(raw: bytes) -> None:
    for read in (decode, version_of, lambda found: list(iter_messages(found))):
        with contextlib.suppress(DecodeError):
            read(raw)


@given(st.binary(max_size=200))
def test_random_bytes(raw: bytes) -> None:
    must_be_messages_or_decode_error(raw)


@given(
    st.integers(0, 65_535),
    st.sampled_from([*LAYOUTS, 0, 999]),
    st.integers(0, 3),
    st.integers(0, 4),
    st.binary(max_size=120),
)
def test_likely_headers_before_random_bytes(
    block_bytes: int, template: int, schema_id: int, version: int, body: bytes
) -> None:
    header = struct.pack("<4H", block_bytes, template, schema_id, version)
    must_be_messages_or_decode_error(header + body)
    must_be_messages_or_decode_error(header + struct.pack("<H", template) + body)


@given(st.sampled_from(GOLDEN), st.data())
def test_mutated_and_truncated_golden(golden: Any, data: st.DataObject) -> None:
    raw = bytearray(golden.encoded)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    must_be_messages_or_decode_error(bytes(raw))
    must_be_messages_or_decode_error(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    for cut in range(len(golden.encoded)):
        with pytest.raises(DecodeError):
            decode(golden.encoded[:cut])
