"""Start of a worker process: ``python -m qd_fluvio.worker FD PARENT``.

The parent starts it ahead of need; the first frame's ``role`` says what it is for.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

from qd_fluvio.worker import consume, produce
from qd_fluvio.worker.pipe import Pipe, leave

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies: it needs no lock for that.

    `qd_fluvio.service` does the same for services; importing it would double the time that a
    worker takes to start.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        leave()


def main(arguments: list[str]) -> None:
    """Serve the role that the first frame names, until the parent closes the socket."""
    descriptor, parent = map(int, arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    die_with(parent)
    pipe = Pipe(socket.socket(fileno=descriptor))
    first = pipe.read()
    if first.json()["role"] == "consume":
        consume.run(pipe, first.json())
    else:
        produce.run(pipe, first)


main(sys.argv[1:])
