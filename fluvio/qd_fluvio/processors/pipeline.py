"""From input records to output records: steps, keys that say where each came from, dead letters.

Sans-IO: the same input from the same state gives the same output records at the same places,
however it is cut into calls.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from qd_fluvio.api import Record
from qd_fluvio.limits import RECORD_BYTES_MAX
from qd_fluvio.processors.processor import Processor, Work
from qd_fluvio.processors.stamps import FINISH_NUMBER, Place, Source, users_key
from qd_fluvio.processors.values import Failure, Fed, Item

REASON_CHARACTERS_MAX: Final = 2_000


class Output(NamedTuple):
    """One record to be written.

    Attributes
    ----------
    place : Place
        Its place among all that comes of the input partition; it rises within a topic.
    stamped : bool
        Whether its key says so; otherwise the key is the function's own.
    """

    topic: str
    key: bytes | None
    value: bytes
    place: Place
    stamped: bool


class Pipeline:
    """One processor over one partition.

    Parameters
    ----------
    source : Source
        Who reads what.
    processor : Processor
        What is done.
    to : str or None
        Where records go that name no topic.
    dead_letters : str
        Where records go that fail.
    stamp : bool
        Whether records without a key of their own get one that says where they came from.
    """

    def __init__(
        self,
        source: Source,
        processor: Processor,
        *,
        to: str | None,
        dead_letters: str,
        stamp: bool = True,
    ) -> None:
        self.work = Work(processor.steps)
        self._source = source
        self._to = to
        self._dead_letters = dead_letters
        self._stamp = stamp
        self._counted = -1  # the input offset whose outputs are counted
        self._counts: dict[str, int] = {}

    def feed(self, records: Sequence[Record]) -> list[Output]:
        """Process records that follow those before; each topic's outputs are in order."""
        items = [
            Item(record.offset, record.timestamp_ms, users_key(record.key), record.value)
            for record in records
        ]
        return self._outputs(self.work.feed(items), 0)

    def finish(self) -> list[Output]:
        """Give out what is still open."""
        return self._outputs(self.work.finish(), FINISH_NUMBER)

    def _outputs(self, fed: Fed, first: int) -> list[Output]:
        failures = list(fed.failures)
        outputs: list[Output] = []
        for item in fed.items:
            made = self._output(item, first)
            if isinstance(made, Output):
                outputs.append(made)
            else:
                failures.append(made)
        failures.sort(key=lambda failure: failure.item.origin)
        self._counted = -1  # the letters begin at the first offset again
        outputs += [self._letter(failure, first) for failure in failures]
        self._counted = -1
        return outputs

    def _output(self, item: Item, first: int) -> Output | Failure:
        topic = item.topic or self._to
        if topic is None:
            return Failure(item, "output", "it names no topic and there is no default: give --to")
        if topic in (self._dead_letters, self._source.topic):
            return Failure(item, "output", f"it goes to {topic!r}: the input, or the dead letters")
        stamped = self._stamp and item.key is None
        place = self._place(item.origin, topic, first)
        key = self._source.stamp(place) if stamped else item.key
        size = len(item.value) + len(key or b"")
        if size > RECORD_BYTES_MAX:
            return Failure(item, "output", f"{size} bytes; at most {RECORD_BYTES_MAX} fit a record")
        return Output(topic, key, item.value, place, stamped)

    def _place(self, origin: int, topic: str, first: int) -> Place:
        if origin != self._counted:
            self._counted = origin
            self._counts.clear()
        number = self._counts.get(topic, first)
        self._counts[topic] = number + 1
        return Place(origin, number)

    def _letter(self, failure: Failure, first: int) -> Output:
        """A dead letter: the record's value as it is, and all else in the key."""
        item = failure.item
        place = self._place(item.origin, self._dead_letters, first)
        said: dict[str, object] = {
            "processor": self._source.processor,
            "step": failure.step,
            "reason": failure.reason[:REASON_CHARACTERS_MAX],
            "topic": self._source.topic,
            "partition": self._source.partition,
            "offset": item.origin,
            "timestamp_ms": item.timestamp_ms,
            "key": None if item.key is None else base64.b64encode(item.key).decode(),
        }
        stamp, value = self._source.stamp(place), item.value
        key = _key(stamp, said)
        if len(key) + len(value) > RECORD_BYTES_MAX:  # it is still where it was read
            said |= {"key": None, "left_out_bytes": len(value)}
            key, value = _key(stamp, said), b""
        return Output(self._dead_letters, key, value, place, True)


def _key(stamp: bytes, said: dict[str, object]) -> bytes:
    return stamp + b" " + json.dumps(said, ensure_ascii=False).encode(errors="replace")


def read_letter(record: Record) -> dict[str, object]:
    """What a dead letter's key says: processor, step, reason, topic, partition, offset, key.

    Raises
    ------
    ValueError
        The record is no dead letter.
    """
    _, _, text = (record.key or b"").partition(b" ")
    said: dict[str, object] = json.loads(text)
    return said
