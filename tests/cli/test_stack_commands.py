"""``qd`` as a user runs it, on a stack of real services: every command, in one story."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qd_cli.errors import ExitCode
from qd_cli.generate import generate_market
from qd_client import until_evaluated
from qd_fluvio import connect
from qd_schemas.specs import ClientKind, FluvioSettings
from support.forks import ForkServer
from support.reference import rises, trades_of
from support.stacks import left_over, until_nothing_left
from support.terminal import CTRL_C, on_terminal

COMMAND_SECONDS_MAX = 120.0
TRADES = 6_000


class Shell:
    """Runs ``qd`` with a state folder of its own."""

    def __init__(self, folder: Path, forks: ForkServer) -> None:
        self._forks = forks
        self.folder = folder
        self.state = folder / "state"
        taken = ("QD_FLUVIO", "QD_DATABASE", "QD_SYMDB", "COLUMNS")
        self.env = {name: value for name, value in os.environ.items() if name not in taken}
        self.env["QD_STATE"] = str(self.state)
        self.env["FLV_PROFILE_PATH"] = str(folder / "no-profiles")

    def qd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        said = self._forks.run("run", arguments=arguments, env=self.env).answer
        return subprocess.CompletedProcess(arguments, said["code"], said["out"], said["err"])

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a command that has to succeed; its JSON lines."""
        done = self.qd(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def pids(self) -> dict[str, int]:
        done = self.qd("status", "--json")
        parts = [json.loads(line) for line in done.stdout.splitlines()]
        return {part["name"]: part["pid"] for part in parts}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A stack that is up, with two generated markets imported and all their alerts told."""
    with ForkServer("support.forked_qd") as forks:
        yield from at_work(Shell(tmp_path_factory.mktemp("shell"), forks))


def at_work(shell: Shell) -> Iterator[Shell]:
    csv = shell.folder / "csv"
    csv.mkdir()
    for index in range(2):
        generate_market(csv, index, trades=TRADES, seed=3)
    try:
        up = shell.qd("up")
        assert up.returncode == 0, up.stderr
        done = shell.qd("import", str(csv))
        assert done.returncode == 0, done.stderr
        asyncio.run(evaluated(shell))
        yield shell
    finally:
        down = shell.qd("down", "--purge", "--yes")
        assert down.returncode == 0, down.stderr
        until_nothing_left(shell.state)
        assert not shell.state.exists()


async def evaluated(shell: Shell) -> None:
    """Wait until the analytics service has told all alerts."""
    settings = json.loads((shell.state / "stack.json").read_text())["settings"]
    markets = [row["symbol_id"] for row in shell.lines("symbols")]
    async with connect(FluvioSettings(settings["QD_FLUVIO"], ClientKind.NATIVE)) as fluvio:
        for market in markets:
            await until_evaluated(fluvio, market, TRADES)


def market_file(shell: Shell, symbol: str = "XBTEUR") -> Path:
    return shell.folder / "csv" / f"{symbol}.csv"


def test_up_again_changes_nothing(shell: Shell) -> None:
    before = shell.pids()
    assert shell.qd("up").returncode == 0
    assert shell.pids() == before


def test_status_shows_every_part(shell: Shell) -> None:
    done = shell.qd("status")
    assert done.returncode == 0
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    assert {"database", "broker", "symdb", "gateway", "analytics"} < set(rows)
    assert rows["broker"][1] == "running"
    assert "\x1b" not in done.stdout
    secret = json.loads((shell.state / "stack.json").read_text())["settings"]["QD_DATABASE"]
    assert secret not in done.stdout


def test_importing_again_changes_nothing(shell: Shell) -> None:
    *files, total = shell.lines("import", str(shell.folder / "csv"))
    assert {file["state"] for file in files} == {"unchanged"}
    assert (total["rows"], total["files"]) == (0, 2)


def test_symbols(shell: Shell) -> None:
    found = {row["symbol"]: row["trades"] for row in shell.lines("symbols")}
    assert found == {"XBTEUR": TRADES, "ETHEUR": TRADES}
    (bitcoin,) = shell.lines("symbols", "XBT")
    names = (bitcoin["symbol"], bitcoin["pair"], bitcoin["pair_key"])
    assert names == ("XBTEUR", "XBT/EUR", "XXBTZEUR")


def test_a_market_by_another_of_its_names(shell: Shell) -> None:
    first = [shell.lines("stream", known, "--limit", "1") for known in ("XBTEUR", "BTC/EUR")]
    assert first[0] == first[1]


def test_a_second_exchange_beside_the_first(shell: Shell) -> None:
    path = shell.folder / "BTCUSDT-trades-2024-01.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "BTCUSDT-trades-2024-01.csv",
            "3316226001,42314.5,0.00049,20.7,1704067200041,True,True\n",
        )
    settings = shell.folder / "binance.toml"
    settings.write_text(f'paths = ["{path.name}"]\nexchange = "binance"\nparallel = 1\n')
    file, total = shell.lines("import", "--settings", str(settings))
    assert (file["symbol"], file["state"], total["rows"]) == ("BTCUSDT", "imported", 1)
    of_binance = ("--exchange", "binance")
    assert [row["symbol_id"] for row in shell.lines("symbols", *of_binance)] == [1]
    (trade,) = shell.lines("stream", "BTC/USDT", *of_binance)
    assert trade["time"] == "2024-01-01T00:00:00.041Z"
    assert (trade["price"], trade["volume"]) == (42314.5, 0.00049)


def test_streamed_trades_equal_the_file(shell: Shell) -> None:
    expected, _ = trades_of(market_file(shell))
    found = shell.lines("stream", "XBTEUR")
    assert [(row["sequence"], row["price"], row["volume"]) for row in found] == [
        (trade.sequence, trade.price, trade.volume) for trade in expected
    ]


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (("--limit", "3"), 3),
        (("--from-sequence", str(TRADES)), 1),
        (("--bars", "1M"), 35),
        (("--bars", "1M", "--unfinished"), 36),
        (("--bars", "1y", "--limit", "2"), 2),
        (("--bars", "1M", "--start", "2022-01-01", "--end", "2022-04-01"), 3),
    ],
)
def test_parts_of_streams(shell: Shell, arguments: tuple[str, ...], rows: int) -> None:
    assert len(shell.lines("stream", "XBTEUR", *arguments)) == rows


def test_bars_by_the_time_of_their_close(shell: Shell) -> None:
    by_start = shell.lines("stream", "XBTEUR", "--bars", "1M", "--limit", "9")
    by_close = shell.lines("stream", "XBTEUR", "--bars", "1M", "--limit", "8", "--stamp", "close")
    assert [bar["time"] for bar in by_close] == [bar["time"] for bar in by_start][1:]
    assert [bar["open"] for bar in by_close] == [bar["open"] for bar in by_start][:8]


def test_streams_as_csv_and_as_text(shell: Shell) -> None:
    csv = shell.qd("stream", "XBTEUR", "--limit", "2", "--csv").stdout.splitlines()
    assert csv[0] == "sequence,time,price,volume"
    assert len(csv) == 3
    text = shell.qd("stream", "XBTEUR", "--limit", "2").stdout.splitlines()
    assert text[0].split() == ["SEQUENCE", "TIME", "PRICE", "VOLUME"]
    assert text[1].split() == csv[1].split(",")


def test_a_stream_into_a_closed_pipe_ends_quietly(shell: Shell) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "qd_cli", "stream", "XBTEUR"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=shell.env,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == ExitCode.SIGNALLED + signal.SIGPIPE


def test_an_unknown_market(shell: Shell) -> None:
    done = shell.qd("stream", "NOSUCH")
    assert done.returncode == ExitCode.FAILED
    assert "NOSUCH" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_market_by_a_wrong_name_is_told_what_is_alike(shell: Shell) -> None:
    for command in (("stream", "xbteur"), ("alerts", "--symbol", "xbteur")):
        done = shell.qd(*command)
        assert done.returncode == ExitCode.FAILED
        assert "did you mean XBTEUR" in done.stderr


def test_the_readmes_programs_run(shell: Shell) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    call, program = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    generated = {"XBTCAD": "XBTEUR", "2013-": "2021-", "pace=1_000_000": "pace=1_000_000_000"}
    for code in (call, program):
        for said, here in generated.items():
            code = code.replace(said, here)
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=shell.env,  # whose running stack is found
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("IntervalEnd(") > 2


def test_who_follows_alerts_is_told_that_the_analytics_died(shell: Shell) -> None:
    with on_terminal(["-m", "qd_cli", "alerts", "--follow"], shell.env) as terminal:
        terminal.until("rose")
        os.kill(shell.pids()["analytics"], signal.SIGKILL)
        assert terminal.wait() == ExitCode.FAILED
        assert b"analytics died: `qd up` starts it again" in terminal.screen
    assert shell.qd("up").returncode == 0


def test_alerts_equal_the_model_computed_the_slow_way(shell: Shell) -> None:
    expected = [sequence for sequence, _, _ in rises(trades_of(market_file(shell))[0])]
    with on_terminal(
        ["-m", "qd_cli", "alerts", "--follow", "--symbol", "XBTEUR", "--json"], shell.env
    ) as terminal:
        terminal.until(f'"sequence": {expected[-1]},')
        terminal.press(CTRL_C)
        assert terminal.wait() == 128 + signal.SIGINT
    found = shell.lines("alerts", "--symbol", "XBTEUR")
    assert [alert["sequence"] for alert in found] == expected
    assert {alert["signal"] for alert in found} == {"rose"}


def test_who_waits_for_new_alerts_is_told_so(shell: Shell) -> None:
    with on_terminal(["-m", "qd_cli", "alerts", "--follow", "--from-end"], shell.env) as terminal:
        terminal.until("waiting for new alerts")
        terminal.press(CTRL_C)
        assert terminal.wait() == 128 + signal.SIGINT


def test_clients_prove_who_they_are_and_are_ended(shell: Shell) -> None:
    (gateway,) = shell.lines("clients", "gateways")
    assert (gateway["alive"], len(gateway["slots"])) == (True, 64)
    token = shell.qd("clients", "add", "33").stdout.strip()
    shell.env["QD_CLIENT_ID"] = "33"
    refused = shell.qd("stream", "XBTEUR", "--limit", "1")
    assert (refused.returncode, "the id has a token" in refused.stderr) == (1, True)
    shell.env["QD_CLIENT_TOKEN"] = token
    with subprocess.Popen(
        [sys.executable, "-m", "qd_cli", "stream", "XBTEUR", "--pace", "1", "--json"],
        env=shell.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as paced:
        assert paced.stdout is not None
        assert json.loads(paced.stdout.readline())["sequence"] == 1
        (client,) = [row for row in shell.lines("clients") if row["client"] == 33]
        (stream,) = client["streams"]
        assert (client["is_proven"], client["gateway"]) == (True, gateway["gateway"])
        assert (stream["market"], stream["rows"], stream["state"]) == (
            "XBTEUR",
            "trades",
            "running",
        )
        (ended,) = shell.lines("clients", "end", "33", "--stream", str(stream["stream"]))
        assert ended["outcome"] == "ended"
        _, errors = paced.communicate(timeout=COMMAND_SECONDS_MAX)
    assert (paced.returncode, "an operator ended it" in errors) == (1, True)
    del shell.env["QD_CLIENT_ID"], shell.env["QD_CLIENT_TOKEN"]
    assert 65_000 in [row["client"] for row in shell.lines("clients")], "the analytics service"
    assert shell.qd("clients", "remove", "33", "--yes").returncode == 0


def test_a_part_has_no_secret_of_another(shell: Shell) -> None:
    names = {}
    for part, pid in shell.pids().items():
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        names[part] = {entry.partition(b"=")[0].decode() for entry in entries}
    assert [part for part in names if "QD_DATABASE" in names[part]] == ["symdb", "gateway"]
    assert [part for part in names if "QD_SYMDB" in names[part]] == ["symdb", "analytics"]


def test_topics(shell: Shell) -> None:
    assert shell.qd("topics", "create", "greetings", "--partitions", "2").returncode == 0
    assert "greetings" in {topic["name"] for topic in shell.lines("topics", "list")}
    (described,) = shell.lines("topics", "describe", "greetings")
    assert [partition["end_offset"] for partition in described["offsets"]] == [0, 0]
    again = shell.qd("topics", "create", "greetings")
    assert again.returncode == ExitCode.FAILED
    refused = shell.qd("topics", "delete", "greetings")
    assert refused.returncode == ExitCode.FAILED
    assert "--yes" in refused.stderr
    assert shell.qd("topics", "delete", "greetings", "--yes").returncode == 0
    assert shell.qd("topics", "describe", "greetings").returncode == ExitCode.FAILED


def test_logs(shell: Shell) -> None:
    assert "logged in" in shell.qd("logs", "gateway").stdout
    assert len(shell.qd("logs", "-n", "3").stdout.splitlines()) == 3


def test_a_part_that_died_is_reported_and_started_again(shell: Shell) -> None:
    before = shell.pids()
    os.kill(before["broker"], signal.SIGKILL)
    status = shell.qd("status")
    assert status.returncode == ExitCode.PART_DIED
    assert "died" in status.stdout
    failed = shell.qd("topics", "list")
    assert failed.returncode == ExitCode.FAILED
    assert "broker died: `qd up` starts it again" in failed.stderr
    assert shell.qd("up").returncode == 0
    after = shell.pids()
    assert after["broker"] != before["broker"]
    assert after["database"] == before["database"]
    assert len(shell.lines("stream", "XBTEUR", "--limit", "5")) == 5


def test_down_keeps_the_data(shell: Shell) -> None:
    alerts = shell.lines("alerts")
    down = shell.qd("down")
    assert down.returncode == 0
    assert "database" in down.stderr
    assert left_over(shell.state) == []
    assert shell.qd("status").returncode == ExitCode.NOT_RUNNING
    assert shell.qd("up").returncode == 0
    assert {row["trades"] for row in shell.lines("symbols")} == {TRADES}
    assert shell.lines("alerts") == alerts
