"""What runs, what died, and what it uses: a look at a stack that changes nothing."""

from __future__ import annotations

import enum
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qd_cli.stack.memory import Memory, measure
from qd_cli.stack.parts import Part
from qd_cli.stack.processes import family, marked
from qd_cli.stack.record import PART_LABEL, StateFolder
from qd_client.local import Identity, PartRecord, StackRecord, is_alive


class PartState(enum.StrEnum):
    """Where a part's process is in its life."""

    RUNNING = "running"
    STARTING = "starting"
    DIED = "died"
    STOPPED = "stopped"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part's row of ``qd status``."""

    name: str
    state: PartState
    pid: int | None = None
    uptime_seconds: float | None = None
    memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    endpoint: str | None = None


def read_status(
    folder: StateFolder, parts: Sequence[Part], record: StackRecord | None = None
) -> list[PartStatus]:
    """Look at every part of a stack.

    Parameters
    ----------
    folder : StateFolder
        Where the stack keeps its record.
    parts : sequence of Part
        What a stack has.
    record : StackRecord, optional
        The record, where the caller has it already.
    """
    record = record if record is not None else folder.read()
    groups = marked(folder.mark, PART_LABEL) if record.parts else {}
    return [_part_status(part, record, groups.get(part.name, [])) for part in parts]


def _part_status(part: Part, record: StackRecord, marked_now: Iterable[Identity]) -> PartStatus:
    endpoint = record.settings.get(part.provides.setting) if part.provides else None
    if part.provides and part.provides.setting in record.external:
        return PartStatus(part.name, PartState.EXTERNAL, endpoint=_public(endpoint))
    started = record.parts.get(part.name)
    if started is None:
        return PartStatus(part.name, PartState.STOPPED)
    if not is_alive(started.identity):
        return PartStatus(part.name, PartState.DIED, endpoint=_public(endpoint))
    memory = part_memory(started, marked_now)
    return PartStatus(
        part.name,
        PartState.RUNNING if started.ready is not None else PartState.STARTING,
        pid=started.pid,
        uptime_seconds=max(0.0, time.time() - started.started_at),
        memory_bytes=memory.now_bytes,
        peak_memory_bytes=memory.peak_bytes,
        endpoint=_public(endpoint),
    )


def part_memory(started: PartRecord, marked_now: Iterable[Identity]) -> Memory:
    """Memory of a part: its process, its workers, and servers that left its family.

    A database server started in the background is no descendant of its starter, but it
    still carries the part's mark.
    """
    return measure(family([started.identity, *marked_now]))


def _public(endpoint: str | None) -> str | None:
    """Leave out what of a DSN may be a password: that of its user, and all parameters."""
    if endpoint is None or "://" not in endpoint:
        return endpoint
    scheme, _, rest = endpoint.partition("?")[0].partition("://")
    credentials, mark, host = rest.rpartition("@")
    return f"{scheme}://{credentials.partition(':')[0]}{mark}{host}"
