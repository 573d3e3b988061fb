"""What a topic may do to records before they are written: find duplicates and drop them.

A partition asks its transform about every batch, in order, and shows it the newest records
again after a restart, or after a write that failed. This module knows no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from qd_fluvio.wire.unpacking import Columns


class Transform(Protocol):
    """Decides which records of one partition are written. Called in threads, one at a time."""

    @property
    def look_back(self) -> int:
        """How many of the newest records must be remembered, at least, before `keep` is asked."""

    def remember(self, records: Columns) -> None:
        """Take a batch that the partition has already, oldest first."""

    def keep(self, records: Columns) -> Sequence[bool]:
        """Say of each record of a batch whether it is written.

        Raises
        ------
        FluvioError
            If it cannot say; nothing is then written.
        """
