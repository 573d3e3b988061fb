"""Rows as pandas, polars and Arrow tables: values, types, whose memory; and what is missing."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from qd_client import LibraryMissing, UsageError, to_arrow, to_pandas, to_polars
from qd_client.frames import maker_of
from qd_schemas.arrays import Rows
from support.replays import bars_at, trades_at

TIMES = [-1, 0, 1_388_534_390_123_456]
WHEN = [
    datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2013, 12, 31, 23, 59, 50, 123_456, UTC),
]
BOTH = [trades_at(TIMES), bars_at(TIMES)]


def columns(rows: Rows) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {n: rows[n].tolist() for n in rows.dtype.names or ()}
    return {**found, "time": [*WHEN]}


@pytest.mark.parametrize("rows", BOTH, ids=["trades", "bars"])
def test_pandas_looks_at_the_arrays_own_memory(rows: Rows) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = to_pandas(rows)
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    for name, values in columns(rows).items():
        found = frame[name].tolist()
        assert found == [pandas.Timestamp(v) for v in WHEN] if name == "time" else values
        if name != "time":
            assert np.shares_memory(frame[name].to_numpy(), rows)
    rows.flags.writeable = False
    try:
        read_only = to_pandas(rows)
    finally:
        rows.flags.writeable = True
    read_only.loc[0, "volume"] = 7.0
    assert read_only["volume"][0] == 7.0
    assert rows["volume"][0] == 0.0


@pytest.mark.parametrize("rows", BOTH, ids=["trades", "bars"])
def test_arrow(rows: Rows) -> None:
    table = to_arrow(rows)
    assert table.to_pydict() == columns(rows)
    assert table.schema.field("time").type == pa.timestamp("us", tz="UTC")
    assert table.validate(full=True) is None
    assert to_arrow(rows[:0]).num_rows == 0


@pytest.mark.parametrize("rows", BOTH, ids=["trades", "bars"])
def test_polars(rows: Rows) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = to_polars(rows)
    assert frame.to_dict(as_series=False) == columns(rows)
    assert frame.schema["time"] == polars.Datetime("us", "UTC")


def test_what_has_no_columns_is_refused() -> None:
    with pytest.raises(UsageError, match="has no columns"):
        to_arrow(np.zeros(3))  # type: ignore[arg-type]  # which a user may pass
    with pytest.raises(UsageError, match="frame is 'panda'; expected None or one of pandas"):
        maker_of("panda")  # type: ignore[arg-type]  # which a user may write


def test_a_missing_library_is_named_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("pandas", "polars", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)  # as where it is not installed
    for make, name in ((to_pandas, "pandas"), (to_polars, "polars"), (to_arrow, "pyarrow")):
        with pytest.raises(LibraryMissing, match=f"pip install {name}"):
            make(trades_at([1]))
    with pytest.raises(LibraryMissing):
        maker_of("pandas")
    rows = trades_at([1])
    assert maker_of(None)(rows) is rows


def test_no_library_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, qd_client; [getattr(qd_client, name) for name in qd_client.__all__]; "
        "sys.exit(repr([n for n in ('pandas', 'polars', 'pyarrow', 'matplotlib') "
        "if n in sys.modules]).replace('[]', '') or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
