"""Real trades: what is stored equals the files, sorted, to the last digit."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from qd_schemas.arrays import Rows
from qd_store import Store
from qd_store.imports import FileState, ImportReport

Importer = Callable[..., ImportReport]
Collect = Callable[..., Awaitable[Rows]]

ROWS = {
    "BCHEUR": 148,
    "XBTCAD": 33_497,
    "XBTCHF": 8_106,
    "XBTEUR": 62_159,
    "XBTROCK": 12_372,
    "XBTRUB": 5_682,
    "XBTSEK": 50_464,
    "XBTUSD": 100_000,
    "XBTUSDGOX": 96_169,
}


def sorted_file(path: Path) -> list[tuple[int, float, float]]:
    """The file's trades by Python alone; all its times are whole seconds."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    cells = [line.split(",") for line in text.decode().splitlines()]
    rows = [
        (int(row[0]) * 1_000_000, float(row[1]), float(row[2]))
        for row in cells
        if len(row) == 3 and row[0].isdigit()
    ]
    return sorted(rows, key=lambda row: row[0])


async def test_all_markets(
    shared_data: Path, importer: Importer, store: Store, collect: Collect
) -> None:
    report = importer(shared_data / "trades")
    assert {file.symbol: file.rows for file in report.files} == ROWS
    assert {file.symbol: file.rejected for file in report.files if file.rejected} == {
        "XBTUSDGOX": 1
    }
    markets = await store.markets(1)
    assert {market.symbol: market.trades for market in markets} == ROWS
    for market in markets:
        (path,) = (shared_data / "trades").glob(f"{market.symbol}.csv*")
        found = await collect(market)
        assert found[["time", "price", "volume"]].tolist() == sorted_file(path)
        assert (found["sequence"] == np.arange(1, market.trades + 1)).all()


async def test_a_genuine_update(
    shared_data: Path, importer: Importer, store: Store, collect: Collect
) -> None:
    files = [shared_data / folder / "BCHEUR.csv" for folder in ("trades", "trades_update")]
    importer(files[0])
    (market,) = await store.markets(1)
    before = await collect(market)
    states = [importer(path).files[0].state for path in (files[1], files[1], files[0])]
    assert states == [FileState.APPENDED, FileState.UNCHANGED, FileState.UNCHANGED]
    (market,) = await store.markets(1)
    after = await collect(market)
    assert (market.trades, len(after)) == (634, 634)
    assert after[: len(before)].tolist() == before.tolist()
    assert after[["time", "price", "volume"]].tolist() == sorted_file(files[0]) + sorted_file(
        files[1]
    )


async def test_milliseconds_are_exact(
    shared_data: Path, importer: Importer, store: Store, collect: Collect
) -> None:
    path = shared_data / "trades_large" / "XBTUSDM.csv.gz"
    if not path.exists():
        pytest.skip("no large file in ../shared/data")
    importer(path)
    (market,) = await store.markets(1)
    found = await collect(market, end_time=market.first_time + 3_600_000_000)
    with gzip.open(path, "rt") as file:
        texts = [next(file).split(",")[0].split(".") for _ in range(len(found))]
    exact = [int(whole) * 1_000_000 + int(part.ljust(6, "0")) for whole, part in texts]
    assert found["time"].tolist() == exact
    assert found["time"][0] == 1514764802610000
