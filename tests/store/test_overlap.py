"""A later export is compared as a multiset, for any content and any batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_schemas.arrays import TRADE, Rows
from qd_store.errors import SourceRefused
from qd_store.imports import overlap
from qd_store.imports.overlap import compare
from qd_store.imports.rows import RAW

Row = tuple[int, float, float]
ROW = st.tuples(st.integers(1, 9), st.sampled_from([1.0, 2.0]), st.sampled_from([0.0, 0.5]))
ROWS = st.lists(ROW, max_size=40).map(lambda rows: sorted(rows, key=lambda row: row[0]))


def raw(rows: list[Row]) -> Rows:
    return np.array([(*row, line) for line, row in enumerate(rows, 1)], RAW)


def trades(rows: list[Row]) -> Rows:
    return np.array([(sequence, *row) for sequence, row in enumerate(rows, 1)], TRADE)


def cut(rows: Rows, size: int) -> Iterator[Rows]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def reference(file: list[Row], stored: list[Row]) -> tuple[list[Row], list[int]]:
    left, last = Counter(stored), stored[-1][0]
    fresh, older = [], []
    for line, row in enumerate(file, 1):
        if left[row] > 0:
            left[row] -= 1
        elif row[0] < last:
            older.append(line)
        else:
            fresh.append(row)
    return fresh, older


@settings(max_examples=300, deadline=None)
@given(ROWS, ROWS.filter(bool), st.integers(1, 7), st.integers(1, 7))
def test_any_overlap(file: list[Row], stored: list[Row], size: int, stored_size: int) -> None:
    first = file[0][0] if file else 0
    from_first = trades([row for row in stored if row[0] >= first])
    pieces = list(compare(cut(raw(file), size), cut(from_first, stored_size), stored[-1][0]))
    fresh = [tuple(row)[:3] for piece in pieces for row in piece.fresh.tolist()]
    older = sorted(line for piece in pieces for line in piece.older_lines.tolist())
    expected_fresh, expected_older = reference(file, stored)
    assert (fresh, older) == (expected_fresh, expected_older)


def test_stored_trades_after_the_file_are_not_read() -> None:
    read: list[int] = []

    def stored() -> Iterator[Rows]:
        for number in range(1, 1000):
            read.append(number)
            yield trades([(number, 1.0, 1.0)])

    pieces = list(compare(iter([raw([(1, 1.0, 1.0), (2, 9.0, 9.0)])]), stored(), 999))
    assert [line for piece in pieces for line in piece.older_lines.tolist()] == [2]
    assert len(read) <= 4


def test_rows_of_one_time_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "ONE_TIME_ROWS_MAX", 100)
    allowed = [(1, 1.0, 1.0)] * 100
    pieces = list(compare(cut(raw(allowed), 10), cut(trades(allowed), 7), 1))
    assert sum(piece.known for piece in pieces) == 100
    with pytest.raises(SourceRefused, match="more than 100 rows have the time 1 "):
        list(compare(cut(raw(allowed * 2), 10), cut(trades(allowed), 7), 1))
