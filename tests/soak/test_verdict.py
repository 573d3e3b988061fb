"""The verdict of a soak: a faultless history, and each way in which one can be wrong."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from qd_fluvio import Record
from soak.actors import runs_of
from soak.ledger import (
    ACKNOWLEDGED,
    COMMITTED,
    COMMITTING,
    READ,
    RESUMED,
    Entry,
    Ledger,
    entries_of,
)
from soak.records import Identity, identity_of, record_of
from soak.verdict import judge, pack, unpack

# One producer with two lives: of 10 and 5 records, 8 and 5 of them acknowledged.
PRODUCERS = {
    3: [[Entry(ACKNOWLEDGED, (1, 4)), Entry(ACKNOWLEDGED, (1, 8))], [Entry(ACKNOWLEDGED, (1, 5))]]
}
FIRST, SECOND = (3, 0, 1), (3, 1, 1)
END = 15


def read(offset: int, run: tuple[int, int, int], sequence: int, count: int) -> Entry:
    return Entry(READ, (offset, *run, sequence, count))


def resumed(offset: int) -> Entry:
    return Entry(RESUMED, (offset,))


def committed(offset: int) -> list[Entry]:
    return [Entry(COMMITTING, (offset,)), Entry(COMMITTED, (offset,))]


WHOLE = [resumed(0), read(0, FIRST, 0, 10), read(10, SECOND, 0, 5)]
FAULTLESS = {
    "one life": [WHOLE],
    "resumed after the commit": [
        [resumed(0), read(0, FIRST, 0, 6), *committed(6), read(6, FIRST, 6, 2)],
        [resumed(6), read(6, FIRST, 6, 4), read(10, SECOND, 0, 5)],
    ],
    "the commit was in effect, unconfirmed": [
        [resumed(0), read(0, FIRST, 0, 6), Entry(COMMITTING, (6,))],
        [resumed(6), read(6, FIRST, 6, 4), read(10, SECOND, 0, 5)],
    ],
    "the commit was not in effect": [
        [resumed(0), read(0, FIRST, 0, 6), Entry(COMMITTING, (6,))],
        [resumed(0), read(0, FIRST, 0, 10), read(10, SECOND, 0, 5)],
    ],
    "killed before it began": [[], WHOLE],
}
FAULTY = {
    "stops early": ([WHOLE[:-1]], "read 10 records of 15"),
    "a gap": (
        [[resumed(0), read(0, FIRST, 0, 9), read(10, SECOND, 0, 5)]],
        "read offset 10, expected 9",
    ),
    "an acknowledged record is not there": (
        [[resumed(0), read(0, FIRST, 0, 7), read(7, FIRST, 8, 2), read(9, SECOND, 0, 6)]],
        "read 7 of 8 acknowledged records",
    ),
    "a record is there twice": (
        [[resumed(0), read(0, FIRST, 0, 9), read(9, FIRST, 8, 1), read(10, SECOND, 0, 5)]],
        "after sequence 8",
    ),
    "out of order": (
        [[resumed(0), read(0, FIRST, 5, 5), read(5, FIRST, 0, 5), read(10, SECOND, 0, 5)]],
        "after sequence 9",
    ),
    "forgot a commit": (
        [[resumed(0), read(0, FIRST, 0, 6), *committed(6)], WHOLE],
        "resumed at 0; it had committed 6",
    ),
    "resumed too far": (
        [
            [resumed(0), read(0, FIRST, 0, 10), *committed(6)],
            [resumed(8), read(8, FIRST, 8, 2), read(10, SECOND, 0, 5)],
        ],
        "resumed at 8; it had committed 6",
    ),
    "an offset holds something else the second time": (
        [[resumed(0), read(0, FIRST, 0, 6)], [resumed(0), read(0, SECOND, 0, 5), *WHOLE[:0]]],
        "held another record before",
    ),
}


@pytest.mark.parametrize("lives", FAULTLESS.values(), ids=FAULTLESS)
def test_a_faultless_history(lives: list[list[Entry]]) -> None:
    found = judge(PRODUCERS, {"one": lives, "other": [WHOLE]}, END)
    assert not found.faults
    assert found.counts["acknowledged"] == 13


@pytest.mark.parametrize(("lives", "expected"), FAULTY.values(), ids=FAULTY)
def test_each_fault_is_found(lives: list[list[Entry]], expected: str) -> None:
    found = judge(PRODUCERS, {"one": lives}, END)
    assert any(expected in fault for fault in found.faults), found.faults
    assert found.counts["faults"] >= 1


def test_two_consumers_must_agree() -> None:
    other = [resumed(0), read(0, SECOND, 0, 5), read(5, FIRST, 0, 10)]
    found = judge(PRODUCERS, {"one": [WHOLE], "other": [other]}, END)
    assert any("read other records than one" in fault for fault in found.faults)


def test_identities_as_numbers() -> None:
    for identity in (Identity(0, 0, 0, 0), Identity(255, 4_095, 4_095, 2**32 - 1)):
        assert unpack(pack(identity)) == identity


def test_a_cut_line_of_a_ledger_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    Ledger(path).note((READ, 0, 1), (COMMITTED, 12))
    path.write_bytes(path.read_bytes()[:-1])
    assert entries_of(path) == [Entry(READ, (0, 1))]
    assert entries_of(tmp_path / "never began") == []


def test_a_changed_record_is_found() -> None:
    identity, rng = Identity(1, 2, 3, 4), random.Random(1)
    value = next(value for value in iter(lambda: record_of(identity, rng), b"") if len(value) > 99)
    assert identity_of(value) == identity
    for changed in (value[:-1], value + b"0", value[:50] + bytes([value[50] ^ 1]) + value[51:]):
        with pytest.raises(ValueError, match="unchanged"):
            identity_of(changed)


def test_runs_end_where_offset_or_identity_jumps() -> None:
    values = {
        (run, sequence): record_of(Identity(*run, sequence), random.Random(2))
        for run in (FIRST, SECOND)
        for sequence in range(9)
    }
    order = [(0, FIRST, 0), (1, FIRST, 1), (2, SECOND, 0), (3, SECOND, 2), (5, SECOND, 3)]
    records = [Record(offset, -1, None, values[run, number]) for offset, run, number in order]
    assert list(runs_of(records)) == [
        (0, *FIRST, 0, 2),
        (2, *SECOND, 0, 1),
        (3, *SECOND, 2, 1),
        (5, *SECOND, 3, 1),
    ]
