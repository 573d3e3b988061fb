"""Whole batches at once against one record after another: the same bytes, the same records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_fluvio.errors import WireError
from qd_fluvio.wire.compression import Compression
from qd_fluvio.wire.data import SPU_APIS
from qd_fluvio.wire.frames import decode_request, decode_response
from qd_fluvio.wire.packing import BATCH_RECORDS_MAX, pack_columns
from qd_fluvio.wire.records import (
    HEADER_BYTES,
    RECORDS_MAX,
    Batch,
    WireRecord,
    batch_at,
    batch_header,
    decode_records,
    encode_batch,
    iter_batches,
    varint,
)
from qd_fluvio.wire.unpacking import unpack_columns

# The sizes at which a length, or an offset within the batch, takes a byte more.
EDGES = [0, 1, 55, 56, 57, 63, 64, 65, 500, 512, 513, 4096, 4097, 8180, 8190, 8192, 70_000]
COUNTS = [1, 2, 7, 8, 9, 63, 64, 65, 72, 200, 8191, BATCH_RECORDS_MAX]
GOLDEN = json.loads((Path(__file__).parent.parent / "data" / "fluvio_wire.json").read_text())

keys = st.none() | st.binary(max_size=80)
values = st.binary(max_size=200)
columns = st.lists(st.tuples(keys, values), min_size=1, max_size=150)
alike = st.builds(
    lambda size, count, fill: [(None, bytes([(fill + n) % 256]) * size) for n in range(count)],
    st.sampled_from(EDGES[:11]),
    st.integers(1, 300),
    st.integers(0, 255),
)
times = st.integers(-1, 2**45)


def rows(data: bytes, batch: Batch) -> list[WireRecord]:
    """What the fast way reads, as the slow one puts it."""
    found = unpack_columns(data, batch)
    assert len(found.timestamps_ms) == len(found.keys) == len(found.values)
    offsets = range(batch.base_offset, batch.next_offset)
    return [
        WireRecord(*fields)
        for fields in zip(offsets, found.timestamps_ms, found.keys, found.values, strict=True)
    ]


@given(columns | alike, times, st.sampled_from(Compression))
def test_writing(
    records: list[tuple[bytes | None, bytes]], timestamp_ms: int, compression: Compression
) -> None:
    head, body = pack_columns(
        [value for _, value in records],
        [key for key, _ in records],
        timestamp_ms=timestamp_ms,
        compression=compression,
    )
    assert len(head) == HEADER_BYTES
    assert head + body == encode_batch(records, timestamp_ms=timestamp_ms, compression=compression)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("size", [0, 28, 56, 64])
def test_writing_and_reading_so_many(count: int, size: int) -> None:
    wanted = [n.to_bytes(2) * (size // 2) for n in range(count)]
    whole = b"".join(pack_columns(wanted))
    assert whole == encode_batch([(None, value) for value in wanted])
    assert unpack_columns(whole, batch_at(whole, 0)).values == wanted


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("count", [1, 10, 70])
def test_writing_and_reading_such_sizes(count: int, size: int) -> None:
    wanted = [bytes([n]) * size for n in range(count)]
    whole = b"".join(pack_columns(wanted))
    assert whole == encode_batch([(None, value) for value in wanted])
    assert unpack_columns(whole, batch_at(whole, 0)).values == wanted


def timed(records: list[tuple[int, bytes | None, bytes]]) -> tuple[bytes, Batch]:
    """A batch of records with times of their own, as other clients write them."""
    body = bytearray(len(records).to_bytes(4))
    for index, (delta_ms, key, value) in enumerate(records):
        keyed = b"\0" if key is None else b"\1" + varint(len(key)) + key
        inner = b"\0" + varint(delta_ms) + varint(index) + keyed + varint(len(value)) + value
        body += varint(len(inner) + 1) + inner + varint(0)
    like = batch_at(encode_batch([(None, b"")] * len(records), timestamp_ms=1_000), 0)
    return sealed(bytes(body), like)


MIXED = {
    "times that rise": [(n // 3, None, b"value") for n in range(300)],
    "times that take another byte": [(n * 40, None, b"value") for n in range(500)],
    "times before the first": [(70 - n, None, b"value") for n in range(140)],
    "times far away": [(2**60 + n, None, b"value") for n in range(20)],
    "empty keys": [(n, b"", b"value") for n in range(100)],
    "one key": [(0, b"XBTUSD", bytes([n])) for n in range(100)],
    "keys that change": [(0, b"XBT" if n < 50 else b"ETH", b"v") for n in range(100)],
    "a key among none": [(0, b"XBT" if n == 40 else None, b"value") for n in range(100)],
    "sizes that change once": [(0, None, b"v" * (3 if n < 30 else 5)) for n in range(100)],
    "sizes that change always": [(0, None, b"v" * (n % 9)) for n in range(200)],
    "sizes that change now and then": [(0, None, b"v" * (n // 10 % 3)) for n in range(300)],
}


@pytest.mark.parametrize("records", MIXED.values(), ids=MIXED)
def test_reading_what_is_alike_in_part(records: list[tuple[int, bytes | None, bytes]]) -> None:
    whole, batch = timed(records)
    found = rows(whole, batch)
    assert found == decode_records(whole, batch)
    assert [(row.timestamp_ms - 1_000, row.key, row.value) for row in found] == records


@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from([0, 1, 63, 64, 8192, -1, -65, 2**40, 2**62]),
            st.none() | st.binary(max_size=3),
            st.binary(max_size=70),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_reading_runs(runs: list[tuple[int, int, bytes | None, bytes]]) -> None:
    whole, batch = timed(
        [(delta, key, value) for count, delta, key, value in runs for _ in range(count)]
    )
    assert rows(whole, batch) == decode_records(whole, batch)


def test_other_clients_write_more_records_into_a_batch() -> None:
    """Their offsets within the batch then take three bytes."""
    wanted = [(None, n.to_bytes(4)) for n in range(20_000)]
    whole = encode_batch(wanted, timestamp_ms=5, base_offset=7)
    batch = batch_at(whole, 0)
    assert rows(whole, batch) == decode_records(whole, batch)


@given(columns | alike, times, st.integers(0, 2**60), st.sampled_from(Compression))
def test_reading(
    records: list[tuple[bytes | None, bytes]],
    timestamp_ms: int,
    base_offset: int,
    compression: Compression,
) -> None:
    before = b"another batch"
    whole = before + encode_batch(
        records, timestamp_ms=timestamp_ms, base_offset=base_offset, compression=compression
    )
    batch = batch_at(whole, len(before))
    assert rows(whole, batch) == decode_records(whole, batch)
    assert [(row.key, row.value) for row in rows(whole, batch)] == records


def sealed(body: bytes, batch: Batch) -> tuple[bytes, Batch]:
    """A batch with this body and a right checksum, whatever the body is."""
    times_ms = (batch.first_timestamp_ms, batch.first_timestamp_ms)
    count = batch.record_count
    head = batch_header(len(body), count, timestamps_ms=times_ms, base_offset=batch.base_offset)
    checksum = google_crc32c.value(head[21:] + body)
    whole = (
        batch_header(
            len(body),
            count,
            timestamps_ms=times_ms,
            base_offset=batch.base_offset,
            checksum=checksum,
        )
        + body
    )
    return whole, batch_at(whole, 0)


@given(columns | alike, st.data())
def test_a_changed_byte_under_a_right_checksum(
    records: list[tuple[bytes | None, bytes]], data: st.DataObject
) -> None:
    """Both ways read the same or refuse it; nothing else is raised."""
    whole = encode_batch(records, timestamp_ms=3, base_offset=9)
    body = bytearray(whole[HEADER_BYTES:])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body)
    changed, batch = sealed(cut, batch_at(whole, 0))
    try:
        expected = decode_records(changed, batch)
    except WireError:
        with pytest.raises(WireError):
            unpack_columns(changed, batch)
    else:
        assert rows(changed, batch) == expected


@pytest.mark.parametrize("bits", [0x01, 0x02, 0x80, 0xFF])
def test_each_byte_changed_under_a_right_checksum(bits: int) -> None:
    """Records that were alike but for one bit are no rows, or are read as if one by one."""
    whole, like = timed([(n // 4, b"k", b"value") for n in range(24)])
    for position in range(4, len(whole) - HEADER_BYTES):
        body = bytearray(whole[HEADER_BYTES:])
        body[position] ^= bits
        changed, batch = sealed(bytes(body), like)
        try:
            expected = decode_records(changed, batch)
        except WireError:
            with pytest.raises(WireError):
                unpack_columns(changed, batch)
        else:
            assert rows(changed, batch) == expected


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x7F, 0x80, 0xFF])
def test_each_byte_of_alike_records_changed_under_a_right_checksum(byte: int) -> None:
    """Rows are taken for rows only where nothing but their values differs."""
    whole = encode_batch([(None, b"abc")] * 70, timestamp_ms=3)
    body = whole[HEADER_BYTES:]
    for position in range(len(body)):
        changed, batch = sealed(
            body[:position] + bytes([byte]) + body[position + 1 :], batch_at(whole, 0)
        )
        try:
            expected = decode_records(changed, batch)
        except WireError:
            with pytest.raises(WireError):
                unpack_columns(changed, batch)
        else:
            assert rows(changed, batch) == expected


def test_a_changed_byte_is_found_by_the_checksum() -> None:
    whole = bytearray(encode_batch([(None, b"value")] * 20))
    batch = batch_at(whole, 0)
    for position in range(21, len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        with pytest.raises(WireError):
            unpack_columns(damaged, batch)


@pytest.mark.parametrize("count", [0, BATCH_RECORDS_MAX + 1])
def test_a_batch_of_none_or_too_many(count: int) -> None:
    with pytest.raises(WireError, match=f"found {count} records"):
        pack_columns([b""] * count)


def test_a_bomb_of_empty_records_is_refused_by_its_header() -> None:
    whole = encode_batch([(None, b"")], compression=Compression.GZIP)
    found = batch_at(whole, 0)
    batch = Batch(0, found.end, 0, RECORDS_MAX + 1, found.attributes, -1)
    with pytest.raises(WireError, match="at most"):
        unpack_columns(whole, batch)


def recorded_batches() -> list[tuple[bytes, Batch]]:
    """Every batch that went between the official client and a real cluster."""
    found: list[tuple[bytes, Batch]] = []
    for frame in GOLDEN["frames"]:
        key, asked = frame["api_key"], frame["direction"] == "request"
        if frame["server"] != "spu" or (key, asked) not in ((0, True), (1003, False)):
            continue
        payload = bytes.fromhex(frame["hex"])[4:]
        message: Any
        if asked:
            message = decode_request(payload, SPU_APIS).body
            parts = [item.records for topic in message.topics for item in topic.partitions]
        else:
            message = decode_response(payload, SPU_APIS[key], frame["api_version"])[1]
            parts = [message.partition.records]
        found += [(bytes(part), batch) for part in parts for batch in iter_batches(part)]
    return found


def test_recorded_batches_read_alike() -> None:
    batches = recorded_batches()
    assert len(batches) > 50
    for data, batch in batches:
        assert rows(data, batch) == decode_records(data, batch)


def test_recorded_batches_are_written_to_the_same_bytes() -> None:
    """But for what a server sets, and for records of several times, which are not written."""
    same = 0
    for data, batch in recorded_batches():
        found = unpack_columns(data, batch)
        if batch.attributes or len(set(found.timestamps_ms)) > 1:
            continue
        head, body = pack_columns(found.values, found.keys, timestamp_ms=batch.first_timestamp_ms)
        recorded = data[batch.start : batch.end]
        # Behind the base offset and the leader's epoch, which the server sets.
        assert head[16:] + body == recorded[16:]
        assert head[8:12] == recorded[8:12]
        same += 1
    assert same > 30
