"""The external sort is stable and complete for any order, run and window length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_store.imports import sorting
from qd_store.imports.rows import RAW
from qd_store.imports.sorting import SortedSpill


def merged(times: list[int], run_rows: int, block_rows: int) -> list[tuple[int, int]]:
    rows = np.zeros(len(times), RAW)
    rows["time"] = times
    rows["line"] = np.arange(len(times))
    with SortedSpill(run_rows=run_rows) as spill:
        for start in range(0, len(rows), block_rows):
            spill.add(rows[start : start + block_rows])
        parts = list(spill.merged())
    found = np.concatenate([np.empty(0, RAW), *parts])
    return list(zip(found["time"].tolist(), found["line"].tolist(), strict=True))


def expected(times: list[int]) -> list[tuple[int, int]]:
    return sorted(((time, line) for line, time in enumerate(times)), key=lambda row: row[0])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 12), max_size=80),
    st.integers(1, 20),
    st.integers(1, 9),
    st.integers(1, 4),
)
def test_any_order(times: list[int], run_rows: int, block_rows: int, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "WINDOW_ROWS_MIN", window)
        patch.setattr(sorting, "WINDOW_ROWS_MAX", window)
        assert merged(times, run_rows, block_rows) == expected(times)


@pytest.mark.parametrize("order", ["sorted", "reversed", "equal", "random"])
def test_many_runs(order: str) -> None:
    values = {
        "sorted": np.arange(50_000),
        "reversed": np.arange(50_000)[::-1],
        "equal": np.zeros(50_000, np.int64),
        "random": np.random.default_rng(7).integers(0, 5_000, 50_000),
    }[order]
    assert merged(values.tolist(), 1_000, 777) == expected(values.tolist())


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    with SortedSpill(tmp_path, run_rows=10) as spill:
        spill.add(np.zeros(100, RAW))
        assert list(tmp_path.iterdir()) == []
        assert sum(len(rows) for rows in spill.merged()) == 100
