"""``python -m qd_store.embedded --data DIR [--port N]``: the server as a foreground process.

Started like every service: ``QD_READY_FILE`` gets ``{"pid", "dsn"}`` once the database
answers, ``QD_DIE_WITH_PARENT=PID`` ends it with its starter, SIGTERM and SIGINT stop it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from qd_store.embedded.cluster import DataFolder
from qd_store.embedded.runtime import find_runtime
from qd_store.embedded.server import running
from qd_store.errors import EmbeddedFailed, StoreError

_PR_SET_PDEATHSIG = 1
_log = logging.getLogger("qd_store.embedded")


class _Stopped(BaseException):
    """A signal asked this process to stop."""


def _stop(number: int, _frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)  # asked once is enough: the shutdown runs
    raise _Stopped(signal.Signals(number).name)


def _prepare() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    if parent := os.environ.get("QD_DIE_WITH_PARENT"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # it died before the call
            raise _Stopped("the end of its starter")
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=os.environ.get("QD_LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )


def _ready(dsn: str) -> None:
    """Say where the database is; the file holds a password, so only its user may read it."""
    path = os.environ.get("QD_READY_FILE")
    if not path:
        return
    part = Path(f"{path}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"pid": os.getpid(), "dsn": dsn}, file)
    part.replace(path)


def _serve(data: Path, port: int) -> None:
    folder = DataFolder(data)
    with folder.locked():
        runtime = find_runtime(folder.owner())
        folder.end_leftovers()
        folder.initialise(runtime)
        with running(folder, runtime, port) as server:
            _ready(server.dsn)
            _log.info("ready on %s", server.dsn.rpartition("@")[2])
            code = server.wait()
            raise EmbeddedFailed(f"PostgreSQL ended by itself with code {code}")


def main() -> int:
    """Run the server until a signal stops it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m qd_store.embedded", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds it")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 takes a free one")
    arguments = parser.parse_args()
    try:
        _prepare()
        _serve(arguments.data, arguments.port)
    except _Stopped as why:
        _log.info("stopped on %s", why)
        return 0
    except (StoreError, OSError) as error:  # a full disk, a file that somebody removed
        _log.error("failed: %s", error)
    return 1


if __name__ == "__main__":
    sys.exit(main())
