"""The command line itself: help, usage errors, exit codes; no stack is needed."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from qd_cli.app import make_app
from qd_cli.errors import ExitCode
from qd_cli.main import main

pytestmark = pytest.mark.usefixtures("nowhere")


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each command that does something, by its words."""
    for name, below in getattr(command, "commands", {}).items():
        yield from leaves(below, f"{path} {name}")
    if not getattr(command, "commands", {}):
        yield path, command


def test_every_help_has_an_example() -> None:
    lacking = [
        path
        for path, command in leaves(get_command(make_app()), "qd")
        if path not in command.help.partition("Examples:")[2]
    ]
    assert not lacking


def test_the_commands_are_listed_by_what_they_are_for() -> None:
    result = CliRunner().invoke(make_app(), ["--help"])
    assert result.exit_code == 0
    sections = result.output.partition("Options:")[2].split("\n\n")[1:]
    listed = {
        section.partition(":")[0]: re.findall(r"^  (\w+)", section, re.M) for section in sections
    }
    known: Any = get_command(make_app())
    assert sorted(itertools.chain(*listed.values())) == sorted(known.commands)
    assert {"import", "alerts", "db"} <= set(listed["Market data"])


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "up --fluvio-port 70000",
        "stream",
        "stream X --limit none",
        "demo --trades 1",
        "topics list --what",
    ],
)
def test_wrong_usage_is_exit_code_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == ExitCode.USAGE
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("symbols", "start one with `qd up`, or set QD_SYMDB"),
        ("topics list", "start one with `qd up`, or set QD_FLUVIO"),
        ("stream XBTEUR", "start one with `qd up`, or set QD_FLUVIO"),
        ("alerts", "start one with `qd up`"),
        ("import .", "or set QD_DATABASE"),
        ("import missing.csv", "missing.csv does not exist"),
        ("import . --database postgresql://u:pw@h/d", "--database holds a password, which all"),
        (
            "import . --database postgresql://h/d?password=pw",
            "set QD_DATABASE, or QD_DATABASE_FILE",
        ),
        ("stream X --start yesterday", "--start is 'yesterday'; expected an ISO time"),
        ("stream X --json --csv", "not both"),
        ("stream X --bars 2d", "expected one of 1m"),
        ("stream X --start 2014-01-01 --end 2013-01-01", "is not before --end 2013-01-01"),
        ("topics list --fluvio nonsense", "expected host:port"),
        ("stream X --exchange nasdaq", "no exchange is named 'nasdaq': expected kraken"),
        ("alerts --from-end", "give --follow as well"),
        ("logs", "start a stack with `qd up`"),
        ("logs nothing", "no part is named 'nothing'"),
        ("run nothing", "no part is named 'nothing'"),
        ("demo --market NOPE", "no generated market is named 'NOPE'"),
        ("demo --data missing.zip", "missing.zip does not exist"),
        ("down --purge", "give --yes"),
        ("topics create", "no topic is named: give its name, or --file"),
        ("topics create x --retention soon", "--retention is 'soon'; expected seconds or"),
        ("topics create x --segment-size 64M", "expected bytes or a size such as"),
        ("topics create x --compression rar", "expected one of none, gzip"),
        ("topics create x --dedup-age 1h", "without dedup-count"),
        ("topics create x --retention 1", "retention_s is 1; give 10"),
        ("topics create x --file y.toml", "a name is given beside --file"),
        ("topics create --file y.toml -p 2", "--partitions is given beside --file"),
        ("topics create --file y.toml", "y.toml cannot be read: No such file"),
        ("topics apply y.toml", "y.toml cannot be read: No such file"),
        ("topics list --fluvio local", "no profile has this name either"),
        ("produce x --raw --json-lines", "give --raw or --json-lines, not both"),
        ("produce x --key k --key-separator =", "give --key-separator or --key, not both"),
        ("produce x --compression rar", "--compression is 'rar'; expected one of none"),
        ("produce x --compression any", "--compression is 'any'; expected one of none"),
        ("produce x --file missing", "missing: No such file"),
        ("produce x --file .", ". is a folder"),
        ("consume x --beginning --tail 1", "give --beginning or --tail, not both"),
        ("consume x --output xml", "--output is 'xml'; expected one of text"),
        ("consume x --output sbe --json", "give --json or --output sbe, not both"),
        ("consume x --output raw -k", "--key-value is for text and hex"),
        ("consume x --output hex -F {{key}}", "give --format or another way"),
        ("consume x --format {{nothing}}", "{{nothing}}; expected only {{key}}"),
        ("consume x --isolation maybe", "expected read-uncommitted or read-committed"),
        ("profile current", "no profile is current"),
        ("profile switch x", "no profile is named 'x'"),
        ("profile add x nonsense", "the endpoint is 'nonsense'; expected host:port"),
        ("profile remove x", "no profile is named 'x'"),
        ("broker --durability forever", "expected process or power"),
        ("broker --faults rudeness", "found fault 'rudeness'"),
    ],
)
def test_an_error_is_one_line(line: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == ExitCode.FAILED
    error = capsys.readouterr().err
    assert says in error
    assert error.startswith("qd: ")
    assert len(error.splitlines()) == 1


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"qd {metadata.version('qd')}\n"


def test_status_without_a_stack(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == ExitCode.NOT_RUNNING
    assert capsys.readouterr().out.count("stopped") == 5


def test_down_without_a_stack(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down"]) == 0
    assert "nothing was running" in capsys.readouterr().err


def test_a_broken_state_file_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "stack.json").write_text('{"format": 99}')
    assert main(["status"]) == ExitCode.FAILED
    assert "not a stack's record" in capsys.readouterr().err


def test_nobody_at_the_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "list", "--fluvio", "127.0.0.1:1"]) == ExitCode.TRY_AGAIN
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_a_closed_pipe_ends_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "qd_cli", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 1, ExitCode.SIGNALLED + signal.SIGPIPE)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("status >&-", ExitCode.NOT_RUNNING),
        ("status 2>&-", ExitCode.NOT_RUNNING),
        ("status <&- >&- 2>&-", ExitCode.NOT_RUNNING),
        ("produce x --fluvio 127.0.0.1:1 <&-", ExitCode.TRY_AGAIN),
    ],
)
def test_streams_that_are_closed_from_the_start(line: str, code: ExitCode) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m qd_cli {line}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from qd_cli.main import main; main(['--help']); "
        "sys.exit([name for name in ('numpy', 'pyarrow', 'psycopg', 'grpclib', 'fluvio', "
        "'rich.live', 'tomlkit', 'qd_fluvio') if name in sys.modules]"
        ".__repr__().replace('[]', '') or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
