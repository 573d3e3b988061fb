"""A local broker to break, and the Fluvio layer's worker processes, for tests."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import psutil

from support.processes import Process

WORKER = "qd_fluvio.worker"


def workers(parent: int | None = None) -> list[psutil.Process]:
    """The live worker processes of a process, by default of this one."""
    found = []
    for process in psutil.Process(parent).children():
        try:
            if WORKER in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


class Broker:
    """A local broker of one test, on a port that survives its restart."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._arguments = arguments
        self._ports = [free_port(), free_port()]
        self._process: Process | None = None
        self.endpoint = f"127.0.0.1:{self._ports[0]}"
        self.start()

    def start(self) -> None:
        self._process = Process(
            "qd_fluvio.broker",
            *("--data", str(self._folder / "data")),
            *("--sc-port", str(self._ports[0]), "--spu-port", str(self._ports[1])),
            *self._arguments,
            folder=self._folder,
        )
        self._process.wait_ready()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()

    def freeze(self) -> None:
        """Let it answer nothing any more, its connections staying open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.popen.send_signal(number)

    def close(self) -> None:
        if self._process is not None and self._process.popen.poll() is None:
            self._process.kill()


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
