"""The bytes between the broker and a SmartModule, as tables; nothing runs here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_fluvio.broker.smartmodules.errors import ModuleFault
from qd_fluvio.broker.smartmodules.interface import (
    Export,
    ModuleInput,
    decode_aggregate_output,
    decode_init_error,
    decode_look_back_error,
    decode_output,
    encode_aggregate_input,
    encode_init_input,
    encode_input,
    status_text,
)
from qd_fluvio.broker.smartmodules.records import (
    Block,
    joined,
    take_block,
    without_first,
    young_records,
)
from qd_fluvio.broker.smartmodules.sections import COUNT_MAX, check_sections
from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import Reader
from qd_fluvio.wire.failures import ErrorCode, Failure, FailureCodec
from qd_fluvio.wire.metadata import Duration
from qd_fluvio.wire.records import (
    decode_records,
    encode_batch,
    iter_batches,
    open_records,
    pack_batch,
)
from qd_fluvio.wire.smartmodules import Lookback

# One record of value "a".
RECORD = bytes.fromhex("0e000000000261 00")
INPUT = ModuleInput(258, 5, Block(1, RECORD))
BASE = "0000000000000102 0000000c 00000001" + RECORD.hex()
TIME = "0000000000000005"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (15, BASE + "0000"),  # no parameters
        (16, BASE + "0000" + "00000000"),  # and nothing to join with
        (19, BASE + "0000" + "00000000"),
        (20, BASE + "0000 00" + "00000000"),  # and no lookback
        (22, BASE + "0000 00" + "00000000" + TIME),
        (23, BASE + TIME),
        (25, BASE + TIME),
    ],
)
def test_an_input(version: int, expected: str) -> None:
    assert encode_input(INPUT, version) == bytes.fromhex(expected)


def test_an_input_of_an_aggregate() -> None:
    expected = bytes.fromhex(BASE + TIME + "00000003") + b"acc"
    assert encode_aggregate_input(INPUT, b"acc", 24) == expected


@pytest.mark.parametrize(
    ("version", "lookback", "expected"),
    [
        (19, Lookback(5), "0001 0001 6b 0001 76"),
        (20, None, "0001 0001 6b 0001 76 00"),
        (20, Lookback(5), "0001 0001 6b 0001 76 01 0000000000000005"),
        (21, Lookback(5), "0001 0001 6b 0001 76 01 0000000000000005 00"),
        (
            24,
            Lookback(5, Duration(2, 7)),
            "0001 0001 6b 0001 76 01 0000000000000005 01 0000000000000002 00000007",
        ),
    ],
)
def test_an_input_of_init(version: int, lookback: Lookback | None, expected: str) -> None:
    found = encode_init_input((("k", "old"), ("k", "v")), lookback, version)
    assert found == bytes.fromhex(expected)


def test_parameters_are_sorted_by_name() -> None:
    found = encode_init_input((("b", "2"), ("a", "1")), None, 19)
    assert found == encode_init_input((("a", "1"), ("b", "2")), None, 19)


def test_outputs() -> None:
    records = bytes.fromhex("00000001") + RECORD
    output = decode_output(records + b"\0", 24)
    assert (output.records.count, bytes(output.records.body)) == (1, RECORD)
    assert output.failure is None
    with_error = (
        bytes.fromhex("00000000 01 0002") + b"no" + bytes.fromhex("000000000000000904 00 0476 77")
    )
    failed = decode_output(with_error, 24)
    assert failed.failure == Failure(ErrorCode.SMARTMODULE_RUNTIME_ERROR, ("no", 9, 4, None, b"vw"))
    output, accumulator = decode_aggregate_output(records + b"\0\0\0\0\x02xy", 24)
    assert accumulator == b"xy"


def test_errors_in_words() -> None:
    assert decode_init_error(b"\0\x02no", 24) == "no\n\nSmartModule Init Error: \n"
    hint = b"\0\x02no" + bytes(7) + b"\x09"
    assert decode_look_back_error(hint + b"\x01\x02k\x02\xff", 24) == (
        "no\n\nSmartModule Lookback Error: \n    Offset: 9\n    Key: k\n    Value: Binary: 1 bytes"
    )


@pytest.mark.parametrize(
    ("export", "status", "words"),
    [
        (Export.FILTER, -11, "failed to decode SmartModule base input"),
        (Export.AGGREGATE, -33, "failed to encode SmartModule output"),
        (Export.INIT, -11, "failed to encode SmartModule init output"),
        (Export.LOOK_BACK, -66, "failed to decode SmartModule look_back input"),
        (Export.MAP, -7, "encountered unknown error during SmartModule processing"),
    ],
)
def test_statuses_in_words(export: Export, status: int, words: str) -> None:
    assert status_text(export, status) == words


@given(st.binary(max_size=60))
def test_random_outputs_are_refused_or_read(data: bytes) -> None:
    for read in (decode_output, decode_aggregate_output, decode_init_error, decode_look_back_error):
        try:
            read(data, 24)
        except WireError:
            continue


RECORDS = st.lists(st.tuples(st.none() | st.binary(max_size=9), st.binary(max_size=99)), min_size=1)


def block_of(records: list[tuple[bytes | None, bytes]]) -> Block:
    data = encode_batch(records)
    (batch,) = iter_batches(data)
    return take_block(open_records(data, batch))[0]


def read(block: Block) -> list[tuple[bytes | None, bytes]]:
    if not block.count:
        return []
    data = pack_batch(block.packed(), block.count)
    (batch,) = iter_batches(data)
    return [(item.key, item.value) for item in decode_records(data, batch)]


@given(RECORDS, st.integers(-1, 99))
def test_blocks_are_cut_at_records(records: list[tuple[bytes | None, bytes]], count: int) -> None:
    count = min(count, len(records))
    block = block_of(records)
    assert read(without_first(block, count)) == records[max(count, 0) :]
    assert read(joined([block, without_first(block, count)])) == records + records[max(count, 0) :]


@given(st.lists(st.integers(-(2**40), 2**40)), st.integers(-(2**40), 2**40))
def test_records_are_chosen_by_time(times_ms: list[int], since_ms: int) -> None:
    block = joined([Block(0, b""), *(Block(1, timed(time_ms)) for time_ms in times_ms)])
    found = young_records(block, since_ms)
    kept = [timed(time_ms) for time_ms in times_ms if time_ms >= since_ms]
    assert (found.count, bytes(found.body)) == (len(kept), b"".join(kept))


def timed(time_ms: int) -> bytes:
    """A record of no value, so long after its batch."""
    raw = (time_ms << 1) ^ (time_ms >> 63)
    delta = bytearray()
    while raw > 0x7F:
        delta.append(raw & 0x7F | 0x80)
        raw >>= 7
    delta.append(raw)
    inner = b"\0" + delta + b"\0\0\0\0"
    return bytes([2 * len(inner)]) + inner


@pytest.mark.parametrize("data", ["", "000000", "00000001", "0000000103", "000000010400"])
def test_cut_blocks_are_refused(data: str) -> None:
    with pytest.raises(WireError):
        take_block(memoryview(bytes.fromhex(data)))


def test_a_runtime_error_travels() -> None:
    details = ("hint", 7, 6, None, b"\xff" * 200)
    out = bytearray()
    FailureCodec().write(out, Failure(ErrorCode.SMARTMODULE_RUNTIME_ERROR, details), 24)
    assert out[:8] == b"\x17\x74\0\x04hint"
    assert FailureCodec().read(Reader(out), 24).details == details


def section(kind: int, body: bytes) -> bytes:
    return bytes([kind, len(body)]) + body


_HEAD = b"\0asm\1\0\0\0"


@pytest.mark.parametrize(
    ("wasm", "text"),
    [
        (b"", "at a module's start"),
        (b"\x7fELF", "at a module's start"),
        (_HEAD + b"\2", "failed to parse"),
        (_HEAD + b"\2\xff\xff\xff\xff\xff", "failed to parse"),
        (
            _HEAD + section(2, b"\xff\xff\x7f"),
            f"found 2097151 imports, expected at most {COUNT_MAX}",
        ),
        (_HEAD + section(1, b"abc") + section(7, b"\x91\x4e"), "found 10001 exports"),
    ],
)
def test_modules_with_too_much_to_list_are_refused(wasm: bytes, text: str) -> None:
    with pytest.raises(ModuleFault, match=text):
        check_sections(wasm)


def test_other_modules_are_left_to_the_library() -> None:
    check_sections(_HEAD + section(1, b"abc") + section(7, b"\x90\x4e") + section(2, b"\0"))
    check_sections(_HEAD)
