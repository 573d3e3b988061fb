"""How every service process starts, says that it is ready, logs, and stops.

A service is one coroutine. This module runs it, turns SIGTERM and SIGINT into its
cancellation, reports errors in one line, and never knows what the service does.
The starter passes two variables, both optional:

* ``QD_READY_FILE``: written once the service can be used, as one JSON object.
* ``QD_DIE_WITH_PARENT``: the starter's process id; ends this process when that one dies,
  however it dies.

What it logs, and how, is set by QD_LOG_LEVEL and QD_LOG_FORMAT (`qd_fluvio.logs`).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from qd_fluvio.logs import FieldLogger, configure_logging
from qd_schemas.errors import QdError, SettingError
from qd_schemas.settings.strays import strays
from qd_schemas.specs import LogSettings

_PR_SET_PDEATHSIG = 1
CANCEL_AGAIN_SECONDS = 3.0
EXIT_FAILED = 1
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h


def ready(**fields: object) -> None:
    """Say that the service can be used; call it once all that lives as long is made.

    Parameters
    ----------
    **fields
        What the starter needs to reach it, such as ``endpoint="127.0.0.1:9003"``.
    """
    # What the start made stays: to look through it for cycles stops everything for 50 ms.
    gc.freeze()
    path = os.environ.get("QD_READY_FILE")
    if not path:
        return
    # Written beside and renamed, so that a reader sees all of it or nothing.
    part = Path(f"{path}.part")
    part.write_text(json.dumps({"pid": os.getpid(), **fields}))
    part.replace(path)


def _die_with(parent: int) -> None:
    """Ask the kernel for SIGTERM to this process when its parent dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the call
        os.kill(os.getpid(), signal.SIGTERM)


def run(name: str, main: Callable[[], Awaitable[None]]) -> int:
    """Run a service until it ends or is asked to stop.

    Parameters
    ----------
    name : str
        The service's name in log lines.
    main : callable
        Returns the service's coroutine. It is cancelled on SIGTERM and SIGINT and must
        then clean up and return soon.

    Returns
    -------
    int
        The process's exit code: 0 ended or stopped, 1 failed with an error of the
        system (one line in the log), 70 failed by a defect (traceback in the log).
    """
    if parent := os.environ.get("QD_DIE_WITH_PARENT"):
        _die_with(int(parent))
    try:
        log = configure_logging(name, LogSettings.from_env(os.environ))
    except SettingError as error:
        configure_logging(name).error("failed: %s", error)
        return EXIT_FAILED
    for text in strays(os.environ):
        log.warning("%s", text)
    try:
        asyncio.run(_until_stopped(main, log))
    except QdError as error:
        log.error("failed: %s", error)
        return EXIT_FAILED
    except Exception:
        log.exception("failed by a defect")
        return EXIT_BUG
    log.info("stopped")
    return 0


async def _until_stopped(main: Callable[[], Awaitable[None]], log: FieldLogger) -> None:
    """Run the coroutine; SIGTERM and SIGINT cancel it, again and again if it goes on."""
    task = asyncio.ensure_future(main())
    loop = asyncio.get_running_loop()
    stopping = False

    def cancel() -> None:
        if not task.done():
            task.cancel()
            # An error while closing may have taken the cancellation's place.
            loop.call_later(CANCEL_AGAIN_SECONDS, cancel)

    def stop(number: signal.Signals) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            log.info("stopping on %s", number.name)
            cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not stopping:  # a service never ends in silence
            raise RuntimeError("cancelled, but by no signal") from None
