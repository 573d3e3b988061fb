"""The supervisor: starts, watches and stops the processes of a stack. It prints nothing."""

from __future__ import annotations

from qd_cli.stack.events import Event, EventKind
from qd_cli.stack.parts import Choices, Part, qd_parts
from qd_cli.stack.record import StateFolder
from qd_cli.stack.status import PartState, PartStatus, read_status
from qd_cli.stack.supervisor import Supervisor
from qd_client.local import Identity, PartRecord, StackRecord

__all__ = [
    "Choices",
    "Event",
    "EventKind",
    "Identity",
    "Part",
    "PartRecord",
    "PartState",
    "PartStatus",
    "StackRecord",
    "StateFolder",
    "Supervisor",
    "qd_parts",
    "read_status",
]
