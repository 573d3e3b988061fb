"""Exchanges beside each other in one database: their layouts, symbols and ids."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from qd_store.errors import UnknownExchange
from qd_store.exchanges import Layout, Pair
from qd_store.imports import FileState, ImportReport, Progress

Importer = Callable[..., ImportReport]
Stored = Callable[[str], list[tuple[int, int, float, float]]]

JANUARY_2024_MS, JANUARY_2025_US = 1_704_067_200_041, 1_735_689_600_017_456
KRAKENS_NEWER = "Price,Volume,Timestamp,Type,OrderType,Misc,TradeID"


def binance_zip(folder: Path, month: str, first: int) -> Path:
    """A month of trades as Binance publishes them."""
    path = folder / f"BTCUSDT-trades-{month}.zip"
    rows = (
        f"{3_316_226_000 + n},{42_314 + n}.5,0.00049,20.73386,{first + n},True,True\n"
        for n in range(3)
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"BTCUSDT-trades-{month}.csv", "".join(rows))
    return path


def symbols(dsn: str) -> list[tuple[str, int, str]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT name, symbol_id, symbol FROM symbol JOIN exchange USING (exchange_id) "
            "ORDER BY exchange_id, symbol_id"
        ).fetchall()


def test_two_exchanges_and_all_their_layouts(
    importer: Importer, stored: Stored, tmp_path: Path, dsn: str
) -> None:
    (tmp_path / "XBTEUR.csv").write_text("1514764802,13873,10\n1514764803,13874,0\n")
    (tmp_path / "XXBTZUSD.csv").write_text(
        f"{KRAKENS_NEWER}\n27000.1,0.5,1688669597.8277369,b,l,,7\n27000.2,1,1688669598.5,s,m,,8\n"
    )
    (tmp_path / "ETHBTC.csv.gz").write_bytes(gzip.compress(b"1514764802.5,0.05,-0.0\n"))
    kraken = importer(tmp_path)
    layouts = {file.symbol: file.layout for file in kraken.files}
    assert layouts == {
        "XBTEUR": "unix_ts,price,volume without header, seconds",
        "XBTUSD": f"{KRAKENS_NEWER} with header, fractional seconds",
        "ETHXBT": "unix_ts,price,volume without header, fractional seconds",
    }
    assert stored("XBTUSD") == [
        (1, 1688669597827736, 27000.1, 0.5),
        (2, 1688669598500000, 27000.2, 1.0),
    ]
    (ether,) = stored("ETHXBT")
    assert repr(ether) == "(1, 1514764802500000, 0.05, 0.0)"  # no minus zero

    months = (
        binance_zip(tmp_path, "2025-01", JANUARY_2025_US),
        binance_zip(tmp_path, "2024-01", JANUARY_2024_MS),
    )
    seen: set[str] = set()

    def look(progress: Progress) -> None:
        seen.add(progress.layout)

    binance = importer(*months, exchange="binance", progress=look)
    assert [file.state for file in binance.files] == [FileState.APPENDED, FileState.IMPORTED]
    assert {text.rpartition(" ")[2] for text in seen if text} == {"milliseconds", "microseconds"}
    times = [JANUARY_2024_MS * 1_000 + n * 1_000 for n in range(3)]
    times += [JANUARY_2025_US + n for n in range(3)]
    assert stored("BTCUSDT") == [
        (sequence, time, 42_314.5 + (sequence - 1) % 3, 0.00049)
        for sequence, time in enumerate(times, 1)
    ]
    found = symbols(dsn)
    assert [row[:2] for row in found] == [
        *(("kraken", number) for number in (1, 2, 3)),
        ("binance", 1),
    ]
    assert {symbol for name, _, symbol in found if name == "kraken"} == set(layouts)


def test_a_market_is_one_whatever_its_files_are_called(
    importer: Importer, stored: Stored, tmp_path: Path, dsn: str
) -> None:
    for time, stem in enumerate(("XBTUSD", "BTCUSD", "XXBTZUSD"), 1514764802):
        (tmp_path / f"{stem}.csv").write_text(f"{time},1,1\n")
    report = importer(tmp_path)
    assert sorted(file.state for file in report.files) == ["appended", "appended", "imported"]
    assert [row[0] for row in stored("XBTUSD")] == [1, 2, 3]
    assert symbols(dsn) == [("kraken", 1, "XBTUSD")]


class Own:
    """An exchange that this program does not know."""

    exchange_id = 77
    name = "own"
    layouts = (Layout("price,volume,when", time=2, price=0, volume=1),)

    def symbol_of_file(self, stem: str) -> str:
        return stem.removeprefix("trades-of-")

    def symbol_of(self, name: str) -> str:
        return name

    def pair_of(self, symbol: str) -> Pair | None:
        return None


def test_an_adapter_of_ones_own(
    importer: Importer, stored: Stored, tmp_path: Path, dsn: str
) -> None:
    path = tmp_path / "trades-of-HERE.csv"
    path.write_text("5,6,1514764802\n")
    for state in (FileState.IMPORTED, FileState.UNCHANGED):
        (file,) = importer(path, exchange=Own()).files
        assert file.state is state
    assert stored("HERE") == [(1, 1514764802000000, 5.0, 6.0)]
    assert symbols(dsn) == [("own", 1, "HERE")]


@pytest.mark.parametrize("entry", [(2, "bitstamp"), (9, "binance")])
def test_another_programs_exchange_is_not_mixed_up(
    importer: Importer, tmp_path: Path, dsn: str, entry: tuple[int, str]
) -> None:
    (tmp_path / "XBTEUR.csv").write_text("1514764802,1,1\n")
    importer(tmp_path)
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO exchange (exchange_id, name) VALUES (%s, %s)", entry)
    path = binance_zip(tmp_path, "2024-01", JANUARY_2024_MS)
    with pytest.raises(UnknownExchange, match=f"{entry[1]} with id {entry[0]}"):
        importer(path, exchange="binance")
    assert symbols(dsn) == [("kraken", 1, "XBTEUR")]
