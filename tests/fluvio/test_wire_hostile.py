"""Bytes that no client sends: one documented error and nothing else."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_fluvio.errors import WireError
from qd_fluvio.wire.admin import SC_APIS
from qd_fluvio.wire.codec import STRING_BYTES_MAX, decode, encode
from qd_fluvio.wire.compression import Compression
from qd_fluvio.wire.data import SPU_APIS, OffsetUpdate, OffsetUpdated, StreamFetchRequest
from qd_fluvio.wire.failures import ErrorCode, Failure
from qd_fluvio.wire.frames import FrameBuffer, RequestHeader, decode_request, decode_response
from qd_fluvio.wire.metadata import ReplicaPlace, TopicMetadata, TopicSpec, TopicStatus
from qd_fluvio.wire.records import (
    BATCHES_MAX,
    COUNT,
    HEADER_BYTES,
    RECORD_BYTES_MIN,
    RECORDS_MAX,
    checked_batches,
    decode_records,
    encode_batch,
    iter_batches,
    pack_batch,
    varint,
)
from qd_fluvio.wire.selection import select_records

GOLDEN = json.loads((Path(__file__).parent.parent / "data" / "fluvio_wire.json").read_text())
PAYLOADS = [
    (frame["server"], frame["direction"], frame["api_key"], bytes.fromhex(frame["hex"])[4:])
    for frame in GOLDEN["frames"]
]
APIS = {"sc": SC_APIS, "spu": SPU_APIS}


def read(server: str, direction: str, api_key: int, payload: bytes) -> Any:
    if direction == "request":
        return decode_request(payload, APIS[server])
    api = APIS[server][api_key]
    return decode_response(payload, api, api.version_max)


def survives(server: str, direction: str, api_key: int, payload: bytes) -> None:
    with contextlib.suppress(WireError):
        read(server, direction, api_key, payload)


@given(st.sampled_from(PAYLOADS), st.binary(max_size=200))
def test_random_bytes(sample: tuple[str, str, int, bytes], payload: bytes) -> None:
    survives(*sample[:3], payload)


@given(st.sampled_from(PAYLOADS), st.data())
@settings(max_examples=300)
def test_a_real_frame_with_changed_bytes(
    sample: tuple[str, str, int, bytes], data: st.DataObject
) -> None:
    damaged = bytearray(sample[3])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    survives(*sample[:3], bytes(damaged))


@given(st.sampled_from(PAYLOADS), st.data())
def test_a_real_frame_cut_short(sample: tuple[str, str, int, bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(sample[3]) - 1))
    with pytest.raises(WireError):
        read(*sample[:3], sample[3][:cut])


@given(st.sampled_from(PAYLOADS), st.binary(min_size=1, max_size=8))
def test_a_real_frame_with_more_after_it(sample: tuple[str, str, int, bytes], extra: bytes) -> None:
    with pytest.raises(WireError):
        read(*sample[:3], sample[3] + extra)


@pytest.mark.parametrize(
    ("key", "version", "words"),
    [
        (4_242, 1, "API key 4242"),
        (1_001, 3, "version 3 of Create"),
        (1_001, -1, "version -1 of Create"),
    ],
)
def test_an_unknown_call_is_named(key: int, version: int, words: str) -> None:
    with pytest.raises(WireError, match=words):
        decode_request(encode(RequestHeader(key, version, 1, "x"), 0), SC_APIS)


@pytest.mark.parametrize(
    "value",
    [
        OffsetUpdate(2**63, 1),
        OffsetUpdate(0, -1),
        Failure(ErrorCode.OTHER),
        StreamFetchRequest("x" * (STRING_BYTES_MAX + 1), 0, 0, 0),
    ],
    ids=repr,
)
def test_what_does_not_fit_cannot_be_written(value: object) -> None:
    if isinstance(value, Failure):
        value = OffsetUpdated(1, value)
    with pytest.raises(WireError):
        encode(value, 24)


def test_a_spec_without_a_tag_cannot_be_written() -> None:
    odd = TopicSpec(ReplicaPlace((1,)))  # type: ignore[arg-type]
    with pytest.raises(WireError, match="ReplicaPlace"):
        encode(TopicMetadata("x", odd, TopicStatus(4, ())), 19)


def test_old_versions_leave_fields_out() -> None:
    request = StreamFetchRequest("topic", 1, 2, 3, 0, (), "reader")
    assert decode(StreamFetchRequest, encode(request, 24), 24) == request
    assert decode(StreamFetchRequest, encode(request, 20), 20).consumer_id is None


values = st.tuples(st.none() | st.binary(max_size=40), st.binary(max_size=400))


@given(st.lists(values, min_size=1, max_size=20), st.integers(0, 2**40), st.integers(0, 2**41))
def test_batches_come_back(
    records: list[tuple[bytes | None, bytes]], base_offset: int, timestamp_ms: int
) -> None:
    raw = encode_batch(records, base_offset=base_offset, timestamp_ms=timestamp_ms)
    (batch,) = checked_batches(raw)
    found = decode_records(raw, batch)
    assert [(item.key, item.value) for item in found] == records
    assert [item.offset for item in found] == list(range(base_offset, batch.next_offset))
    assert {item.timestamp_ms for item in found} == {timestamp_ms}


@given(st.data())
@settings(max_examples=300)
def test_a_damaged_batch_is_refused(data: st.DataObject) -> None:
    raw = bytearray(encode_batch([(b"k", b"value"), (None, b"another")]))
    at = data.draw(st.integers(8, len(raw) - 1))  # the base offset may be anything
    new = data.draw(st.integers(0, 255))
    unchecked = range(12, 16)  # so may the leader epoch
    if at in unchecked or raw[at] == new:
        return
    raw[at] = new
    with pytest.raises(WireError):
        checked_batches(raw)


@given(st.binary(max_size=300))
def test_random_bytes_are_no_batches(raw: bytes) -> None:
    with contextlib.suppress(WireError):
        for batch in iter_batches(raw):
            decode_records(raw, batch)


@given(st.data())
def test_records_with_damaged_insides_are_refused_or_read(data: st.DataObject) -> None:
    raw = bytearray(encode_batch([(b"key", b"value"), (None, b"x" * 50)]))
    at = data.draw(st.integers(57, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        for batch in iter_batches(raw):
            decode_records(raw, batch)


def test_a_batch_that_hides_records_is_refused() -> None:
    raw = bytearray(encode_batch([(None, b"one")]))
    struct.pack_into(">i", raw, 23, 9)  # claims ten offsets
    struct.pack_into(">I", raw, 17, google_crc32c.value(bytes(raw[21:])))
    with pytest.raises(WireError, match="1 records in a batch that takes 10"):
        checked_batches(raw)


def spoiled(raw: bytes, change: Callable[[bytearray], None]) -> bytes:
    """The batch after a change, with the checksum of what is in it."""
    batch = bytearray(raw)
    change(batch)
    struct.pack_into(">I", batch, 17, google_crc32c.value(bytes(batch[21:])))
    return bytes(batch)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (pack_batch(COUNT.pack(2**31 - 1), 2**31 - 1), "at most 0"),
        (pack_batch(COUNT.pack(3) + bytes(20), 3), "at most 2"),
        (
            pack_batch(COUNT.pack(9), RECORDS_MAX + 1, compression=Compression.ZSTD),
            f"at most {RECORDS_MAX}",
        ),
        (
            spoiled(encode_batch([(None, b"x")]), lambda batch: batch.__setitem__(22, 0x10)),
            "expected no schema",
        ),
        (encode_batch([(None, b"")]) * (BATCHES_MAX + 1), "more records into a batch"),
    ],
    ids=["more than bytes", "one too many", "compressed", "schema", "batches"],
)
def test_what_no_reader_could_get_past_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        checked_batches(raw)


@pytest.mark.parametrize(("first_ms", "later_ms"), [(2**63 - 1, 1), (-(2**63), -1)])
def test_times_beyond_64_bits_cannot_be_packed_anew(first_ms: int, later_ms: int) -> None:
    inner = b"\0" + varint(later_ms) + b"\0\0\0\0"
    body = COUNT.pack(2) + (varint(len(inner)) + inner) * 2
    raw = pack_batch(body, 2, timestamps_ms=(first_ms, first_ms))
    (batch,) = checked_batches(raw)
    assert len(decode_records(raw, batch)) == 2
    with pytest.raises(WireError, match="64 bits"):
        select_records(raw, batch, [True, False])


def test_the_most_and_the_smallest_records_are_taken() -> None:
    raw = encode_batch([(None, b"")] * 64)
    assert len(raw) == HEADER_BYTES + COUNT.size + 64 * RECORD_BYTES_MIN
    assert len(checked_batches(raw * BATCHES_MAX)) == BATCHES_MAX


def feed(buffer: FrameBuffer, stream: bytes, sizes: list[int]) -> list[bytes]:
    found: list[bytes] = []
    position = 0
    turn = 0
    while position < len(stream):
        space = buffer.space()
        count = min(len(space), len(stream) - position, sizes[turn % len(sizes)])
        space[:count] = stream[position : position + count]
        space.release()
        found += [bytes(frame) for frame in buffer.received(count)]
        position += count
        turn += 1
    return found


@given(
    st.lists(st.integers(0, 150_000), min_size=1, max_size=6),
    st.lists(st.integers(1, 70_000), min_size=1, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_frames_come_apart_wherever_the_stream_is_cut(lengths: list[int], sizes: list[int]) -> None:
    frames = [bytes([index + 1]) * length for index, length in enumerate(lengths)]
    stream = b"".join(struct.pack(">i", len(frame)) + frame for frame in frames)
    if max(sizes) < 16:
        sizes = [*sizes, 4_096]
    assert feed(FrameBuffer(1 << 20), stream, sizes) == frames


@pytest.mark.parametrize("length", [-1, -(2**31), 1_001, 2**31 - 1])
def test_an_impossible_frame_length_is_refused(length: int) -> None:
    buffer = FrameBuffer(1_000)
    with pytest.raises(WireError, match="frame length"):
        feed(buffer, struct.pack(">i", length) + b"abc", [7])


def test_memory_follows_what_came_not_what_was_claimed() -> None:
    buffer = FrameBuffer(1 << 30)
    feed(buffer, struct.pack(">i", 1 << 30) + bytes(100), [104])
    assert len(buffer.space()) <= 1 << 20
    assert buffer.missing == (1 << 30) - 100
