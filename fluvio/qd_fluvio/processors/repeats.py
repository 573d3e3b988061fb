"""Which outputs were written before a crash, so that a replay does not write them again.

Sans-IO. Stamped records are told by the highest place found in their topic; unstamped ones,
where the processor is the only writer, by the records found behind the checkpoint.
"""

from __future__ import annotations

import hashlib
from collections import deque

from qd_fluvio.api import Record
from qd_fluvio.processors.checkpoint import Written
from qd_fluvio.processors.errors import NotAlone
from qd_fluvio.processors.pipeline import Output
from qd_fluvio.processors.stamps import Source, read_stamp

_DIGEST_BYTES = 16


class Tail:
    """One output topic: what it held when a run began, and how far it is written since.

    Parameters
    ----------
    topic : str
        For messages.
    source : Source
        Whose stamps count.
    before : Written
        What the checkpoint says.
    end : int
        Where the topic ends now. What lies from `start` to there is to be given to `saw`.
    counts : bool
        Whether the source is the topic's only writer and puts no stamps there.
    """

    def __init__(
        self, topic: str, source: Source, before: Written, end: int, *, counts: bool
    ) -> None:
        # A topic that is shorter than it was has been deleted and made again.
        self.start = before.mark if before.mark <= end else 0
        self.end = end
        self._topic = topic
        self._source = source
        self._counts = counts
        self._place = before.place
        self._mark = self.start if counts else end
        self._passed = 0  # records behind the mark that are ours for certain
        self._found: deque[bytes] = deque()

    def saw(self, record: Record) -> None:
        """Take a record that the topic holds behind the checkpoint."""
        if self._counts:
            self._found.append(_digest(record.key, record.value))
            return
        found = read_stamp(record.key)
        if found is not None and found[0] == self._source:
            self._place = found[1] if self._place is None else max(self._place, found[1])

    def is_new(self, output: Output) -> bool:
        """Whether an output is to be written, which it then must be.

        Raises
        ------
        NotAlone
            The topic holds something else where this output was expected.
        """
        if output.stamped:
            if self._place is not None and output.place <= self._place:
                return False
            self._place = output.place
        elif self._found:
            self._passed += 1
            self._check(self._found.popleft(), output)
            return False
        self._passed += 1
        return True

    def _check(self, found: bytes, output: Output) -> None:
        if found != _digest(output.key, output.value):
            raise NotAlone(
                f"topic {self._topic!r} holds another record than what offset "
                f"{output.place.offset} gave: either something else writes there, or the processor "
                "does not give the same each time; run it without --sole-writer"
            )

    def state(self) -> Written:
        """For the checkpoint, once all is acknowledged.

        Others' records may lie between ours: the mark is then too low, and only has more read.
        """
        return Written(self._mark + self._passed, self._place)


def _digest(key: bytes | None, value: bytes) -> bytes:
    head = b"-" if key is None else b"%d:%b" % (len(key), key)
    return hashlib.blake2b(head + value, digest_size=_DIGEST_BYTES).digest()
