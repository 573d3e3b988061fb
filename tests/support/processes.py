"""Real service processes for tests: start, wait for the ready file, stop."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# As long as a machine may take that has a dozen other things to do.
START_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 60.0


class ServiceDied(AssertionError):
    """A service ended before it was ready; the message holds its log's end."""


class Process:
    """One service process with its ready file and its log."""

    def __init__(
        self, module: str, *arguments: str, folder: Path, env: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.module = module
        self.ready_file = folder / f"{module}.ready"
        self.log_file = folder / f"{module}.log"
        self.ready_file.unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    **os.environ,
                    **(env or {}),
                    "QD_READY_FILE": str(self.ready_file),
                    "QD_DIE_WITH_PARENT": str(os.getpid()),
                },
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_ready(self) -> dict[str, Any]:
        """What the service wrote into its ready file."""
        if not self._wait_until(self.ready_file.exists):
            self.kill()  # who does not get it ready has nothing to stop
            raise ServiceDied(f"{self.module} was not ready: {self.log()[-3000:]}")
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found

    def wait_logged(self, words: str, times: int = 1) -> None:
        """Wait until the service has logged these words so many times."""
        if not self._wait_until(lambda: self.log().count(words) >= times):
            raise AssertionError(f"{self.module} did not log {words!r}: {self.log()[-3000:]}")

    def _wait_until(self, holds: Callable[[], bool]) -> bool:
        """Look again and again; false once the process has ended or the time is over."""
        exited = os.pidfd_open(self.pid)
        try:
            for _ in range(int(START_SECONDS_MAX / 0.05)):
                if holds():
                    return True
                if select.select([exited], [], [], 0.05)[0]:
                    return holds()
        finally:
            os.close(exited)
        return False

    def kill(self) -> None:
        """Kill -9, as a crash does, and collect the process."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(STOP_SECONDS_MAX)

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.module} did not stop in {STOP_SECONDS_MAX} s: {self.log()[-3000:]}"
            ) from None


@contextlib.contextmanager
def running(
    module: str, *arguments: str, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Run a service while the block runs; gives what its ready file says."""
    process = Process(module, *arguments, folder=folder, env=env)
    try:
        yield process.wait_ready()
    finally:
        process.stop()
