"""Damage on the disk: found by checksum, named with its offsets, never served, never hidden."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_fluvio.broker.errors import DamagedRecords
from qd_fluvio.broker.files import FilePool
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.policy import LogPolicy
from qd_fluvio.broker.scan import next_good
from qd_fluvio.broker.segment import INDEX_INTERVAL_BYTES
from qd_fluvio.errors import LogError
from qd_fluvio.wire.records import encode_batch
from support.broker import batch_of, opened, values_in

MAX_BYTES = 1 << 20
VALUE_BYTES = 300
BATCH = len(batch_of(b"." * VALUE_BYTES))
PER_FILE = 4


def value(number: int) -> bytes:
    return b"%d" % number + b"." * (VALUE_BYTES - len(str(number)))


def open_log(folder: Path) -> PartitionLog:
    return PartitionLog(folder, LogPolicy(PER_FILE * BATCH))


@contextmanager
def opened_log(folder: Path) -> Iterator[PartitionLog]:
    log = open_log(folder)
    try:
        yield log
    finally:
        asyncio.run(log.close())


def filled(folder: Path, count: int) -> None:
    """A log of so many batches of one record, `PER_FILE` in a file, closed in order."""
    folder.mkdir(exist_ok=True)
    with opened_log(folder) as log:
        for number in range(count):
            log.append(memoryview(bytearray(batch_of(value(number)))))


def change(folder: Path, batch: int, at: int, bit: int = 1) -> None:
    """Flip a bit of one batch; `at` counts from where it begins."""
    path = sorted(folder.glob("*.log"))[batch // PER_FILE]
    content = bytearray(path.read_bytes())
    content[batch % PER_FILE * BATCH + at] ^= bit
    path.write_bytes(content)


def read_all(log: PartitionLog, max_bytes: int = MAX_BYTES) -> tuple[dict[int, bytes], set[int]]:
    """What is served by offset, and the offsets that are refused."""
    found: dict[int, bytes] = {}
    refused: set[int] = set()
    offset = log.start_offset
    while offset < log.end_offset:
        try:
            portion = log.read(offset, max_bytes)
        except DamagedRecords as error:
            lost = range(error.first_offset, error.next_offset)
            refused |= set(lost) if offset in lost else {-1}
            offset = error.next_offset
            continue
        found |= {item.offset: item.value for item in opened(portion.records)}
        offset = portion.next_offset
    return found, refused


# Within a header, its length, its checksum, the records.
PLACES = [0, 7, 8, 11, 16, 17, 22, 26, 57, 61, 80, BATCH - 1]


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("batch", [0, 1, 3, 4, 6])
def test_only_the_damaged_batch_is_refused(
    tmp_path: Path, batch: int, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path, 12)
    change(tmp_path, batch, at, 0x10)
    with opened_log(tmp_path) as log:
        found, refused = read_all(log)
        assert refused == {batch}
        assert found == {number: value(number) for number in range(12) if number != batch}
        with pytest.raises(DamagedRecords, match=f"offsets {batch} to {batch} "):
            log.read(batch, 1)
        assert f"offsets {batch} to {batch} " in caplog.text
        # Any offset beside it is served, wherever one begins.
        for offset in found:
            assert values_in(log.read(offset, 1).records) == [value(offset)]


@given(st.lists(st.tuples(st.integers(0, 19), st.sampled_from(PLACES)), max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_nothing_is_served_changed_and_nothing_left_out_silently(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[int, int]],
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    filled(folder, 20)
    for batch, at in changes:
        change(folder, batch, at, data.draw(st.integers(1, 255)))
    with opened_log(folder) as log:
        max_bytes = data.draw(st.sampled_from([1, 2 * BATCH, MAX_BYTES]))
        for offset in data.draw(st.lists(st.integers(0, 19), max_size=5)):
            try:
                served = opened(log.read(offset, max_bytes).records)
            except DamagedRecords:
                continue
            assert all(item.value == value(item.offset) for item in served)
            assert served[0].offset == offset
        found, refused = read_all(log, max_bytes)
        assert log.end_offset == 20
        assert all(found[number] == value(number) for number in found)
        assert set(found) | refused == set(range(20))
        # Bad batches hide good ones only where they stand on both sides of them.
        assert set(range(20)) - {batch for batch, _ in changes} - set(found) <= {
            number for number in range(20) if {number - 1, number + 1} & {b for b, _ in changes}
        }


def test_damage_before_the_end_of_the_last_file_is_no_torn_tail(tmp_path: Path) -> None:
    filled(tmp_path, 4)
    (tmp_path / "checkpoint").unlink()  # as after a kill
    change(tmp_path, 1, 80)
    with opened_log(tmp_path) as log:
        assert log.end_offset == 4
        found, refused = read_all(log)
        assert (set(found), refused) == ({0, 2, 3}, {1})
        log.append(memoryview(bytearray(batch_of(value(4)))))
        assert set(read_all(log)[0]) == {0, 2, 3, 4}


def test_records_that_look_like_batches_are_not_taken_for_them(tmp_path: Path) -> None:
    inner = bytearray(batch_of(b"not a batch of this log"))
    inner[0:8] = (1).to_bytes(8, "big")
    with opened_log(tmp_path) as log:
        for content in (bytes(inner), b"second"):
            log.append(memoryview(bytearray(batch_of(b"head", content, content))))
    (path,) = tmp_path.glob("*.log")
    raw = bytearray(path.read_bytes())
    raw[58] ^= 1  # the first batch's record count
    path.write_bytes(raw)
    with opened_log(tmp_path) as log:
        with pytest.raises(DamagedRecords, match="offsets 0 to 2 "):
            log.read(0, MAX_BYTES)
        assert values_in(log.read(3, MAX_BYTES).records) == [b"head", b"second", b"second"]


def test_a_file_that_lacks_its_end_is_refused_there(tmp_path: Path) -> None:
    filled(tmp_path, 8)
    path = min(tmp_path.glob("*.log"))
    path.write_bytes(path.read_bytes()[: 2 * BATCH])
    with opened_log(tmp_path) as log:
        found, refused = read_all(log)
        assert (set(found), refused) == ({0, 1, 4, 5, 6, 7}, {2, 3})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, 12)
    sorted(tmp_path.glob("*.log"))[1].unlink()
    with opened_log(tmp_path) as log:
        found, refused = read_all(log)
        assert (set(found), refused) == ({0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7})


def test_a_file_that_goes_while_it_is_read_is_a_clear_error(tmp_path: Path) -> None:
    filled(tmp_path, 8)
    with opened_log(tmp_path) as log:
        min(tmp_path.glob("*.log")).unlink()
        with pytest.raises(LogError, match="No such file"):
            log.read(0, MAX_BYTES)
        assert len(read_all_from(log, 4)) == 4


def read_all_from(log: PartitionLog, offset: int) -> list[bytes]:
    return values_in(log.read(offset, MAX_BYTES).records)


def test_batches_are_checked_once(tmp_path: Path) -> None:
    filled(tmp_path, 12)
    with opened_log(tmp_path) as log:
        found, _ = read_all(log)
        change(tmp_path, 1, 80)
        # Read before and found good: it is not checked again, which would cost each reader.
        assert values_in(log.read(0, MAX_BYTES).records)[1] != value(1)
        assert len(found) == 12
    with opened_log(tmp_path) as log:
        assert read_all(log)[1] == {1}


def test_damage_far_into_a_large_file(tmp_path: Path) -> None:
    count, size = 40, INDEX_INTERVAL_BYTES // 2
    log = PartitionLog(tmp_path, LogPolicy())
    for number in range(count):
        log.append(memoryview(bytearray(batch_of(b"%d" % number + bytes(size)))))
    asyncio.run(log.close())
    (path,) = tmp_path.glob("*.log")
    content = bytearray(path.read_bytes())
    step = len(content) // count
    for number in (7, 8, 30):
        content[number * step + step // 2] ^= 1
    path.write_bytes(content)
    log = PartitionLog(tmp_path, LogPolicy(), files=FilePool(1))
    for offset in (39, 31, 0, 29, 9):
        assert values_in(log.read(offset, 1).records)[0].startswith(b"%d\0" % offset)
    assert read_all(log)[1] == {7, 8, 30}
    asyncio.run(log.close())


@pytest.mark.parametrize("offset", [0, 5, 2**40 - 2, 2**40, 2**62, 2**63 - 10])
@pytest.mark.parametrize("junk", [b"\x02", b"\0", b"\xff", b"\0\0\0\0\x02\0"])
def test_good_batches_are_found_behind_junk(offset: int, junk: bytes) -> None:
    first, second = (encode_batch([(None, b"x")] * 2, base_offset=offset + n) for n in (3, 5))
    data = junk * 500 + first + second
    found = next_good(data, 0, offset, None)
    assert found is not None
    assert (found.start, found.base_offset) == (len(junk) * 500, offset + 3)
    assert next_good(data, 0, offset + 4, None) is None
