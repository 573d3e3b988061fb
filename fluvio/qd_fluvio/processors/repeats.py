"""Which outputs were written before a crash, so that a replay does not write them again.

Sans-IO. Stamped records are told by the highest place found in their topic; unstamped ones,
where the processor is the only writer, by the records found behind the checkpoint.
"""

from __future__ import annotations

import hashlib
from collections import deque

from qd_fluvio.api import Record
from qd_fluvio.processors.errors import NotAlone
from qd_fluvio.processors.pipeline import Output
from qd_fluvio.processors.stamps import Place, Source, read_stamp

_DIGEST_BYTES = 16


class Tail:
    """What is known of one topic's records behind a checkpoint.

    Parameters
    ----------
    topic : str
        For messages.
    place : Place or None
        The highest place that is known to be written.
    """

    def __init__(self, topic: str, place: Place | None) -> None:
        self.topic = topic
        self.place = place
        self.repeated = 0
        self._found: deque[bytes] = deque()

    def saw_stamped(self, record: Record, source: Source) -> None:
        """Take a record of a topic whose records are stamped; others' do not count."""
        found = read_stamp(record.key)
        if found is not None and found[0] == source:
            self.place = found[1] if self.place is None else max(self.place, found[1])

    def saw(self, record: Record) -> None:
        """Take a record of a topic that nobody else writes."""
        self._found.append(_digest(record.key, record.value))

    def is_new(self, output: Output) -> bool:
        """Whether an output is not written yet.

        Raises
        ------
        NotAlone
            The topic holds something else where this output was expected.
        """
        if output.stamped:
            if self.place is not None and output.place <= self.place:
                self.repeated += 1
                return False
            self.place = output.place
            return True
        if not self._found:
            return True
        if self._found.popleft() != _digest(output.key, output.value):
            raise NotAlone(
                f"topic {self.topic!r} holds another record than {self._expected(output)}: either "
                "something else writes there, or the processor does not give the same each time; "
                "run it without --sole-writer"
            )
        self.repeated += 1
        return False

    @staticmethod
    def _expected(output: Output) -> str:
        return f"what offset {output.place.offset} gave"


def _digest(key: bytes | None, value: bytes) -> bytes:
    head = b"-" if key is None else b"%d:%b" % (len(key), key)
    return hashlib.blake2b(head + value, digest_size=_DIGEST_BYTES).digest()
