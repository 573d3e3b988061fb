"""Passwords of DSNs are shown nowhere, however a DSN holds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qd_cli.errors import ExitCode
from qd_cli.stack import StateFolder, qd_parts, read_status
from qd_cli.stack.parts import DATABASE
from qd_client.local import StackRecord
from support.commands import Qd

DSNS = [
    "postgresql://user:secret@db.example:5433/qd",
    "postgresql://user@db.example/qd?password=secret",
    "postgresql://db.example/qd?user=u&password=secret",
    "postgresql://user:se@cret:secret@db.example/qd",
]


@pytest.mark.parametrize("dsn", DSNS)
def test_the_status_of_a_stack(tmp_path: Path, dsn: str) -> None:
    record = StackRecord(external={DATABASE: dsn}, settings={DATABASE: dsn})
    found = read_status(StateFolder(tmp_path), qd_parts(), record)
    shown = str([part.endpoint for part in found])
    assert "db.example" in shown
    assert "secret" not in shown


@pytest.mark.parametrize("line", [["db", "status"], ["db", "check"], ["import", "."]])
@pytest.mark.parametrize(
    "dsn", [*DSNS, "postgresql://u:secret@127.0.0.1:1/qd", "secret", "x://secret"]
)
def test_errors_about_a_database(
    bare_qd: Qd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dsn: str, line: list[str]
) -> None:
    """Nobody answers at any of these; what is in the environment, and in a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "XBTUSD.csv").write_text("1,1,1\n")
    (tmp_path / "dsn.txt").write_text(dsn)
    for name, value in (("QD_DATABASE", dsn), ("QD_DATABASE_FILE", "dsn.txt")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            done = bare_qd(*line)
        assert done.code == (ExitCode.TRY_AGAIN if "postgresql:" in dsn else ExitCode.FAILED)
        assert "secret" not in done.out + done.err
