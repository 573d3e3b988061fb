"""What the supervisor tells while it works. Only values."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class EventKind(enum.StrEnum):
    """What happened to a part."""

    STARTING = "starting"
    READY = "ready"
    RUNNING = "running"
    """It ran before and was left alone."""
    EXTERNAL = "external"
    """A setting names one that runs elsewhere."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    KILLED = "killed"
    """It did not stop in time."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a part."""

    kind: EventKind
    part: str
    pid: int | None = None
    seconds: float = 0.0


Tell = Callable[[Event], None]


def tell_nobody(_event: Event) -> None:
    """Ignore an event."""
