"""Processes by identity: start, measure, end. Knows nothing of stacks.

A pid alone may belong to somebody else by the time it is used, so a process is known by
its pid *and* its start: the kernel's boot id and the start in clock ticks since boot.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from qd_client.local import Identity, identify, is_alive

LOG_BYTES_MAX = 16 * 1024 * 1024


def send(identity: Identity, number: signal.Signals) -> bool:
    """Signal this very process; False when it is gone already."""
    if not is_alive(identity):
        return False
    try:
        # Through a pidfd, checked again after opening it: it cannot hit a successor.
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(identity):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def start(command: Sequence[str], *, env: Mapping[str, str], log_file: Path, cwd: Path) -> Identity:
    """Start a process in a session of its own, so that it outlives the terminal.

    Its output is appended to `log_file`. It must be called from the main thread: a
    process that dies with its parent dies with the *thread* that started it.
    """
    _rotate(log_file)
    with log_file.open("ab") as log:
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=dict(env),
            cwd=cwd,
        )
    _children[popen.pid] = popen
    identity = identify(popen.pid)
    # A process that ended at once is a zombie until it is collected: its pid is still ours.
    return identity or Identity(popen.pid, "ended")


_children: dict[int, subprocess.Popen[bytes]] = {}


def exit_code(identity: Identity) -> int | None:
    """Collect a child of ours that ended; its exit code if it is known."""
    popen = _children.get(identity.pid)
    return None if popen is None else popen.poll()


def has_ended(identity: Identity) -> bool:
    """Tell whether a process has ended; collects it if it is a child of ours."""
    exit_code(identity)
    return not is_alive(identity)


def _rotate(log_file: Path) -> None:
    """Keep one older log once the present one is large."""
    with contextlib.suppress(FileNotFoundError):
        if log_file.stat().st_size > LOG_BYTES_MAX:
            log_file.replace(log_file.with_suffix(".log.1"))


def family(identities: Iterable[Identity]) -> list[Identity]:
    """Return the living among `identities` with all their descendants, each once."""
    found: dict[int, Identity] = {}
    for identity in identities:
        if not is_alive(identity):
            continue
        found[identity.pid] = identity
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(identity.pid).children(recursive=True):
                if child_identity := identify(child.pid):
                    found[child.pid] = child_identity
    return list(found.values())


def marked(entry: str, label: str) -> dict[str, list[Identity]]:
    """Find this user's processes that were started with `entry` (``NAME=value``).

    Descendants inherit it, so this finds those whose parent is long gone.

    Returns
    -------
    dict
        The processes, grouped by the value of their variable `label`.
    """
    wanted, prefix = entry.encode(), f"{label}=".encode()
    found: dict[str, list[Identity]] = {}
    for pid in psutil.pids():
        environ: list[bytes] = []
        with contextlib.suppress(OSError):
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if wanted not in environ or pid == os.getpid():
            continue
        if identity := identify(pid):
            values = (item for item in environ if item.startswith(prefix))
            group = next(values, prefix).removeprefix(prefix).decode(errors="replace")
            found.setdefault(group, []).append(identity)
    return found
