"""docs/analytics.md: a new user's way, from the text alone: a model, its alerts, its picture."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.markets import Markets, database_of
from support.models import walk

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "analytics.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", TEXT, re.M | re.S)
    for line in block.splitlines()
    if line.startswith(("qd analytics models", "qd analytics backtest", "qd analytics plot"))
]


@pytest.fixture(scope="module")
def markets(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Markets]:
    folder = tmp_path_factory.mktemp("analytics-doc")
    with database_of(database_dsn, folder, {"XBTCAD": walk(5, 4_000, 800)}) as found:
        yield found


def run(folder: Path, dsn: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(folder), "PATH": "", "QD_DATABASE": dsn, "QD_STATE": str(folder / "state")}
    done = subprocess.run(
        [sys.executable, "-W", "error", *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_text_runs_as_it_stands(markets: Markets, tmp_path: Path) -> None:
    mine, program = PROGRAMS
    name = mine.splitlines()[0].removeprefix("# ")
    (tmp_path / name).write_text(mine)
    assert "evaluated to true" in run(tmp_path, markets.dsn, "-c", program).stdout
    assert len(COMMANDS) == 7
    for command in COMMANDS:
        done = run(tmp_path, markets.dsn, "-m", "qd_cli", *shlex.split(command)[1:])
        assert done.stdout or "alerts of" in done.stderr, command
    assert "<svg" in (tmp_path / "jumps.svg").read_text()
    assert "<svg" in (tmp_path / "weekly.svg").read_text()
    alerts = run(
        *(tmp_path, markets.dsn, "-m", "qd_cli", "analytics", "backtest", "XBTCAD"),
        *("--model", f"{name}:jumps", "--set", "percent=1", "--json"),
    )
    assert alerts.stdout.count('"model": "jumps"') > 3
