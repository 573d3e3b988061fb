"""The demo end to end: its JSON lines, its plain lines, and nothing left of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qd_cli.alerts import AlertRow
from qd_cli.demo.lines import ALERTS_WHOLE, PlainView
from qd_cli.errors import ExitCode
from qd_cli.generate import generate_market
from support.effort import tried
from support.reference import rises, trades_of
from support.stacks import until_nothing_left

DEMO_SECONDS_MAX = 170.0
TRADES = 8_000
PARTS = {"database", "broker", "symdb", "gateway", "analytics", "qd"}


def demo(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "qd_cli", "demo", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        timeout=DEMO_SECONDS_MAX,
        check=False,
    )
    until_nothing_left(temporary)
    assert list(temporary.iterdir()) == []
    return done


def test_generated_data_as_json(tmp_path: Path) -> None:
    done = demo(tmp_path, "--json", "--markets", "2", "--trades", str(TRADES), "--seed", "4")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    summary = events[-1]
    expected = [generate_market(tmp_path, index, trades=TRADES, seed=4) for index in range(2)]
    assert summary["event"] == "summary"
    assert summary["generated"] is True
    assert summary["rows_imported"] == 2 * TRADES
    assert summary["rows_rejected"] == sum(market.bad_rows for market in expected)
    assert summary["market"] == expected[0].symbol
    assert summary["trades_received"] == summary["trades_streamed"] == TRADES
    assert set(summary["peak_memory_bytes"]) == PARTS
    assert min(summary["peak_memory_bytes"].values()) > 0
    found = [
        (event["sequence"], event["price"])
        for event in events
        if event["event"] == "alert" and event["symbol"] == expected[0].symbol
    ]
    slow_way = rises(trades_of(expected[0].path)[0])
    assert found == [(sequence, price) for sequence, _, price in slow_way]
    assert summary["alerts"] == len(found)


def test_given_data_in_plain_lines(tmp_path: Path) -> None:
    market = generate_market(tmp_path, 5, trades=TRADES, seed=9)
    done = demo(tmp_path, "--data", str(market.path))
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert f"{TRADES:,} of {TRADES:,} streamed, in order, none missing" in done.stdout
    assert "from the given files" in done.stdout


def test_a_path_without_files_is_refused_before_anything_starts(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = demo(tmp_path, "--data", str(empty))
    assert done.returncode == ExitCode.FAILED
    assert done.stdout == ""
    assert "holds no file of trades" in done.stderr


def test_plain_lines_show_the_first_alerts_and_few_of_many(
    capsys: pytest.CaptureFixture[str],
) -> None:
    alert = AlertRow("XBTEUR", "kraken", "m", "rose", "t", 1.0, 1, {})
    view = PlainView()
    for count in range(1, 251):
        view.alert(alert, count)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == ALERTS_WHOLE + 3
    assert [line.split(":")[0].strip() for line in lines[-2:]] == ["alert 100", "alert 200"]
    assert "--json prints all" in lines[ALERTS_WHOLE]


@pytest.mark.parametrize(
    "text", tried(["this,is,no\ntrade,at,all\n"], thoroughly=["this,is,no\ntrade,at,all\n", ""])
)
def test_data_without_trades(tmp_path: Path, text: str) -> None:
    path = tmp_path / "EMPTY.csv"
    path.write_text(text)
    done = demo(tmp_path, "--data", str(path))
    assert done.returncode == ExitCode.FAILED
    assert "EMPTY.csv" in done.stderr
    assert "Traceback" not in done.stderr
