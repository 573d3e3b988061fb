"""Children forked off one warm process: a hundred of them take seconds, and any may be killed.

The warm process only imports modules and forks, so it has no threads, and each child begins as
a fresh program would, without the second that the imports take. Run as a module it is that
process; requests and answers are lines of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

TESTS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: its answer, or that it was killed."""

    killed: bool
    answer: Any


class ForkServer:
    """Runs functions of a module in children.

    Parameters
    ----------
    module : str
        Where the functions are, such as ``support.killed_imports``; imported once.
    """

    def __init__(self, module: str) -> None:
        path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
        self._popen = subprocess.Popen(
            [sys.executable, "-m", __name__, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._popen:
            assert self._popen.stdin is not None
            self._popen.stdin.close()

    def run(
        self, function: str, /, kill_after_seconds: float | None = None, **arguments: Any
    ) -> Ended:
        """Call a function in a child and wait for its end, or kill it after a time.

        Raises
        ------
        AssertionError
            The function raised; the message is its traceback.
        """
        request = {"function": function, "after": kill_after_seconds, "arguments": arguments}
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps(request) + "\n")
        self._popen.stdin.flush()
        ended = json.loads(self._popen.stdout.readline())
        if ended["signal"] == signal.SIGKILL:
            return Ended(True, None)
        assert ended["status"] == 0, ended["text"]
        return Ended(False, json.loads(ended["text"]))


def _serve(module: str) -> None:
    functions = vars(importlib.import_module(module))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_run(functions[request["function"]], request)), flush=True)


def _run(function: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(function, request["arguments"], writing)
    os.close(writing)
    after = request["after"]
    if after is not None and signal.sigtimedwait({signal.SIGCHLD}, after) is None:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    while signal.sigtimedwait({signal.SIGCHLD}, 0) is not None:
        pass  # of this child: the next one's end must not be taken for it
    code = os.waitstatus_to_exitcode(status)
    return {"signal": max(-code, 0), "status": code, "text": text}


def _child(function: Any, arguments: Mapping[str, Any], writing: int) -> None:
    """Never returns; what the function returns, or its traceback, goes to the pipe."""
    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # answers only on the server's stdout
        try:
            text, status = json.dumps(function(**arguments)), 0
        except BaseException:
            text = traceback.format_exc()
        with os.fdopen(writing, "w") as answer:
            answer.write(text)
    finally:
        os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1])
