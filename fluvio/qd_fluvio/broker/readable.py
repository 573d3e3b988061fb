"""A partition's log as those see it who read what it has already, and nothing else of it."""

from __future__ import annotations

from typing import Protocol

from qd_fluvio.broker.segment import Portion


class ReadableLog(Protocol):
    """What is read of a partition."""

    @property
    def start_offset(self) -> int:
        """The first offset that can be read."""

    @property
    def end_offset(self) -> int:
        """The next offset to be written."""

    async def prepare(self, offset: int) -> None:
        """Make a read at `offset` quick."""

    def read(self, offset: int, max_bytes: int) -> Portion:
        """Whole batches from the one that holds `offset` on."""
