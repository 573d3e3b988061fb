"""What a topic may do to records before they are written: find duplicates and drop them.

A partition asks its transform about every batch, in order, and shows it the newest records
again after a restart, or after a write that failed. This module knows no files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from qd_fluvio.wire.metadata import Deduplication
from qd_fluvio.wire.records import WireRecord


@dataclass(frozen=True, slots=True)
class LookBack:
    """Which records a new transform is shown first.

    Attributes
    ----------
    count : int
        So many of the newest, at least.
    age_ms : int
        And all whose time is at most so long before the newest time.
    """

    count: int
    age_ms: int = 0


class Transform(Protocol):
    """Decides which records of one partition are written."""

    @property
    def look_back(self) -> LookBack:
        """What must be remembered before the first decision."""
        ...

    def remember(self, records: Sequence[WireRecord]) -> None:
        """Take records that the partition has already, oldest first."""
        ...

    def keep(self, records: Sequence[WireRecord]) -> Sequence[bool]:
        """Say of each record whether it is written.

        Raises
        ------
        FluvioError
            If it cannot say; nothing is then written.
        """
        ...


# Raises `DeduplicationUnknown` or `DeduplicationNameInvalid` where a topic asks for what
# there is not; gives None where a SmartModule does it before records come here.
TransformFactory = Callable[[Deduplication], Transform | None]
