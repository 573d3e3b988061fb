"""kill -9 of an import, anywhere: each market is as before or complete; again finishes it."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from qd_store.imports import FileState, import_paths

MARKETS, ROWS = 3, 4_000

# An import that kills itself at its nth statement or block.
KILLED = """
import os, signal, sys
from pathlib import Path
import psycopg
from qd_store.imports import import_paths, sources
sources.BLOCK_BYTES = 20_000
left = int(sys.argv[3])
def step(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
execute, write = psycopg.Connection.execute, psycopg.Copy.write
psycopg.Connection.execute = lambda *a, **k: (step(), execute(*a, **k))[1]
psycopg.Copy.write = lambda *a, **k: (step(), write(*a, **k))[1]
import_paths(sys.argv[1], [Path(sys.argv[2])], rejects_folder=Path(sys.argv[2]) / "rejects",
             progress=step, parallel=1)
print(left)
"""


def tables(dsn: str) -> dict[str, list[tuple[object, ...]]]:
    """All that an import leaves, by table, without the times of the imports."""
    queries = {
        "symbol": "SELECT * FROM symbol WHERE trades > 0 ORDER BY market",
        "trade": "SELECT * FROM trade ORDER BY market, sequence",
        "import_file": "SELECT market, digest, name, rows, rejected, first_sequence "
        "FROM import_file ORDER BY market, digest",
    }
    with psycopg.connect(dsn) as connection:
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


def make_files(folder: Path) -> None:
    chance = random.Random(5)
    for number in range(MARKETS):
        rows = [(1514764802 + i // 2, chance.random() + 1, 1) for i in range(ROWS)]
        if number == 1:
            rows[100], rows[3000] = rows[3000], rows[100]  # out of order
        rows[50] = (0, 0, 0)  # refused
        text = "".join("{},{},{}\n".format(*row) for row in rows)
        (folder / f"M{number}.csv").write_text(text)


@pytest.mark.slow
def test_kill_9_anywhere(dsn: str, tmp_path: Path) -> None:
    make_files(tmp_path)
    run = [sys.executable, "-c", KILLED, dsn, str(tmp_path)]
    kills = 0
    for _ in range(30):
        step = random.Random(kills).randint(1, 60)
        done = subprocess.run([*run, str(step)], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
        kills += 1
        with psycopg.connect(dsn) as connection:
            if connection.execute("SELECT to_regclass('trade')").fetchone() == (None,):
                continue
        counts = {row[2]: row[4] for row in tables(dsn)["symbol"]}
        assert set(counts.values()) <= {ROWS - 1}
    final = import_paths(dsn, [tmp_path], rejects_folder=tmp_path / "rejects")
    assert {file.state for file in final.files} <= {FileState.IMPORTED, FileState.UNCHANGED}
    assert kills > 0
    killed = tables(dsn)
    with psycopg.connect(dsn) as connection:
        connection.execute("DROP TABLE trade, import_file, symbol, exchange, schema_version")
        connection.execute("DROP FUNCTION trade_sequence_at")
    import_paths(dsn, [tmp_path], rejects_folder=tmp_path / "rejects", parallel=1)
    undisturbed = tables(dsn)
    assert killed == undisturbed
    assert len(undisturbed["trade"]) == MARKETS * (ROWS - 1)
