"""From batches to records, in order and each once: the proof that none is missing.

Offsets within a partition are contiguous, so the header of each batch shows whether something
lies between it and the one before. No sockets: batches in, records out.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from functools import partial

from qd_fluvio.api import Record
from qd_fluvio.errors import RecordsMissing
from qd_fluvio.wire.records import Batch
from qd_fluvio.wire.unpacking import unpack_columns

# A named tuple's own constructor takes twice as long.
_record: Callable[[Iterable[object]], Record] = partial(tuple.__new__, Record)


class Opener:
    """Opens the batches of one partition.

    Parameters
    ----------
    name : str
        The partition, for messages.
    next_offset : int
        The record that must come first.
    """

    def __init__(self, name: str, next_offset: int) -> None:
        self._name = name
        self.next_offset = next_offset
        self.opened_bytes = 0  # what the batch opened last takes, not compressed

    def open(self, portion: memoryview, batch: Batch) -> list[Record]:
        """The records of a batch from the next offset on; none where all came before.

        Raises
        ------
        RecordsMissing
            Offsets are missing before it.
        WireError
            It is damaged.
        """
        if batch.base_offset > self.next_offset:
            raise RecordsMissing(
                f"{self._name}: offset {batch.base_offset} came where {self.next_offset} was "
                "expected"
            )
        if batch.next_offset <= self.next_offset:
            self.opened_bytes = 0
            return []
        found = unpack_columns(portion, batch)
        offsets = range(batch.base_offset, batch.next_offset)
        records = _made(zip(offsets, found.timestamps_ms, found.keys, found.values, strict=True))
        known = self.next_offset - batch.base_offset
        self.next_offset = batch.next_offset
        self.opened_bytes = found.opened_bytes
        return records[known:] if known else records


def _made(columns: Iterable[tuple[object, ...]]) -> list[Record]:
    """Records out of their fields.

    Python looks for cycles after some hundred new tuples, also where, as here, none can be
    thrown away yet; for thousands at once that takes as long as making them.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return list(map(_record, columns))
    finally:
        if collecting:
            gc.enable()
