"""``qd db`` on a database of its own: tables, JSON lines, exit codes."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qd_cli.errors import ExitCode
from qd_store.imports import import_paths
from support.commands import Qd
from support.databases import fresh_database
from support.markets import generated, write_csv
from support.roles import drop_roles


@pytest.fixture
def dsn(
    database_dsn: str, nowhere: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[str]:
    """An empty database, which a file names to the command."""
    with fresh_database(database_dsn) as found:
        (tmp_path / "dsn").write_text(found)
        monkeypatch.setenv("QD_DATABASE_FILE", str(tmp_path / "dsn"))
        yield found


@pytest.fixture
def filled(dsn: str, tmp_path: Path) -> str:
    folder = tmp_path / "csv"
    folder.mkdir()
    write_csv(generated(1, 2_000), folder / "XBTUSD.csv")
    write_csv(generated(2, 300), folder / "XBTEUR.csv")
    import_paths(dsn, [folder], rejects_folder=tmp_path / "rejects", parallel=1)
    return dsn


def test_a_database_is_migrated_once(bare_qd: Qd, dsn: str) -> None:
    before = bare_qd("db", "status")
    assert before.code == ExitCode.OUTDATED
    assert "none, there are no tables" in before.out
    assert "run `qd db migrate`" in before.err
    (first,) = bare_qd.json("db", "migrate", "--kind", "plain")
    assert (first["kind"], first["applied"][0]) == ("plain", "0001_markets_and_trades")
    (second,) = bare_qd.json("db", "migrate")
    assert second == {**first, "applied": []}
    assert bare_qd("db", "status").code == 0


def test_status(bare_qd: Qd, filled: str) -> None:
    *markets, whole = bare_qd.json("db", "status")
    assert [(market["symbol"], market["trades"]) for market in markets] == [
        ("XBTEUR", 300),
        ("XBTUSD", 2_000),
    ]
    assert (whole["markets"], whole["trades"], whole["trades_without_bars"]) == (2, 2_300, 0)
    assert whole["relations"]["bar_1y"]["table_bytes"] > 0
    done = bare_qd("db", "status")
    assert done.code == 0
    for word in ("XBTUSD", "2,300", "bar_1mo", "up to the last trade", whole["kind"]):
        assert word in done.out


def test_check_repair_and_refresh(bare_qd: Qd, filled: str) -> None:
    sound = bare_qd.json("db", "check")
    assert [line.get("sound") for line in sound] == [True, True, None]
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute("UPDATE bar_1d SET high = high + 1")
    wrong = bare_qd("db", "check", "XBTEUR")
    assert wrong.code == ExitCode.UNSOUND
    assert "unsound" in wrong.out
    assert "XBTUSD" not in wrong.out
    assert "qd db check --repair" in wrong.err
    repaired = bare_qd("db", "check", "--repair")
    assert (repaired.code, repaired.out.count("repaired")) == (0, 2)
    (done,) = bare_qd.json("db", "refresh", "--all")
    assert done == {"event": "refresh", "markets": 2}
    assert bare_qd.json("db", "check")[-1] == {"event": "check", "markets": 2, "unsound": 0}


def test_lost_trades_are_said_to_be_lost(bare_qd: Qd, filled: str) -> None:
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute("DELETE FROM trade WHERE sequence = 7")
    done = bare_qd("db", "check", "--repair")
    assert done.code == ExitCode.UNSOUND
    assert "sequence 7 is missing before 8" in done.err
    assert "restore a backup" in done.err


def test_roles(
    bare_qd: Qd, filled: str, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"t{secrets.token_hex(4)}"
    monkeypatch.setenv("QD_SYMDB_PASSWORD", "a secret")
    try:
        made = bare_qd("db", "roles", "--prefix", prefix)
        assert made.code == 0
        assert "a secret" not in made.out + made.err
        assert "set QD_GATEWAY_PASSWORD to give one" in made.err
        again = bare_qd.json("db", "roles", "--prefix", prefix)
        assert [(line["for"], line["state"], line["password"]) for line in again] == [
            ("owner", "updated", "none"),
            ("importer", "updated", "none"),
            ("gateway", "updated", "none"),
            ("symdb", "updated", "set"),
        ]
    finally:
        with psycopg.connect(filled, autocommit=True) as connection:
            for name in ("owner", "importer", "gateway", "symdb"):
                connection.execute(f"REASSIGN OWNED BY {prefix}_{name} TO CURRENT_USER".encode())
                connection.execute(f"DROP OWNED BY {prefix}_{name}".encode())
        drop_roles(database_dsn, prefix)


def test_psql(filled: str, tmp_path: Path) -> None:
    """It takes the command's place, so it runs in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "qd_cli", "db", "psql", "-At", "-c", "TABLE symbol"],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["db", "status", "--database", "postgresql://u:pw@h/d"], "--database holds a password"),
        (["db", "migrate", "--kind", "mongodb"], "expected plain or timescaledb"),
        (["db", "check", "NOPE"], "`qd db migrate`"),
        (["db", "roles", "--prefix", "pg_x"], "does not begin with pg"),
    ],
)
def test_refusals(bare_qd: Qd, dsn: str, line: list[str], says: str) -> None:
    done = bare_qd(*line)
    assert done.code == ExitCode.FAILED
    assert says in done.err
    assert "pw" not in done.err
    assert len(done.err.splitlines()) == 1


def test_a_file_that_is_not_there(bare_qd: Qd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QD_DATABASE_FILE", "missing")
    done = bare_qd("db", "status")
    assert done.code == ExitCode.FAILED
    assert "QD_DATABASE_FILE names missing, which cannot be read" in done.err
