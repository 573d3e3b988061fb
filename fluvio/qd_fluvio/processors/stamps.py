"""The key that says which input record an output record came of.

``qd/PROCESSOR/TOPIC/PARTITION/OFFSET/NUMBER``: the number counts what one input record gave to
one topic. Dead letters have their reason behind it, after a space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

FINISH_NUMBER: Final = 1 << 40
"""What is given out at the end of an input counts from here, behind its last record's own."""
_FORM: Final = re.compile(
    rb"qd/([a-z0-9-]{1,63})/([a-z0-9-]{1,63})/([0-9]{1,10})/([0-9]{1,19})/([0-9]{1,19})(?: .*)?",
    re.S,
)


class Place(NamedTuple):
    """Where an output record stands among all that its processor makes of one partition."""

    offset: int
    number: int  # among what the input record gave to the same topic


@dataclass(frozen=True, slots=True)
class Source:
    """One partition as one processor reads it.

    Attributes
    ----------
    processor : str
        The processor's id: of a-z, 0-9 and hyphens.
    topic, partition
        What it reads.
    """

    processor: str
    topic: str
    partition: int
    _prefix: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        prefix = f"qd/{self.processor}/{self.topic}/{self.partition}/".encode()
        object.__setattr__(self, "_prefix", prefix)

    def stamp(self, place: Place) -> bytes:
        """The key of an output record."""
        return b"%b%d/%d" % (self._prefix, *place)


def read_stamp(key: bytes | None) -> tuple[Source, Place] | None:
    """What a key says, or None where it is no stamp."""
    match = _FORM.fullmatch(key) if key is not None and key.startswith(b"qd/") else None
    if match is None:
        return None
    processor, topic, partition, offset, number = match.groups()
    source = Source(processor.decode(), topic.decode(), int(partition))
    return source, Place(int(offset), int(number))


def users_key(key: bytes | None) -> bytes | None:
    """A record's key where it is its writer's own; None where it is a stamp."""
    return None if read_stamp(key) is not None else key
