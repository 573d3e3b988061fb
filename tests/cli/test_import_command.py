"""``qd import`` without a database: what it refuses, and what it says of files it only reads."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from qd_cli.errors import ExitCode
from qd_cli.imports import ImportMeter
from qd_cli.main import main
from qd_store.imports import Progress, objects
from qd_store.tables import RefreshProgress

pytestmark = pytest.mark.usefixtures("nowhere")

GOOD = "1514764802,13873,10\n1514764803.5,13874,0\n" * 3
BAD = "1514764804,0,1\nhalf\n1514764805,1,-1\nnan,1,1\n"
BINANCE = "3316226001,42314.0,0.00049,20.73386,1704067200041,True,True\n"


def checked(
    capsys: pytest.CaptureFixture[str], *arguments: object, code: int = ExitCode.OK
) -> list[dict[str, Any]]:
    """The JSON lines of a dry run."""
    assert main(["import", "--dry-run", "--json", *map(str, arguments)]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_dry_run_says_what_is_in_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "XBTEUR.csv").write_text(GOOD + BAD)
    (tmp_path / "what.csv").write_text("a,b\nc,d\n")
    before = sorted(tmp_path.iterdir())
    *files, total = checked(capsys, tmp_path, code=ExitCode.FAILED)
    assert {file["symbol"]: file["state"] for file in files} == {
        "XBTEUR": "checked",
        "what": "refused",
    }
    good, bad = files
    assert good["layout"] == ("unix_ts,price,volume without header, fractional seconds")
    reasons = {
        "price not above zero": 1,
        "wrong number of columns": 1,
        "negative volume": 1,
        "not finite": 1,
    }
    assert (good["rows"], good["rejected"], good["reasons"]) == (6, 4, reasons)
    assert "has unknown columns: line 1 is 'a,b' (2 columns)" in bad["error"]
    assert bad["layout"] is None
    assert (total["files"], total["refused"], total["rows"], total["rejected"]) == (2, 1, 6, 4)
    assert total["reasons"] == reasons
    assert sorted(tmp_path.iterdir()) == before


def test_strictness_refuses_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "XBTEUR.csv").write_text(GOOD + BAD)
    file, total = checked(capsys, tmp_path, "--strict", code=ExitCode.FAILED)
    assert (file["state"], total["rows"]) == ("refused", 0)
    assert "has lines that are no trades" in file["error"]


def test_a_zip_of_another_exchange(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "BTCUSDT-trades-2024-01.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BTCUSDT-trades-2024-01.csv", BINANCE)
    file, _ = checked(capsys, path, "--exchange", "Binance")
    assert (file["symbol"], file["rows"]) == ("BTCUSDT", 1)
    assert file["layout"].endswith("without header, milliseconds")
    file, _ = checked(capsys, path, code=ExitCode.FAILED)
    assert "these are columns of binance, not of kraken" in file["error"]


def test_a_file_of_settings_and_options_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "XBTEUR.csv").write_text(GOOD + BAD)
    settings = tmp_path / "import.toml"
    settings.write_text('paths = ["in"]\nstrict = true\n')
    file, _ = checked(capsys, "--settings", settings, code=ExitCode.FAILED)
    assert file["state"] == "refused"
    file, _ = checked(capsys, "--settings", settings, "--lenient")
    assert (file["state"], file["rows"]) == ("checked", 6)


def test_a_table_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "XBTEUR.csv").write_text(GOOD + BAD)
    assert main(["import", "--dry-run", str(tmp_path)]) == ExitCode.OK
    shown = capsys.readouterr()
    heading, row = shown.out.splitlines()
    assert heading.split() == [
        *("SYMBOL", "STATE", "ROWS", "KNOWN", "REJECTED", "SECONDS", "LAYOUT")
    ]
    assert row.split()[:5] == ["XBTEUR", "checked", "6", "0", "4"]
    assert row.endswith("unix_ts,price,volume without header, fractional seconds")
    assert "1 file, 6 rows, 4 rejected (" in shown.err
    assert "1 negative volume" in shown.err


def test_a_file_without_trades_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "XBTEUR.csv").write_text(GOOD)
    (tmp_path / "ETHEUR.csv").write_text("")
    assert main(["import", "--dry-run", str(tmp_path)]) == ExitCode.OK
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("empty: ")
    assert last.endswith("ETHEUR.csv has no trades")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("import", ExitCode.FAILED, "nothing to import: give CSVs, folders or zips"),
        ("import --settings none.toml", ExitCode.FAILED, "none.toml cannot be read: No such file"),
        ("import --dry-run s3:///a.csv", ExitCode.FAILED, "s3:///a.csv is of an unknown kind"),
        ("import --dry-run s3://k:x@b/a.csv", ExitCode.FAILED, "a s3:// URI holds credentials"),
        ("import . --exchange mtgox", ExitCode.FAILED, "known are: kraken, binance"),
        ("import . --parallel 0", ExitCode.USAGE, "Invalid value for '--parallel'"),
        ("import . --parallel 17", ExitCode.USAGE, "Invalid value for '--parallel'"),
    ],
)
def test_what_is_refused(
    line: str, code: ExitCode, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == code
    said = capsys.readouterr().err
    assert says in " ".join(said.replace("│", " ").split())
    assert "Traceback" not in said


def test_a_bucket_that_does_not_answer_may_do_so_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "FIND_SECONDS", ())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "tester")
    settings = tmp_path / "import.toml"
    settings.write_text('paths = ["s3://trades/a.csv?endpoint_override=127.0.0.1:1&scheme=http"]')
    assert main(["import", "--dry-run", "--settings", str(settings)]) == ExitCode.TRY_AGAIN
    assert "cannot be reached" in capsys.readouterr().err


def test_the_meter_never_goes_back() -> None:
    meter = ImportMeter()
    for name, rows, position in [("a", 5, 50), ("b", 1, 10), ("a", 2, 20)]:
        meter.take(Progress(name, name.upper(), rows, position, 100, "columns"))
    assert (meter.files, meter.rows, meter.bytes_done) == (2, 6, 60)
    assert meter.latest is not None
    assert (meter.latest.symbol, meter.latest.layout) == ("A", "columns")
    meter.take_refresh(RefreshProgress(1, 2, "daily bars"))
    assert meter.refresh == RefreshProgress(1, 2, "daily bars")
