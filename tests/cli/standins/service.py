"""A stand-in service: a real process that does as its first argument says.

``good`` is ready and waits for SIGTERM, ``stubborn`` ignores SIGTERM, ``dies`` ends before
it is ready, ``silent`` is never ready, ``garbled`` writes a broken ready file, ``parent``
has a child that ignores SIGTERM too. It shares the starting and stopping of real services.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from qd_fluvio import service


def note(text: str) -> None:
    with Path("order.txt").open("a") as file:
        file.write(f"{text}\n")


def start_child() -> None:
    code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(flush=True); signal.pause()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    Path("child.pid").write_text(str(child.pid))


def write_files(behaviour: str, name: str) -> None:
    seen = {key: value for key, value in os.environ.items() if key.startswith("QD_")}
    Path(f"{name}.env").write_text(json.dumps(seen))
    if behaviour == "garbled":
        Path(os.environ["QD_READY_FILE"]).write_text("{")


async def main() -> None:
    behaviour, name, endpoint = sys.argv[1:4]
    if behaviour == "dies":
        print(f"{name}: no luck today", file=sys.stderr)
        raise SystemExit(3)
    write_files(behaviour, name)
    if behaviour == "parent":
        start_child()
    if behaviour == "stubborn":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
    note(f"start {name}")
    if behaviour in ("good", "stubborn", "parent"):
        service.ready(endpoint=endpoint)
    try:
        await asyncio.Event().wait()
    finally:
        note(f"stop {name}")


if __name__ == "__main__":
    raise SystemExit(service.run(sys.argv[2], main))
