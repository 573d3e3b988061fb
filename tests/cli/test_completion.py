"""Names completed as a shell asks for them: the answer, in time, and nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from qd_cli.completion import SECONDS
from support.commands import Qd

HANG_SECONDS_MAX = 60.0


def complete(line: str, seconds: float = HANG_SECONDS_MAX / 2) -> tuple[Sequence[str], str]:
    """What bash is told to offer at the end of a line, and what is printed beside it."""
    words = line.split()
    done = subprocess.run(
        [sys.executable, "-m", "qd_cli"],
        env={
            **os.environ,
            "_QD_COMPLETE": "complete_bash",
            SECONDS: str(seconds),
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - (not line.endswith(" "))),
        },
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS_MAX,
        check=False,
    )
    return done.stdout.split(), done.stderr


def test_names_of_topics_and_consumers(qd: Qd, topic: str, tmp_path: Path) -> None:
    for name in (f"{topic}-a", f"{topic}-b"):
        qd("topics", "create", name)
    (tmp_path / "in").write_text("x\n")
    qd("produce", f"{topic}-a", "--file", tmp_path / "in")
    qd("consume", f"{topic}-a", "-B", "-d", "--consumer", f"me-{topic}")
    both = [f"{topic}-a", f"{topic}-b"]
    for line, expected in [
        (f"qd topics describe {topic}", both),
        (f"qd topics delete {topic}-a {topic}", both[1:]),
        (f"qd produce {topic}-b", both[1:]),
        (f"qd consume {topic}", both),
        (f"qd partitions list --topic {topic}", both),
        (f"qd consume {topic}-a --consumer me-{topic}", [f"me-{topic}"]),
        (f"qd offsets show me-{topic}", [f"me-{topic}"]),
    ]:
        assert complete(line) == (expected, ""), line


def test_names_of_profiles(bare_qd: Qd) -> None:
    bare_qd("profile", "add", "local", "127.0.0.1:9003")
    bare_qd("profile", "add", "lower", "127.0.0.1:9003")
    assert complete("qd profile switch lo") == (["local", "lower"], "")
    assert complete("qd topics list --fluvio loc") == (["local"], "")


@pytest.mark.parametrize(
    "line",
    [
        "qd topics describe ",
        "qd topics describe --fluvio 127.0.0.1:1 ",
        "qd topics describe --fluvio nonsense ",
        "qd offsets show --state /dev/null ",
    ],
)
def test_nobody_is_told_what_went_wrong(bare_qd: Qd, line: str, tmp_path: Path) -> None:
    assert complete(line) == ([], "")
    (tmp_path / "profiles").write_text("= broken")
    assert complete(line) == ([], "")
    assert complete("qd profile switch ") == ([], "")


def test_a_cluster_that_does_not_answer_keeps_no_shell_waiting(bare_qd: Qd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        line = f"qd topics describe --fluvio 127.0.0.1:{silent.getsockname()[1]} "
        assert complete(line, seconds=0.5) == ([], "")


def test_installing_it(bare_qd: Qd, tmp_path: Path) -> None:
    done = subprocess.run(
        # The shell is found as the parent process, so it must not be replaced by the command.
        ["bash", "-c", f"{sys.executable} -m qd_cli --install-completion; exit $?"],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (script,) = [path for path in tmp_path.rglob("*.sh") if "_QD_COMPLETE" in path.read_text()]
    assert "complete_bash" in script.read_text()
    assert str(script) in (tmp_path / ".bashrc").read_text()
