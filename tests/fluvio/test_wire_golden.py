"""Every frame that went between the official client and a real cluster."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qd_fluvio.wire.admin import (
    LIST,
    SC_APIS,
    CreateTopic,
    DeleteSpu,
    ListObjects,
    ListRequest,
    SpuName,
    SpuNumber,
)
from qd_fluvio.wire.codec import Labelled, decode, encode
from qd_fluvio.wire.data import SPU_APIS
from qd_fluvio.wire.failures import ErrorCode, Failure
from qd_fluvio.wire.frames import (
    FrameBuffer,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    encode_response_head,
)
from qd_fluvio.wire.metadata import ComputedReplicas, SegmentCleanup, Storage
from qd_fluvio.wire.modules import (
    ModuleMeta,
    ModuleMetadata,
    ModulePackage,
    ModuleParameter,
    ModuleSpec,
    ModuleWasm,
)
from qd_fluvio.wire.records import checksum_holds, decode_records, iter_batches

GOLDEN = json.loads((Path(__file__).parent.parent / "data" / "fluvio_wire.json").read_text())
FRAMES: list[dict[str, Any]] = GOLDEN["frames"]
APIS = {"sc": SC_APIS, "spu": SPU_APIS}


def frame_id(frame: dict[str, Any]) -> str:
    return f"{frame['server']}-{frame['api_key']}-{frame['direction']}-{frame['scenario'][:30]}"


def frames(server: str, api_key: int, direction: str) -> list[dict[str, Any]]:
    return [
        frame
        for frame in FRAMES
        if (frame["server"], frame["api_key"], frame["direction"]) == (server, api_key, direction)
    ]


def decoded(frame: dict[str, Any]) -> Any:
    payload = bytes.fromhex(frame["hex"])[4:]
    if frame["direction"] == "request":
        return decode_request(payload, APIS[frame["server"]]).body
    api = APIS[frame["server"]][frame["api_key"]]
    return decode_response(payload, api, frame["api_version"])[1]


@pytest.mark.parametrize("frame", FRAMES, ids=frame_id)
def test_a_frame_decodes_and_encodes_to_the_same_bytes(frame: dict[str, Any]) -> None:
    raw = bytes.fromhex(frame["hex"])
    if frame["direction"] == "request":
        request = decode_request(raw[4:], APIS[frame["server"]])
        assert request.header.correlation_id == frame["correlation_id"]
        again = encode_request(
            request.api,
            request.body,
            version=request.header.api_version,
            correlation_id=request.header.correlation_id,
            client_id=request.header.client_id,
        )
    else:
        api = APIS[frame["server"]][frame["api_key"]]
        correlation_id, body = decode_response(raw[4:], api, frame["api_version"])
        assert correlation_id == frame["correlation_id"]
        again = encode_response(correlation_id, body, frame["api_version"])
    assert again == raw


def test_the_frames_cover_all_calls_but_the_plain_fetch() -> None:
    seen = Counter((frame["server"], frame["api_key"]) for frame in FRAMES)
    known = {(server, key) for server, apis in APIS.items() for key in apis}
    assert known - seen.keys() == {("spu", 1)}
    assert len(FRAMES) == 295


def test_a_topic_with_settings_reads_as_it_was_asked_for() -> None:
    created = [decoded(frame).object.body for frame in frames("sc", 1001, "request")]
    beta = next(item for item in created if isinstance(item, CreateTopic) and item.name == "beta")
    assert beta.spec.replicas == ComputedReplicas(2, 1, True)
    assert beta.spec.cleanup == SegmentCleanup(3_600)
    assert beta.spec.storage == Storage(16_000_000)


@pytest.mark.parametrize(
    ("scenario", "code"),
    [
        ("create topic that exists", ErrorCode.TOPIC_ALREADY_EXISTS),
        ("create topic with a bad name", ErrorCode.TOPIC_INVALID_NAME),
        ("delete topic that is not there", ErrorCode.TOPIC_NOT_FOUND),
    ],
)
def test_refusals_carry_their_codes(scenario: str, code: ErrorCode) -> None:
    (answer,) = [
        decoded(frame)
        for frame in FRAMES
        if frame["scenario"] == scenario
        and frame["direction"] == "response"
        and frame["api_key"] in (1001, 1002)
    ]
    assert answer.error == Failure(code)
    assert answer.message


def test_every_recorded_batch_has_a_right_checksum_and_opens() -> None:
    values = []
    for frame in frames("spu", 0, "request"):
        for topic in decoded(frame).topics:
            for partition in topic.partitions:
                for batch in iter_batches(partition.records):
                    assert checksum_holds(partition.records, batch)
                    if not batch.attributes:
                        values += decode_records(partition.records, batch)
    assert [item.value for item in values[:3]] == [b"hello", b"value-1", b"waited"]
    assert values[1].key == b"k1"
    assert values[0].timestamp_ms == values[0].timestamp_ms > 1_700_000_000_000


def test_a_head_and_its_records_make_the_recorded_frame() -> None:
    checked = 0
    for frame in frames("spu", 1003, "response"):
        body = decoded(frame)
        records = bytes(body.partition.records)
        empty = dataclasses.replace(
            body, partition=dataclasses.replace(body.partition, records=b"")
        )
        head = encode_response_head(
            frame["correlation_id"], empty, frame["api_version"], records_bytes=len(records)
        )
        assert head + records == bytes.fromhex(frame["hex"])
        checked += 1
    assert checked == 33


def test_all_frames_in_a_row_come_apart_again() -> None:
    raw = [bytes.fromhex(frame["hex"]) for frame in FRAMES]
    stream = b"".join(raw)
    buffer = FrameBuffer(1 << 20)
    found: list[bytes] = []
    position = 0
    while position < len(stream):
        space = buffer.space()
        count = min(len(space), len(stream) - position, 1_000)
        space[:count] = stream[position : position + count]
        space.release()
        found += [bytes(frame) for frame in buffer.received(count)]
        position += count
    assert found == [frame[4:] for frame in raw]


PACKAGE = ModulePackage("map", "qd", "0.1.0", "0.1.0", "maps", None, 1, "somewhere")
MODULE = ModuleMetadata(
    "map-qd-0.1.0",
    ModuleSpec(
        ModuleMeta(PACKAGE, (("key", ModuleParameter("what", True)),)), None, ModuleWasm(0, b"wasm")
    ),
)
MODULE_HEX = (
    "000c6d61702d71642d302e312e30"  # its name
    "01" "00036d6170" "00027164" "0005302e312e30" "0005302e312e30"  # package
    "01" "00046d617073" "00" "01" "01" "0009736f6d657768657265"  # what is told about it
    "0001" "00036b6579" "01" "000477686174" "01"  # one parameter
    "00" "00" "00000004" "7761736d"  # no summary; its format and bytes
)  # fmt: skip


def test_a_smartmodule_with_a_package_reads_and_writes() -> None:
    """The recording left such frames out, as too long."""
    assert encode(MODULE, 19).hex() == MODULE_HEX
    assert decode(ModuleMetadata, bytes.fromhex(MODULE_HEX), 19) == MODULE
    # Before version 19 nothing was said about who may see it.
    older = encode(MODULE, 18)
    assert len(older) == len(MODULE_HEX) // 2 - 1
    meta = MODULE.spec.meta
    assert meta is not None
    assert decode(ModuleMetadata, older, 18).spec.meta == dataclasses.replace(
        meta, package=dataclasses.replace(PACKAGE, visibility=0)
    )


@pytest.mark.parametrize("version", [19, 20, 99])
def test_a_newer_version_is_read_as_the_newest(version: int) -> None:
    body = ListRequest(Labelled("Topic", ListObjects(("a",), system=True)))
    raw = encode_request(LIST, body, version=version, correlation_id=1, client_id="x")
    assert decode_request(raw[4:], SC_APIS).body == body


@pytest.mark.parametrize(
    ("key", "words"), [(DeleteSpu(SpuName("a")), "044e616d65"), (DeleteSpu(SpuNumber(7)), "024964")]
)
def test_an_spu_is_told_by_its_name_or_number(key: DeleteSpu, words: str) -> None:
    assert words in encode(key, 19).hex()
    assert decode(DeleteSpu, encode(key, 19), 19) == key
