"""The worker protocol: bytes to frames and back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_fluvio.worker.frames import (
    FRAME_BYTES_MAX,
    Frame,
    FrameDecoder,
    Kind,
    acked_frame,
    frame,
    json_frame,
    read_acked,
    read_records,
    read_send,
    records_frame,
    send_frame,
)

KINDS = st.sampled_from(list(Kind))
U32 = st.integers(0, 2**32 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
KEY = st.none() | st.binary(max_size=40)
RECORD = st.tuples(I64, KEY, st.binary(max_size=200))


def only(data: bytes) -> Frame:
    (found,) = FrameDecoder().feed(data)
    return found


@given(st.lists(st.tuples(KINDS, U32, st.binary(max_size=300))), st.integers(1, 50))
def test_frames_survive_any_cutting(sent: list[tuple[Kind, int, bytes]], piece: int) -> None:
    stream = b"".join(frame(*fields) for fields in sent)
    decoder = FrameDecoder()
    received = [
        found
        for start in range(0, len(stream), piece)
        for found in decoder.feed(stream[start : start + piece])
    ]
    assert received == [Frame(*fields) for fields in sent]


@given(st.lists(st.tuples(KEY, st.binary(max_size=300))), U32)
def test_payloads(records: list[tuple[bytes | None, bytes]], channel: int) -> None:
    payloads = [payload for _, payload in records]
    found = only(send_frame(channel, payloads))
    assert (found.kind, found.channel) == (Kind.SEND, channel)
    assert read_send(found.body) == (payloads, None)
    keys = [key for key, _ in records]
    assert read_send(only(send_frame(channel, payloads, keys)).body) == (payloads, keys)


@given(st.lists(RECORD), st.integers(0, 2**62))
def test_records(records: list[tuple[int, bytes | None, bytes]], first: int) -> None:
    timestamps = [timestamp for timestamp, _, _ in records]
    keys = [key for _, key, _ in records]
    values = [value for _, _, value in records]
    found = read_records(only(records_frame(0, first, timestamps, keys, values)).body)
    assert found.first_offset == first
    assert (found.timestamps_ms, found.keys, found.values) == (timestamps, keys, values)


def test_acknowledgements() -> None:
    assert read_acked(only(acked_frame(7, 2**40, 2**50)).body) == (2**40, 2**50)


def test_json() -> None:
    found = only(json_frame(Kind.CALL, 3, topic="a", offset=2**60))
    assert found.json() == {"topic": "a", "offset": 2**60}


def test_a_length_beyond_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="are expected"):
        list(FrameDecoder().feed(struct.pack("<IBI", FRAME_BYTES_MAX + 1, Kind.CALL, 0)))
