"""What is wrong in a database is found, said, and repaired where it follows from the trades."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qd_schemas.arrays import Rows
from qd_store.administration.check import CheckProgress, check_markets, repair_markets
from qd_store.administration.soundness import EXAMPLES_MAX, Problem
from qd_store.errors import CheckStopped, SchemaMismatch, UnknownMarket
from qd_store.imports import import_paths
from qd_store.migrate import migrate
from qd_store.tables import BAR_TABLES, RefreshProgress, TableKind, kind_of
from support.databases import fresh_database
from support.markets import generated, write_csv

COUNT = 9_000  # two marks, and some chunks
OTHER = 500
DAY = "time >= '2013-10-20' AND time < '2013-10-21'"


@contextlib.contextmanager
def database_of(server_dsn: str, folder: Path, trades: dict[str, Rows]) -> Iterator[str]:
    folder.mkdir(exist_ok=True)
    for symbol, rows in trades.items():
        write_csv(rows, folder / f"{symbol}.csv")
    with fresh_database(server_dsn) as dsn:
        import_paths(dsn, [folder], rejects_folder=folder / "rejects", parallel=1)
        yield dsn


@pytest.fixture(scope="module")
def dsn(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two markets; each test leaves them sound."""
    trades = {"XBTUSD": generated(1, COUNT), "XBTEUR": generated(2, OTHER)}
    with database_of(database_dsn, tmp_path_factory.mktemp("check"), trades) as found:
        yield found


def spoil(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


MARKET = "market = (SELECT market FROM symbol WHERE symbol = 'XBTUSD')"
ULP = "SET volume = volume * (1 + 2.220446049250313e-16::float8)"
DERIVED = [
    (Problem.MARK, f"DELETE FROM trade_mark WHERE sequence = 8193 AND {MARKET}"),
    (
        Problem.MARK,
        f"UPDATE trade_mark SET time = time + interval '1 us' WHERE sequence = 1 AND {MARKET}",
    ),
    (
        Problem.MARK,
        "INSERT INTO trade_mark SELECT market, 7, first_time FROM symbol WHERE symbol = 'XBTUSD'",
    ),
    (Problem.COUNT, f"UPDATE symbol SET first_time = last_time WHERE {MARKET}"),
    (Problem.COUNT, f"UPDATE symbol SET last_time = NULL WHERE {MARKET}"),
    (Problem.COUNT, f"UPDATE symbol SET bars_time = first_time WHERE {MARKET}"),
    (Problem.COUNT, f"UPDATE symbol SET trades = trades - 1, bars_sequence = 0 WHERE {MARKET}"),
    *(
        (Problem.BAR, f"UPDATE {table} {ULP} WHERE {MARKET} AND volume > 0")
        for table in BAR_TABLES.values()
    ),
    (Problem.BAR, f"UPDATE bar_1d SET last_sequence = last_sequence + 1 WHERE {MARKET} AND {DAY}"),
    (Problem.BAR, f"DELETE FROM bar_1d WHERE {MARKET} AND {DAY}"),
    (Problem.BAR, "DELETE FROM bar_1y"),
    (Problem.BAR, f"UPDATE bar_15m SET time = time + interval '1 us' WHERE {MARKET} AND {DAY}"),
]


@pytest.mark.parametrize(("problem", "statement"), DERIVED)
def test_what_follows_from_trades_is_found_and_repaired(
    dsn: str, problem: Problem, statement: str
) -> None:
    spoil(dsn, statement)
    reports = list(check_markets(dsn))
    found = {each.symbol: each for each in reports}["XBTUSD"]
    assert set(found.counts) == {problem}
    assert 1 <= len(found.texts[problem]) <= EXAMPLES_MAX
    assert found.is_repairable
    assert all(each.is_sound for each in repair_markets(dsn, reports))
    after = list(check_markets(dsn))
    assert [(each.symbol, each.rows, each.counts) for each in after] == [
        ("XBTEUR", OTHER, {}),
        ("XBTUSD", COUNT, {}),
    ]


def test_a_repair_leaves_other_markets_alone(dsn: str) -> None:
    """But on TimescaleDB, whose aggregates are made for all markets at once."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        if kind_of(connection) is TableKind.TIMESCALEDB:
            pytest.skip("of plain tables")
        of_other = (
            "SELECT bar_1m.xmin::text, bar_1m.ctid::text FROM bar_1m JOIN symbol USING (market) "
            "WHERE symbol = 'XBTEUR'"
        )
        before = connection.execute(of_other).fetchall()
        spoil(dsn, f"DELETE FROM bar_1d WHERE {MARKET} AND {DAY}")
        told: list[RefreshProgress] = []
        repaired = repair_markets(dsn, list(check_markets(dsn)), progress=told.append)
        assert [(each.symbol, each.is_sound) for each in repaired] == [("XBTUSD", True)]
        assert connection.execute(of_other).fetchall() == before
    assert (told[-1].done, told[-1].total) == (COUNT, COUNT)


def test_bars_of_a_market_that_has_no_trades_go(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        if kind_of(connection) is TableKind.TIMESCALEDB:
            pytest.skip("of plain tables")
    spoil(
        dsn,
        "INSERT INTO symbol (exchange_id, symbol_id, symbol) VALUES (1, 900, 'NONE')",
        "INSERT INTO bar_1d SELECT 66436, time, 1, 1, 1, 1, 1, 1, 1 FROM bar_1d LIMIT 1",
    )
    reports = list(check_markets(dsn, symbols=["NONE"]))
    assert [set(each.counts) for each in reports] == [{Problem.BAR}]
    assert [each.counts for each in repair_markets(dsn, reports)] == [{}]
    spoil(dsn, "DELETE FROM symbol WHERE symbol = 'NONE'")


TRADES = [
    (Problem.SEQUENCE, "DELETE FROM trade WHERE sequence BETWEEN 50 AND 60 AND {}",
     "sequences 50 to 60 are missing before 61"),
    (Problem.SEQUENCE, "DELETE FROM trade WHERE sequence = 1 AND {}",
     "sequence 1 is missing before 2"),
    (Problem.SEQUENCE, "DELETE FROM trade WHERE sequence > 295 AND {}",
     "sequences 296 to 300 are not there"),
    (Problem.SEQUENCE, "UPDATE trade SET sequence = 70 WHERE sequence = 71 AND {}", "71"),
    (Problem.ORDER, "UPDATE trade SET time = time - interval '2 days' WHERE sequence = 200 AND {}",
     "comes after sequence"),
    (Problem.VALUE, "UPDATE trade SET price = 'NaN' WHERE sequence = 90 AND {}",
     "sequence 90 has price nan"),
    (Problem.VALUE, "UPDATE trade SET price = 0 WHERE sequence = 90 AND {}", "price 0.0"),
    (Problem.VALUE, "UPDATE trade SET volume = '-0' WHERE sequence = 90 AND {}", "volume -0.0"),
]  # fmt: skip


def test_trades_that_are_wrong_are_told_and_never_repaired(
    database_dsn: str, tmp_path: Path
) -> None:
    """Each market is spoiled in one way."""
    trades = {f"M{number}": generated(number, 300) for number in range(len(TRADES))}
    with database_of(database_dsn, tmp_path, trades) as dsn:
        for number, (_, statement, _) in enumerate(TRADES):
            market = f"market = (SELECT market FROM symbol WHERE symbol = 'M{number}')"
            spoil(dsn, statement.format(market))
        reports = list(check_markets(dsn))
        for report, (problem, _, text) in zip(reports, TRADES, strict=True):
            assert problem in report.counts
            assert text in " ".join(report.texts[problem])
            assert not report.is_repairable
        assert repair_markets(dsn, reports) == []


def test_bars_that_are_behind_are_right_as_far_as_they_are_final(dsn: str) -> None:
    spoil(
        dsn,
        "UPDATE symbol SET (bars_sequence, bars_time) = (SELECT sequence, time FROM trade "
        f"WHERE sequence = 7000 AND {MARKET}) WHERE {MARKET}",
    )
    (report,) = check_markets(dsn, symbols=["XBTUSD"])
    assert report.is_sound
    spoil(
        dsn,
        f"DELETE FROM bar_1h WHERE {MARKET} AND time >= (SELECT date_trunc('hour', bars_time) "
        f"FROM symbol WHERE {MARKET})",
        f"DELETE FROM bar_1y WHERE {MARKET}",
    )
    (report,) = check_markets(dsn, symbols=["XBTUSD"])
    assert report.is_sound
    spoil(dsn, f"DELETE FROM bar_1h WHERE {MARKET} AND {DAY}")
    (report,) = check_markets(dsn, symbols=["XBTUSD"])
    assert report.counts.keys() == {Problem.BAR}
    (report,) = repair_markets(dsn, [report])
    assert report.is_sound


def test_rows_of_no_symbol(dsn: str) -> None:
    spoil(dsn, "INSERT INTO trade_mark VALUES (999, 1, now())")
    report = list(check_markets(dsn))[-1]
    assert (report.symbol, report.is_sound) == ("market 999", False)
    assert not report.is_repairable
    assert repair_markets(dsn, [report]) == []
    spoil(dsn, "DELETE FROM trade_mark WHERE market = 999")


def test_an_import_meanwhile_disturbs_no_check(database_dsn: str, tmp_path: Path) -> None:
    longer = tmp_path / "longer" / "XBTUSD.csv"
    longer.parent.mkdir()
    write_csv(generated(1, COUNT), longer)

    shorter = {"XBTUSD": generated(1, COUNT)[:4_000]}
    with database_of(database_dsn, tmp_path / "first", shorter) as own:

        def meanwhile(_: CheckProgress) -> None:
            if longer.exists():
                import_paths(own, [longer], rejects_folder=tmp_path)
                longer.unlink()

        reports = [*check_markets(own, progress=meanwhile), *check_markets(own)]
    assert [each.counts for each in reports] == [{}, {}]
    assert reports[1].rows == COUNT


def test_progress_reaches_the_end_and_can_be_stopped(dsn: str) -> None:
    seen: list[CheckProgress] = []
    list(check_markets(dsn, progress=seen.append))
    assert (seen[-1].market, seen[-1].markets) == (2, 2)
    assert seen[-1].rows == seen[-1].rows_total == COUNT + OTHER
    stop = threading.Event()
    stop.set()
    with pytest.raises(CheckStopped):
        list(check_markets(dsn, stop=stop))


def test_what_cannot_be_checked(database_dsn: str, dsn: str) -> None:
    with pytest.raises(UnknownMarket, match="NOPE"):
        list(check_markets(dsn, symbols=["XBTUSD", "NOPE"]))
    with fresh_database(database_dsn) as empty:
        with pytest.raises(SchemaMismatch, match="lacks qd's tables"):
            list(check_markets(empty))
        with psycopg.connect(empty, autocommit=True) as connection:
            migrate(connection, TableKind.PLAIN)
        assert list(check_markets(empty)) == []
