"""A command on a terminal of its own: start it, read its screen, press keys, hang up."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from typing import Any

READ_SECONDS_MAX = 90.0
CTRL_C = b"\x03"
SHOW_CURSOR = b"\x1b[?25h"
HIDE_CURSOR = b"\x1b[?25l"


class Terminal:
    """A Python program in the foreground of a pseudo-terminal."""

    def __init__(self, arguments: list[str], env: Mapping[str, str]) -> None:
        self.keys, self._line = os.openpty()
        self.before = termios.tcgetattr(self._line)
        self.screen = b""
        self.popen = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=self._line,
            stdout=self._line,
            stderr=self._line,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", **env},
        )

    def until(self, text: str) -> None:
        """Read the screen until it holds `text`."""
        wanted = text.encode()
        deadline = time.monotonic() + READ_SECONDS_MAX
        while wanted not in self.screen:
            assert self._read(deadline), f"no {text!r} on the screen:\n{self.screen.decode()}"

    def press(self, keys: bytes) -> None:
        os.write(self.keys, keys)

    def wait(self) -> int:
        """Read on until the program ends; its exit code."""
        ended = os.pidfd_open(self.popen.pid)
        deadline = time.monotonic() + READ_SECONDS_MAX
        try:
            while not select.select([ended], [], [], 0)[0]:
                self._read(deadline, ended)
                assert time.monotonic() < deadline, self.screen.decode()
        finally:
            os.close(ended)
        while self._read(time.monotonic()):
            pass
        return self.popen.wait()

    def settings(self) -> Any:
        """What the terminal is set to now."""
        return termios.tcgetattr(self._line)

    def hang_up(self) -> None:
        """Close the terminal, as a window that is closed does."""
        os.close(self.keys)
        os.close(self._line)
        self.keys = self._line = -1
        self.popen.send_signal(signal.SIGHUP)

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        for handle in (self.keys, self._line):
            if handle >= 0:
                os.close(handle)

    def _read(self, deadline: float, *others: int) -> bool:
        """Read what is there, or wait for it; False when nothing comes until the deadline."""
        wait = max(0.0, deadline - time.monotonic())
        found, _, _ = select.select([self.keys, *others], [], [], wait)
        if self.keys in found:
            self.screen += os.read(self.keys, 65_536)
        return bool(found)


@contextlib.contextmanager
def on_terminal(arguments: list[str], env: Mapping[str, str]) -> Iterator[Terminal]:
    """Run a program on a terminal while the block runs."""
    terminal = Terminal(arguments, env)
    try:
        yield terminal
    finally:
        terminal.close()


def _take_terminal() -> None:
    """Make standard input the controlling terminal, so that its keys become signals."""
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
