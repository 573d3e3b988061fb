"""An import ended in any place: each market is as before or complete, and again finishes it.

Half of the kills fall on a statement, a write or a block, the others on a moment. An import
that is killed goes on in the next child, until one ends by itself; the next round then has new
markets. At last the tables are those of an import that nobody disturbed.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qd_store.imports import import_paths
from support.databases import fresh_database
from support.effort import tried
from support.forks import ForkServer

KILLS = tried(40, thoroughly=100)
START = 1_514_764_802
BASE, UPDATE, OVERLAP = 1_500, 700, 300
KINDS = ("SORTED", "MIXED", "LATE")
COUNTS = {0, BASE, BASE + UPDATE}
BARS = ("1m", "5m", "15m", "30m", "1h", "1d", "1mo", "1y")

COMPARED = {
    "symbol": "SELECT symbol, trades, first_time, last_time, bars_sequence, bars_time FROM symbol",
    "import_file": "SELECT symbol, digest, file.name, rows, rejected, first_sequence "
    "FROM import_file file JOIN symbol USING (market)",
    "trade": "SELECT symbol, sequence, time, price, volume FROM trade JOIN symbol USING (market)",
    "trade_mark": "SELECT symbol, mark.sequence, mark.time FROM trade_mark mark "
    "JOIN symbol USING (market)",
} | {
    f"bar_{name}": "SELECT symbol, time, open, high, low, close, volume, bar.trades, last_sequence "
    f"FROM bar_{name} bar JOIN symbol USING (market)"
    for name in BARS
}


def tables(dsn: str) -> dict[str, list[tuple[object, ...]]]:
    """All that an import leaves, by table and market, without the times of the imports."""
    with psycopg.connect(dsn) as connection:
        return {
            name: sorted(connection.execute(f"{query}".encode()).fetchall(), key=repr)
            for name, query in COMPARED.items()
        }


def assert_whole_markets(dsn: str) -> None:
    """Whatever was killed, each market has all trades of its files so far, or none of one."""
    with psycopg.connect(dsn) as connection:
        if connection.execute("SELECT to_regclass('symbol')").fetchone() == (None,):
            return
        found = connection.execute(
            "SELECT symbol, trades, (SELECT count(*) FROM trade WHERE market = symbol.market),"
            " (SELECT coalesce(sum(rows), 0) FROM import_file WHERE market = symbol.market)"
            " FROM symbol"
        ).fetchall()
    assert all(counts[0] == counts[1] == counts[2] for _, *counts in found), found
    assert {counts[0] for _, *counts in found} <= COUNTS, found


def make_round(folder: Path, number: int) -> list[str]:
    """Two markets, each with a file and a later export of it, in order and not."""
    chance = random.Random(number)
    for kind in (KINDS[number % 3], KINDS[(number + 1) % 3]):
        times = [START + i * 40 + chance.choice([0, 40]) for i in range(BASE + UPDATE)]
        rows = [f"{t},{chance.random() + 1:.6f},{chance.random():.8f}" for t in sorted(times)]
        base, update = rows[:BASE], rows[BASE - OVERLAP :]
        if kind == "MIXED":
            base, update = base[700:] + base[:700], update[::-1]
        if kind == "LATE":  # the order is lost where most is stored already
            base = base[:100] + base[101:] + base[100:101]
        for part, lines in (("base", base), ("update", update)):
            path = folder / f"{number}" / part / f"R{number}{kind}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([*lines[:50], "0,0,0", *lines[50:]]) + "\n")
    return [str(folder / f"{number}" / part) for part in ("base", "update")]


def kills(steps: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Where to kill: at a step and at a moment, in turns."""
    chance = random.Random(9)
    while True:
        yield {"die_at": chance.randint(1, steps)}
        yield {"die_at": None, "kill_after_seconds": chance.uniform(0, seconds)}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kill_9_in_many_places(dsn: str, database_dsn: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "dsn": dsn, "rejects": str(tmp_path / "rejects"), "options": {"parallel": 2},
    }  # fmt: skip
    rounds = [make_round(tmp_path, 0)]
    killed = 0
    with ForkServer("support.killed_imports") as server:
        server.run("import_and_die", **options, paths=rounds[0], die_at=None)
        rounds.append(make_round(tmp_path, 1))
        began = time.monotonic()
        steps = server.run("import_and_die", **options, paths=rounds[1], die_at=None).answer
        places = kills(steps, time.monotonic() - began)
        while killed < KILLS:
            rounds.append(make_round(tmp_path, len(rounds)))
            while server.run("import_and_die", **options, paths=rounds[-1], **next(places)).killed:
                killed += 1
                assert_whole_markets(dsn)
    assert len(rounds) > 5  # so that beginnings and ends were met
    with fresh_database(database_dsn) as other:
        paths = [path for each in rounds for path in each]
        import_paths(other, paths, rejects_folder=tmp_path / "undisturbed")
        undisturbed = tables(other)
    assert tables(dsn) == undisturbed
    names = {path.name for path in (tmp_path / "undisturbed").iterdir()}
    assert {path.name for path in (tmp_path / "rejects").glob("*.csv")} == names
    assert len(undisturbed["trade"]) == len(rounds) * 2 * (BASE + UPDATE)


@pytest.mark.slow
def test_ctrl_c_in_any_place(dsn: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "dsn": dsn, "rejects": str(tmp_path / "rejects"), "options": {"parallel": 2},
        "signal_number": signal.SIGINT,
    }  # fmt: skip
    rejects = tmp_path / "rejects"
    with ForkServer("support.killed_imports") as server:
        first = make_round(tmp_path, 0)
        steps = server.run("import_and_die", **options, paths=first, die_at=None).answer
        for number in range(1, 11):
            paths = make_round(tmp_path, number)
            place = random.Random(number).randint(1, steps)
            server.run("import_and_die", **options, paths=paths, die_at=place)
            assert_whole_markets(dsn)
            assert not list(rejects.glob(".*"))
            assert server.run("import_and_die", **options, paths=paths, die_at=None).answer
    with psycopg.connect(dsn) as connection:
        counts = connection.execute("SELECT DISTINCT trades, bars_sequence FROM symbol").fetchall()
    assert counts == [(BASE + UPDATE, BASE + UPDATE)]
