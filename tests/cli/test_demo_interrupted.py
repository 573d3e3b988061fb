"""The demo stopped in the middle: no process and no folder stays, the terminal is usable."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.effort import tried
from support.stacks import until_nothing_left
from support.terminal import CTRL_C, HIDE_CURSOR, SHOW_CURSOR, Terminal, on_terminal

DEMO = ["-m", "qd_cli", "demo", "--markets", "2", "--trades", "30000"]

SOME = ["starting the database", "importing", "streaming", "stopping everything"]
MOMENTS = tried(
    SOME,
    thoroughly=[*SOME, "writing generated data", "waiting until the analytics"],
)


def check_clean(tmp_path: Path) -> None:
    until_nothing_left(tmp_path)
    assert list(tmp_path.iterdir()) == []


def check_usable(terminal: Terminal) -> None:
    assert terminal.settings() == terminal.before
    hidden, shown = terminal.screen.rfind(HIDE_CURSOR), terminal.screen.rfind(SHOW_CURSOR)
    assert shown > hidden or hidden < 0
    assert b"Traceback" not in terminal.screen


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_leaves_nothing(tmp_path: Path, moment: str) -> None:
    with on_terminal(DEMO, {"TMPDIR": str(tmp_path)}) as terminal:
        terminal.until(moment)
        terminal.press(CTRL_C)
        code = terminal.wait()
        # Everything may have stopped, and the demo be over, by the time it comes.
        assert code == 128 + signal.SIGINT or (moment, code) == ("stopping everything", 0)
        check_usable(terminal)
    check_clean(tmp_path)


def test_ctrl_c_twice_leaves_nothing(tmp_path: Path) -> None:
    with on_terminal(DEMO, {"TMPDIR": str(tmp_path)}) as terminal:
        terminal.until("streaming")
        terminal.press(CTRL_C)
        terminal.until("stopping everything")
        terminal.press(CTRL_C)
        assert terminal.wait() == 128 + signal.SIGINT
        check_usable(terminal)
    check_clean(tmp_path)


def test_sigterm_leaves_nothing(tmp_path: Path) -> None:
    with on_terminal(DEMO, {"TMPDIR": str(tmp_path)}) as terminal:
        terminal.until("broker    ready")
        terminal.popen.send_signal(signal.SIGTERM)
        assert terminal.wait() == 128 + signal.SIGTERM
        check_usable(terminal)
    check_clean(tmp_path)


def test_a_closed_window_leaves_nothing(tmp_path: Path) -> None:
    with on_terminal(DEMO, {"TMPDIR": str(tmp_path)}) as terminal:
        terminal.until("broker    ready")
        terminal.hang_up()
        assert terminal.popen.wait(60) == 128 + signal.SIGHUP
    check_clean(tmp_path)


def test_kill_9_of_the_demo_leaves_no_process(tmp_path: Path) -> None:
    with on_terminal(DEMO, {"TMPDIR": str(tmp_path)}) as terminal:
        terminal.until("importing")
        os.kill(terminal.popen.pid, signal.SIGKILL)
        terminal.popen.wait(60)
    until_nothing_left(tmp_path)
