"""How much memory a family of processes uses and has used at most. Reads only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qd_client.local import Identity

_KIB = 1024
_FIELDS = ("VmHWM", "VmRSS", "RssShmem")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes resident now and at most, shared memory counted once for the family."""

    now_bytes: int = 0
    peak_bytes: int = 0


def measure(processes: Iterable[Identity]) -> Memory:
    """Add up a family's memory.

    The kernel keeps each process's peak (VmHWM of proc(5)); processes need not have
    peaked together, so the sum is an upper bound. PostgreSQL's processes share their
    buffers: what is shared is counted once, at its largest.
    """
    now = peak = shared = 0
    for identity in processes:
        fields = _status(identity.pid)
        own_share = fields["RssShmem"]
        now += max(0, fields["VmRSS"] - own_share)
        peak += max(0, fields["VmHWM"] - own_share)
        shared = max(shared, own_share)
    return Memory(now + shared, peak + shared)


def _status(pid: int) -> dict[str, int]:
    """Memory fields of ``/proc/PID/status`` in bytes; zeros for a process that is gone."""
    found = dict.fromkeys(_FIELDS, 0)
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name in found:
                found[name] = int(value.split()[0]) * _KIB
    return found
