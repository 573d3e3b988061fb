"""Compressed batches: those recorded between the official client and a real cluster, and ours."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_fluvio.errors import WireError
from qd_fluvio.wire.compression import Compression, compress, compression_of, decompress
from qd_fluvio.wire.data import PRODUCE
from qd_fluvio.wire.frames import decode_request
from qd_fluvio.wire.records import (
    HEADER_BYTES,
    checked_batches,
    decode_records,
    encode_batch,
    iter_batches,
)

FRAMES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "data" / "fluvio_wire.json").read_text()
)["frames"]
CODECS = [kind for kind in Compression if kind is not Compression.NONE]
KINDS = st.sampled_from(list(Compression))
# What each codec's stream begins with: the framing, not only the algorithm, is Fluvio's.
MAGIC = {
    Compression.GZIP: "1f8b08",
    Compression.SNAPPY: "ff060000734e61507059",
    Compression.LZ4: "04224d18",
    Compression.ZSTD: "28b52ffd",
}


def recorded(kind: Compression) -> bytes:
    """The batch that the official client sent in this codec's scene."""
    scene = f"produce with {kind.name.title()}"
    for frame in FRAMES:
        if frame["scenario"] == scene and frame["api_key"] == PRODUCE.key:
            body = decode_request(bytes.fromhex(frame["hex"])[4:], {PRODUCE.key: PRODUCE}).body
            return bytes(body.topics[0].partitions[0].records)
    raise LookupError(scene)


@pytest.mark.parametrize("kind", CODECS)
def test_a_recorded_batch_opens(kind: Compression) -> None:
    data = recorded(kind)
    (batch,) = checked_batches(data)
    assert compression_of(batch.attributes) is kind
    (record,) = decode_records(data, batch)
    assert record.key == b""
    assert record.value == b"z" * 200
    assert data[HEADER_BYTES:].startswith(bytes.fromhex(MAGIC[kind]))


@pytest.mark.parametrize("kind", CODECS)
def test_ours_is_framed_alike(kind: Compression) -> None:
    data = encode_batch([(None, b"z" * 200)], compression=kind)
    assert data[HEADER_BYTES:].startswith(bytes.fromhex(MAGIC[kind]))
    assert len(data) < 150


@given(kind=KINDS, data=st.binary(max_size=100_000))
def test_bytes_come_back(kind: Compression, data: bytes) -> None:
    assert decompress(kind, compress(kind, data)) == data


@given(
    kind=KINDS,
    records=st.lists(st.tuples(st.none() | st.binary(), st.binary(max_size=300)), min_size=1),
)
def test_records_come_back(kind: Compression, records: list[tuple[bytes | None, bytes]]) -> None:
    data = encode_batch(records, compression=kind, base_offset=7, timestamp_ms=5)
    (batch,) = checked_batches(data)
    found = decode_records(data, batch)
    assert [(record.key, record.value) for record in found] == records
    assert [record.offset for record in found] == list(range(7, 7 + len(records)))
    assert {record.timestamp_ms for record in found} == {5}


@pytest.mark.parametrize("kind", list(Compression))
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 1_000_000])
def test_the_limit_is_exact(kind: Compression, size: int) -> None:
    packed = compress(kind, bytes(size))
    assert decompress(kind, packed, limit_bytes=size) == bytes(size)
    if size:
        with pytest.raises(WireError, match=f"more than {size - 1} bytes"):
            decompress(kind, packed, limit_bytes=size - 1)


@pytest.mark.parametrize("kind", CODECS)
def test_a_bomb_is_refused(kind: Compression) -> None:
    bomb = compress(kind, bytes(80 * 1024 * 1024))
    with pytest.raises(WireError, match="expected at most that many: send smaller batches"):
        decompress(kind, bomb)


@given(kind=st.sampled_from(CODECS), data=st.binary(max_size=200))
def test_random_bytes_are_refused_or_open(kind: Compression, data: bytes) -> None:
    with suppress(WireError):
        assert len(decompress(kind, data, limit_bytes=1_000_000)) <= 1_000_000


@pytest.mark.parametrize("kind", CODECS)
def test_a_cut_stream_is_damage(kind: Compression) -> None:
    packed = compress(kind, bytes(range(256)) * 10)
    with pytest.raises(WireError, match="the batch is damaged"):
        decompress(kind, packed[:-3])


def test_a_codec_that_is_not_there_is_refused() -> None:
    with pytest.raises(WireError, match="found compression 5, expected 0"):
        compression_of(5)


@pytest.mark.parametrize("kind", CODECS)
def test_a_wrong_count_inside_is_refused(kind: Compression) -> None:
    data = bytearray(encode_batch([(None, b"a"), (None, b"b")], compression=kind))
    data[26] = 2  # the header now claims three records
    (batch,) = iter_batches(data)
    with pytest.raises(WireError, match="found 2 records in a batch that takes 3 offsets"):
        decode_records(data, batch)
