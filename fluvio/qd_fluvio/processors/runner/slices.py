"""How many records are processed at a time: as many as take about a tenth of a second.

Pure. While records are processed nothing else runs: no signal is heard, no other partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qd_fluvio.api import Record

RECORDS_FIRST: Final = 64
RECORDS_MAX: Final = 8_192
BYTES_MAX: Final = 1024 * 1024
"""What a slice takes in memory is this, and what becomes of it."""
SECONDS_WANTED: Final = 0.1


class Slices:
    """Cuts batches, and learns from how long a slice took."""

    def __init__(self) -> None:
        self.records = RECORDS_FIRST

    def cut(self, batch: Sequence[Record], start: int) -> Sequence[Record]:
        """The slice that begins at `start`: at least one record."""
        end, size = start + 1, len(batch[start].value)
        last = min(start + self.records, len(batch))
        while end < last and size + len(batch[end].value) <= BYTES_MAX:
            size += len(batch[end].value)
            end += 1
        return batch[start:end]

    def took(self, records: int, seconds: float) -> None:
        """Note how long a slice of so many records took."""
        if seconds > SECONDS_WANTED:
            self.records = max(min(records, self.records) // 2, 1)
        elif records == self.records and seconds < SECONDS_WANTED / 4:
            self.records = min(self.records * 2, RECORDS_MAX)
