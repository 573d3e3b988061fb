"""Files into tables: order, rejects, repeats, updates, several at once, stopping."""

from __future__ import annotations

import csv
import gzip
import random
import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from qd_store.errors import ImportStopped, QueryFailed, SourceUnreadable, UnknownExchange
from qd_store.imports import FileResult, FileState, ImportReport, Progress, import_paths
from qd_store.tables import MarketTables
from qd_store.tables import Stored as StoredMarket

Importer = Callable[..., ImportReport]
Stored = Callable[[str], list[tuple[int, int, float, float]]]
START = 1514764802


def only(report: ImportReport) -> FileResult:
    (result,) = report.files
    return result


def write(path: Path, rows: Sequence[tuple[object, object, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{time},{price},{volume}\n" for time, price, volume in rows))
    return path


def generated(count: int, seed: int = 1) -> list[tuple[object, object, object]]:
    chance = random.Random(seed)
    time, rows = START, []
    for _ in range(count):
        time += chance.choice([0, 0, 1, 5, 60])
        rows.append((time, f"{chance.uniform(1, 900):.5f}", f"{chance.expovariate(1):.8f}"))
    return rows  # type: ignore[return-value]


def as_stored(rows: list[tuple[object, object, object]]) -> list[tuple[int, int, float, float]]:
    exact = [(int(str(t)) * 1_000_000, float(str(p)), float(str(v))) for t, p, v in rows]
    exact.sort(key=lambda row: row[0])  # stable
    return [(sequence, *row) for sequence, row in enumerate(exact, 1)]


def test_a_sorted_file(importer: Importer, stored: Stored, tmp_path: Path, dsn: str) -> None:
    rows = generated(5000)
    result = only(importer(write(tmp_path / "XBTEUR.csv", rows)))
    assert (result.symbol, result.state, result.rows, result.rejected) == (
        "XBTEUR",
        FileState.IMPORTED,
        5000,
        0,
    )
    assert stored("XBTEUR") == as_stored(rows)
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT trades, extract(epoch FROM first_time)::bigint, "
            "extract(epoch FROM last_time)::bigint FROM symbol"
        ).fetchall()
    assert found == [(5000, rows[0][0], rows[-1][0])]


def test_rows_out_of_order_are_sorted_and_equal_times_keep_their_order(
    importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    rows = generated(5000)
    random.Random(2).shuffle(rows)
    result = only(importer(write(tmp_path / "XBTEUR.csv", rows)))
    assert result.rows == 5000
    assert stored("XBTEUR") == as_stored(rows)


def test_order_lost_late_in_a_file_of_many_blocks(
    importer: Importer, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qd_store.imports.sources.BLOCK_BYTES", 10_000)
    rows = generated(5000)
    rows[10:10] = [("bad", "row", "here")]
    rows.append((START, "7", "0"))
    result = only(importer(write(tmp_path / "XBTEUR.csv", rows)))
    assert (result.rows, result.rejected) == (5001, 1)  # counted once, though read twice
    del rows[10]
    assert stored("XBTEUR") == as_stored(rows)


def test_rejects_are_counted_and_written(importer: Importer, tmp_path: Path) -> None:
    path = tmp_path / "XBTEUR.csv"
    path.write_text(
        "430000\n" + "1514764802,5,1\n" * 9 + "1514764802,-5,1\n1514764802,5,nan\nx,y,z\n"
    )
    result = only(importer(path))
    assert (result.rows, result.rejected) == (9, 4)
    assert result.reasons == {
        "wrong number of columns": 1,
        "price not above zero": 1,
        "not finite": 1,
        "not a number": 1,
    }
    assert result.rejects is not None
    with result.rejects.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["file", "line", "reason", "text"]
    assert sorted(lines, key=lambda line: int(line[1])) == [
        [str(path), "1", "wrong number of columns", "430000"],
        [str(path), "11", "price not above zero", "1514764802,-5,1"],
        [str(path), "12", "not finite", "1514764802,5,nan"],
        [str(path), "13", "not a number", "x,y,z"],
    ]
    assert [found.name for found in result.rejects.parent.iterdir()] == [result.rejects.name]
    again = only(importer(path))
    assert (again.state, again.rejected, again.rejects) == (
        FileState.UNCHANGED,
        4,
        result.rejects,
    )


def test_a_commit_that_fails_leaves_no_file_of_refused_lines(
    importer: Importer, stored: Stored, tmp_path: Path, dsn: str
) -> None:
    importer(write(tmp_path / "AAA.csv", generated(1)))
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE 'not today'; END $$"
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON import_file"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()"
        )
    with pytest.raises(QueryFailed, match="not today"):
        importer(write(tmp_path / "XBTEUR.csv", [*generated(9), ("x", "y", "z")]))
    assert list((tmp_path / "rejects").iterdir()) == []
    assert stored("XBTEUR") == []


def test_the_same_file_again_changes_nothing(
    importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    path = write(tmp_path / "XBTEUR.csv", generated(1000))
    importer(path)
    before = stored("XBTEUR")
    packed = tmp_path / "packed" / "XBTEUR.csv.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for again in (path, packed):
        result = only(importer(again))
        assert (result.state, result.rows, result.known) == (FileState.UNCHANGED, 0, 1000)
    assert stored("XBTEUR") == before


def test_a_later_export_adds_what_is_new(
    importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    rows = generated(3000)
    # Cut within one time, which the older file has in part.
    at = next(i for i in range(1500, 3000) if rows[i][0] == rows[i - 1][0])
    importer(write(tmp_path / "old" / "XBTEUR.csv", rows[:at]))
    result = only(importer(write(tmp_path / "new" / "XBTEUR.csv", rows[700:])))
    assert (result.state, result.rows, result.known, result.rejected) == (
        FileState.APPENDED,
        3000 - at,
        at - 700,
        0,
    )
    assert stored("XBTEUR") == as_stored(rows)
    whole = only(importer(write(tmp_path / "all" / "XBTEUR.csv", rows)))
    assert (whole.state, whole.rows, whole.known) == (FileState.UNCHANGED, 0, 3000)
    assert stored("XBTEUR") == as_stored(rows)


def test_rows_older_than_the_stored_ones_are_rejected(
    importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    rows = generated(100)
    importer(write(tmp_path / "old" / "XBTEUR.csv", rows))
    later = (int(str(rows[-1][0])) + 60, "5", "1")
    other: list[tuple[object, object, object]] = [(START - 5, "1", "1"), rows[3], rows[3], later]
    result = only(importer(write(tmp_path / "new" / "XBTEUR.csv", other)))
    assert (result.rows, result.known, result.rejected) == (1, 1, 2)
    assert result.reasons == {"older than the stored trades and not among them": 2}
    assert result.rejects is not None
    with result.rejects.open(newline="") as file:
        lines = [line[1::2] for line in list(csv.reader(file))[1:]]
    assert lines == [
        ["1", f"{START - 5},1,1"],
        ["3", "{},{},{}".format(*rows[3])],
    ]
    assert stored("XBTEUR") == as_stored([*rows, later])


def test_files_of_one_market_go_in_by_their_time(
    importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    rows = generated(300)
    later = write(tmp_path / "a_first_by_name" / "XBTEUR.csv", rows[200:])
    earlier = write(tmp_path / "b" / "XBTEUR.csv", rows[:200])
    report = importer(later, earlier, parallel=2)
    assert [file.state for file in report.files] == [FileState.APPENDED, FileState.IMPORTED]
    assert stored("XBTEUR") == as_stored(rows)


def test_a_zip_of_many_markets_side_by_side(
    importer: Importer, stored: Stored, tmp_path: Path, dsn: str
) -> None:
    markets = {f"M{number:02}": generated(50 + number, number) for number in range(12)}
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for symbol, rows in markets.items():
            archive.writestr(f"x/{symbol}.csv", "".join("{},{},{}\n".format(*row) for row in rows))
    report = importer(tmp_path / "all.zip", parallel=4)
    assert report.rows == sum(map(len, markets.values()))
    assert [file.symbol for file in report.files] == list(markets)
    for symbol, rows in markets.items():
        assert stored(symbol) == as_stored(rows)
    with psycopg.connect(dsn) as connection:
        ids = connection.execute("SELECT symbol, symbol_id FROM symbol ORDER BY 2").fetchall()
    assert ids == [(symbol, number) for number, symbol in enumerate(markets, 1)]


def test_several_importers_of_the_same_market(
    importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    path = write(tmp_path / "XBTEUR.csv", generated(2000))
    with ThreadPoolExecutor(4) as pool:
        states = [only(report).state for report in pool.map(lambda _: importer(path), range(4))]
    assert sorted(states) == [FileState.IMPORTED, *[FileState.UNCHANGED] * 3]
    assert len(stored("XBTEUR")) == 2000


def test_ids_are_stable_and_run_out_with_an_error(
    importer: Importer, tmp_path: Path, dsn: str
) -> None:
    importer(write(tmp_path / "AAA.csv", generated(5)))
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO symbol (exchange_id, symbol_id, symbol) VALUES (1, 65533, 'LATE')"
        )
    importer(write(tmp_path / "BBB.csv", generated(5)))
    result = only(importer(write(tmp_path / "CCC.csv", generated(5))))
    assert result.state is FileState.REFUSED
    assert "has used all 65534 symbol ids" in result.error
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT symbol, symbol_id FROM symbol ORDER BY 2").fetchall()
    assert found == [("AAA", 1), ("LATE", 65533), ("BBB", 65534)]


@pytest.mark.parametrize("parallel", [1, 3])
def test_one_bad_file_does_not_harm_the_others(
    importer: Importer, stored: Stored, tmp_path: Path, parallel: int
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "BAD.csv").write_text("open,high,low\n1,2,3\n")
    write(tmp_path / "data" / "GOOD.csv", generated(10))
    report = importer(tmp_path / "data", parallel=parallel)
    assert [file.symbol for file in report.refused] == ["BAD"]
    assert "unknown columns" in report.refused[0].error
    assert len(stored("GOOD")) == 10


@pytest.mark.parametrize("name", ["rejects_folder", "scratch_folder"])
def test_a_folder_that_cannot_be_written_in(
    importer: Importer, stored: Stored, tmp_path: Path, name: str
) -> None:
    bad = write(tmp_path / "BAD.csv", [(START + 5, 1, 1), (START, 1, 1), ("x", "y", "z")])
    good = write(tmp_path / "GOOD.csv", generated(10))
    (tmp_path / "file").touch()
    report = importer(bad, good, **{name: tmp_path / "file" / "folder"})
    assert [file.state for file in report.files] == [FileState.REFUSED, FileState.IMPORTED]
    assert "Not a directory" in report.files[0].error
    assert "choose another folder" in report.files[0].error
    assert stored("BAD") == []
    assert only(importer(bad)).rows == 2


def test_a_servers_time_limits_do_not_end_an_import(dsn: str, tmp_path: Path) -> None:
    limited = f"{dsn}%20-cidle_in_transaction_session_timeout%3D1"
    path = write(tmp_path / "XBTEUR.csv", sorted(generated(30_000), key=str, reverse=True))
    result = only(import_paths(limited, [path], rejects_folder=tmp_path))
    assert (result.state, result.rows) == (FileState.IMPORTED, 30_000)


def test_the_first_row_need_not_be_the_earliest(
    importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    rows = generated(300)
    later = write(tmp_path / "a" / "XBTEUR.csv", rows[200:])
    earlier = write(tmp_path / "b" / "XBTEUR.csv", rows[:200])
    earlier.write_text(f"{rows[200][0]},7,7\n{earlier.read_text()}")  # not in order
    importer(later, earlier)
    assert len(stored("XBTEUR")) == 301


def test_strict_refuses_a_file_with_a_bad_line(
    importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    path = write(tmp_path / "XBTEUR.csv", [*generated(10), ("x", "y", "z")])
    result = only(importer(path, strict=True))
    assert result.state is FileState.REFUSED
    assert "1 not a number" in result.error
    assert stored("XBTEUR") == []
    assert only(importer(path)).rows == 10


@pytest.mark.parametrize("text", ["", "timestamp,price,volume\n", "1,1,1\n1514764802,1,1\n"])
def test_files_with_few_rows(importer: Importer, tmp_path: Path, text: str) -> None:
    path = tmp_path / "XBTEUR.csv"
    path.write_text(text)
    result = only(importer(path))
    assert (result.state, result.rows) == (FileState.IMPORTED, text.count("1514764802"))
    assert only(importer(path)).state is FileState.UNCHANGED


def test_no_amount_keeps_bars_from_being_made(importer: Importer, tmp_path: Path, dsn: str) -> None:
    amounts = ("1e308", "1e100", "1e-100", "1e-320", "0")
    rows: list[tuple[object, object, object]] = [
        (START, price, volume) for price in amounts for volume in amounts
    ]
    rows = generated(100) + rows * 30
    result = only(importer(write(tmp_path / "XBTEUR.csv", rows)))
    assert result.reasons == {"absurd price or volume": 420, "price not above zero": 150}
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT trades, bars_sequence, (SELECT sum(trades) FROM bar_1y) FROM symbol"
        ).fetchall()
    assert found == [(280, 280, 280)]


def test_stopping_leaves_nothing_half_done(
    importer: Importer, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qd_store.imports.sources.BLOCK_BYTES", 10_000)
    path = write(tmp_path / "XBTEUR.csv", generated(3000))
    stop, seen = threading.Event(), list[Progress]()

    def progress(found: Progress) -> None:
        seen.append(found)
        if len(seen) == 3:
            stop.set()

    with pytest.raises(ImportStopped):
        importer(path, progress=progress, stop=stop)
    assert stored("XBTEUR") == []
    assert len(seen) == 3
    assert only(importer(path)).rows == 3000


def test_stopping_ends_with_markets_that_never_began(importer: Importer, tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "csv" / f"M{number}.csv", generated(3_000, number))
    stop = threading.Event()

    def progress(_: Progress) -> None:
        stop.set()

    with pytest.raises(ImportStopped):
        importer(tmp_path / "csv", progress=progress, stop=stop, parallel=1)


def test_stopping_ends_the_wait_for_another_importer(
    importer: Importer, tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "XBTEUR.csv", generated(10))
    importer(path)
    stop = threading.Event()
    waiting = MarketTables.lock

    def lock(tables: MarketTables) -> StoredMarket:
        stop.set()
        return waiting(tables)

    monkeypatch.setattr(MarketTables, "lock", lock)
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [0x7164_0002, 65537])
        with pytest.raises(ImportStopped):
            importer(path, stop=stop)


def test_an_error_in_the_progress_callback_is_the_callers(
    importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    def progress(_: Progress) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        importer(write(tmp_path / "XBTEUR.csv", generated(10)), progress=progress)
    assert stored("XBTEUR") == []


def test_progress_reaches_the_end(importer: Importer, tmp_path: Path) -> None:
    seen: list[Progress] = []
    path = write(tmp_path / "XBTEUR.csv", generated(1000))
    importer(path, progress=seen.append)
    size, columns = path.stat().st_size, "unix_ts,price,volume without header, seconds"
    assert seen[-1] == Progress(str(path), "XBTEUR", 1000, size, size, columns)


def test_what_cannot_be_started(importer: Importer, tmp_path: Path, dsn: str) -> None:
    with pytest.raises(SourceUnreadable, match="does not exist"):
        importer(tmp_path / "missing")
    path = write(tmp_path / "XBTEUR.csv", generated(1))
    with pytest.raises(UnknownExchange, match="known are: kraken"):
        import_paths(dsn, [path], exchange="mtgox", rejects_folder=tmp_path)
