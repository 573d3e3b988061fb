"""``qd process``: what it lists, shows, refuses and runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qd_cli.errors import ExitCode
from qd_cli.main import main
from qd_fluvio import Fluvio, connect
from qd_fluvio.processors.shipped import SHIPPED
from support.processors import stream_values, trades


@pytest.fixture
async def fluvio(fluvio_endpoint: str) -> AsyncIterator[Fluvio]:
    async with connect(fluvio_endpoint) as connection:
        yield connection
        for found in await connection.topics():
            if found.name.startswith("process-"):
                await connection.delete_topic(found.name)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("QD_FLUVIO", "QD_DATABASE", "QD_SYMDB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QD_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_shipped_ones_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["process", "list"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(SHIPPED)
    assert main(["process", "list", "--json"]) == ExitCode.OK
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["name"] for each in found] == list(SHIPPED)
    assert all(each["about"] for each in found)


def test_what_can_be_set_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["process", "show", "top-movers"]) == ExitCode.OK
    text = capsys.readouterr().out
    assert "the markets whose price changed most" in text
    assert "--set every=str  (default '1h')" in text
    assert main(["process", "show", "sbe-to-json"]) == ExitCode.OK
    assert "Nothing can be set." in capsys.readouterr().out
    assert main(["process", "show", "top-movers", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["settings"]["top"] == "10"


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("show nothing", 1, "qd: no processor is named 'nothing': expected one of sbe-to-json"),
        ("run large-trades", 2, "--from"),
        ("run large-trades --from a --to b", 1, "start one with `qd up`, or set QD_FLUVIO"),
        ("run large-trades --from a --to b --set x=1", 1, "large-trades.notional"),
        ("run large-trades --from a --to a", 1, "'a' is read and written"),
        ("run large-trades --from a --to b --finish", 1, "give --once with it"),
        (f"run large-trades --from {'a' * 60}", 1, "give another with --id"),
        ("run large-trades --from a --partition x", 2, "--partition"),
    ],
)
def test_what_is_refused(
    line: str, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["process", *line.split()]) == code
    text = capsys.readouterr().err
    assert says in text
    assert "Traceback" not in text


def run(endpoint: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qd_cli", "process", "run", *words, "--once", "--json"],
        env={**os.environ, "QD_FLUVIO": endpoint, "QD_FLUVIO_CLIENT": "native"},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_a_chain_of_shipped_ones(fluvio: Fluvio) -> None:
    await fluvio.create_topic("process-in", exist_ok=True)
    producer = await fluvio.producer("process-in")
    await producer.send_many([*stream_values(trades(100), 3, [30]), b"not a message"])
    await producer.aclose()
    words = ["trades-to-bars", "--chain", "sbe-to-json", "--set", "resolution=5m", "-B"]
    words += ["--from", "process-in", "--to", "process-out", "--id", "process-test"]
    done = run(fluvio.endpoint, *words)
    assert done.returncode == 0, done.stderr
    end = await fluvio.end_offset("process-out")
    found = [
        json.loads(record.value)
        async for record in (await fluvio.consumer("process-out")).read_until(end)
    ]
    assert {each["message"] for each in found} == {"FirstOHLCVBar", "bar", "LastOHLCVBar"}
    bars = [each for each in found if each["message"] == "bar"]
    assert [bar["sequence"] for bar in bars] == list(range(1, len(bars) + 1))
    assert {bar["resolution"] for bar in bars} == {"5m"}
    counts = json.loads(done.stdout)
    assert counts == {
        "processor": "process-test",
        "read": 7,
        "written": len(found) + 1,
        "repeated": 0,
    }
    assert await fluvio.end_offset("process-test-dead-letters") == 1
    assert json.loads(run(fluvio.endpoint, *words).stdout)["read"] == 0


def test_a_topic_that_is_not_there_is_one_line(fluvio_endpoint: str) -> None:
    done = run(fluvio_endpoint, "sbe-to-json", "--from", "process-nowhere", "--to", "process-out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "topic 'process-nowhere' is not on the cluster" in done.stderr
