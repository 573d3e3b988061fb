"""The queries of store/sql, run by psql, give what numpy makes of the same trades."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qd_schemas.arrays import Rows
from qd_schemas.bars import Resampler
from qd_schemas.enums import Resolution
from qd_store.administration.psql import psql_call
from qd_store.imports import import_paths
from support.databases import fresh_database
from support.markets import generated, write_csv

FOLDER = Path(__file__).resolve().parents[3] / "store" / "sql"
TRADES = {"XBTUSD": generated(1, 8_000), "XBTEUR": generated(2, 3_000), "ETHXBT": generated(3, 40)}
TRADES["XBTEUR"]["volume"][100:900] = 0.0  # some days without any volume
QUERIES = {path.stem for path in FOLDER.glob("*.sql")}

Ask = Callable[..., list[dict[str, str]]]


@pytest.fixture(scope="module")
def ask(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Run one of the files with variables; the rows by column, as psql writes them."""
    folder = tmp_path_factory.mktemp("queries")
    for symbol, rows in TRADES.items():
        write_csv(rows, folder / f"{symbol}.csv")
    with fresh_database(database_dsn) as dsn:
        import_paths(dsn, [folder], rejects_folder=folder / "rejects", parallel=1)

        def run(name: str, **variables: str) -> list[dict[str, str]]:
            given = [f"--set={key}={value}" for key, value in variables.items()]
            call = psql_call(
                dsn, ["--csv", "--no-psqlrc", "-f", str(FOLDER / f"{name}.sql"), *given]
            )
            # Answers are in UTC wherever the user is.
            env = {**os.environ, **call.environment, "PGTZ": "Asia/Tokyo"}
            done = subprocess.run(
                call.arguments, env=env, capture_output=True, text=True, check=True
            )
            assert done.stderr == ""
            return list(csv.DictReader(done.stdout.splitlines()))

        yield run


def days(rows: Rows) -> NDArray[np.str_]:
    return rows["time"].view("datetime64[us]").astype("datetime64[D]").astype(str)


def stamp(time: int) -> str:
    """A time as psql writes it; all of them are whole seconds."""
    return str(np.datetime64(time // 1_000_000, "s")).replace("T", " ")


def test_every_file_is_documented_and_tested() -> None:
    here = Path(__file__).read_text()
    for name in QUERIES:
        text = (FOLDER / f"{name}.sql").read_text()
        assert text.startswith("-- ")
        assert f"--   qd db psql -f store/sql/{name}.sql" in text
        assert f'ask("{name}"' in here
    assert len(QUERIES) >= 8


def test_symbols(ask: Ask) -> None:
    found = {
        row["symbol"]: (row["exchange"], row["symbol_id"], row["market"]) for row in ask("symbols")
    }
    ids = {row[1] for row in found.values()}
    assert found.keys() == TRADES.keys()
    assert ids == {"1", "2", "3"}
    assert all(row == ("kraken", row[1], str(65_536 + int(row[1]))) for row in found.values())


def test_rows_per_market(ask: Ask) -> None:
    found = ask("rows_per_market")
    assert [row["symbol"] for row in found] == sorted(TRADES)
    total = sum(len(rows) for rows in TRADES.values())
    for row in found:
        rows = TRADES[row["symbol"]]
        times = np.array([row["first"], row["last"]], "datetime64[us]").astype(np.int64)
        assert (int(row["trades"]), *times) == (len(rows), rows["time"][0], rows["time"][-1])
        assert float(row["percent"]) == round(100 * len(rows) / total, 3)


def test_most_and_least_traded(ask: Ask) -> None:
    by_count = sorted(TRADES, key=lambda symbol: len(TRADES[symbol]))
    assert [row["symbol"] for row in ask("least_traded")] == by_count
    most = ask("most_traded", limit="2")
    assert [(row["symbol"], int(row["trades"])) for row in most] == [
        (symbol, len(TRADES[symbol])) for symbol in by_count[:0:-1]
    ]


def test_best_volume_days(ask: Ask) -> None:
    resampler = Resampler(Resolution.D1)
    bars = np.concatenate((resampler.feed(TRADES["XBTUSD"]), resampler.finish()))
    best = bars[np.argsort(-bars["volume"], kind="stable")][:10]
    found = ask("best_volume_days")
    assert [row["day"] for row in found] == list(days(best))
    for name in ("volume", "low", "high"):
        assert [float(row[name]) for row in found] == best[name].tolist()
    assert len(ask("best_volume_days", symbol="XBTEUR", limit="3")) == 3


def test_trades_between(ask: Ask) -> None:
    rows = TRADES["XBTEUR"]
    first, last = int(rows["time"][50]), int(rows["time"][90])
    expected = rows[(rows["time"] >= first) & (rows["time"] < last)]
    span = {"from": stamp(first), "to": stamp(last)}
    found = ask("trades_between", symbol="XBTEUR", **span)
    assert [int(row["sequence"]) for row in found] == expected["sequence"].tolist()
    assert [row["time"] for row in found] == [stamp(int(time)) for time in expected["time"]]
    for name in ("price", "volume"):
        assert [float(row[name]) for row in found] == expected[name].tolist()
    assert len(ask("trades_between", symbol="ETHXBT")) == 40
    assert ask("trades_between", symbol="ETHXBT", exchange="nasdaq") == []


@pytest.mark.parametrize("symbol", ["XBTUSD", "XBTEUR"])
def test_resampling_by_year(ask: Ask, symbol: str) -> None:
    resampler = Resampler(Resolution.Y1)
    bars = np.concatenate((resampler.feed(TRADES[symbol]), resampler.finish()))
    found = ask("years", symbol=symbol)
    assert [int(row["year"]) for row in found] == [int(day[:4]) for day in days(bars)]
    for name in ("open", "high", "low", "close", "volume"):
        assert [float(row[name]) for row in found] == bars[name].tolist()
    assert sum(int(row["trades"]) for row in found) == len(TRADES[symbol])


def test_vwap(ask: Ask) -> None:
    rows = TRADES["XBTEUR"]
    every = days(rows)
    found = ask("vwap", symbol="XBTEUR")
    assert [row["day"] for row in found] == sorted(set(every))
    for row in found:
        of_day = rows[every == row["day"]]
        value = np.cumsum(of_day["price"] * of_day["volume"])[-1]  # from left to right
        volume = np.cumsum(of_day["volume"])[-1]
        assert int(row["trades"]) == len(of_day)
        assert float(row["volume"]) == volume
        assert row["vwap"] == "" if volume == 0 else float(row["vwap"]) == value / volume
    assert "" in [row["vwap"] for row in found]
    span = {"from": found[3]["day"], "to": found[5]["day"]}
    assert ask("vwap", symbol="XBTEUR", **span) == found[3:5]
