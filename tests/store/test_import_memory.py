"""The memory of an import is the same for a file and for one four times as long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from qd_schemas.arrays import Rows
from support.forks import ForkServer
from support.markets import generated

ROWS, TIMES = 150_000, 4
GROWTH_MAX = 1.15  # 1.05 is usual; to hold the rows as they are parsed makes 1.3
ATTEMPTS = 3


def write(rows: Rows, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"time": rows["time"] // 1_000_000, "price": rows["price"], "volume": rows["volume"]}
    options = pa_csv.WriteOptions(include_header=False)
    pa_csv.write_csv(pa.table(columns), path, options)
    return path


def files(folder: Path, symbol: str, count: int, shape: str) -> list[Path]:
    """What is imported before, if anything, and what is measured."""
    rows = generated(seed=3, count=count)
    rows["time"] = rows["time"][0] + (rows["time"] - rows["time"][0]) // 60  # seconds apart
    path = folder / f"{symbol}.csv"
    match shape:
        case "in order":
            return [write(rows, path)]
        case "out of order":
            return [write(np.random.default_rng(4).permutation(rows), path)]
        case _:  # a later export of what is stored but for the last row
            return [write(rows[:-1], folder / "before" / path.name), write(rows, path)]


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["in order", "out of order", "a later export"])
def test_memory_does_not_grow_with_the_file(dsn: str, tmp_path: Path, shape: str) -> None:
    small, large = 0, 2**63
    with ForkServer("support.killed_imports") as server:
        for attempt in range(ATTEMPTS):  # an allocator's whims add to one or the other
            used = []
            for times in (1, TIMES):
                symbol, count = f"M{times}N{attempt}", ROWS * times
                for path in files(tmp_path, symbol, count, shape):
                    measured = server.run(
                        "import_and_measure", dsn=dsn, paths=[str(path)], rejects=str(tmp_path)
                    ).answer
                assert measured["rows"] == (1 if shape == "a later export" else count)
                used.append(measured["peak"] - measured["base"])
            small, large = max(small, used[0]), min(large, used[1])
            if large < GROWTH_MAX * small:
                return
    raise AssertionError(f"{small} bytes became {large} for a file {TIMES} times as long")
