"""A processor's checkpoint: its states, the input offset they belong to, and what is written.

Bytes and back, in parts that fit records, so that a checkpoint is whole or not there at all.
Sans-IO.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from qd_fluvio.processors.errors import StateUnusable
from qd_fluvio.processors.stamps import Place, Source

PART_BYTES: Final = 900_000
"""What one record of the state's topic holds."""
PARTS_MAX: Final = 64
"""So a state has at most 57.6 MB."""

_HEAD: Final = struct.Struct("<4sBQIII")  # magic, version, number, part, parts, checksum of all
_MAGIC: Final = b"qdcp"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Written:
    """How far a topic is written.

    Attributes
    ----------
    mark : int
        The offset in the output's partition behind which nothing is known yet.
    place : Place or None
        The highest place of a stamped record before it.
    """

    mark: int
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A moment to go on from.

    Attributes
    ----------
    source : Source
        Whose it is.
    steps : tuple of str
        The steps whose states it holds.
    next_offset : int
        The input record that comes next.
    last : (int, int) or None
        Offset and time of the newest record that was taken.
    states : tuple of bytes
        One a step.
    written : dict of str to Written
        Each output topic.
    """

    source: Source
    steps: tuple[str, ...]
    next_offset: int
    last: tuple[int, int] | None = None
    states: tuple[bytes, ...] = ()
    written: dict[str, Written] = field(default_factory=dict)

    def fits(self, source: Source, steps: tuple[str, ...]) -> None:
        """Refuse the checkpoint of another processor.

        Raises
        ------
        StateUnusable
            It is of another source, or of other steps.
        """
        if self.source != source:
            raise StateUnusable(
                f"the state of {source.processor!r} belongs to partition {self.source.partition} "
                f"of topic {self.source.topic!r}, not to partition {source.partition} of "
                f"{source.topic!r}: choose another --id"
            )
        if self.steps != steps:
            raise StateUnusable(
                f"the state of {source.processor!r} is of the steps {_list(self.steps)}, but its "
                f"steps are {_list(steps)}: choose another --id, or delete its state topic to "
                "begin anew"
            )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def encode(checkpoint: Checkpoint) -> bytes:
    """Write a checkpoint: a line of JSON, then the states."""
    source = checkpoint.source
    head = {
        "processor": source.processor,
        "topic": source.topic,
        "partition": source.partition,
        "steps": checkpoint.steps,
        "next_offset": checkpoint.next_offset,
        "last": checkpoint.last,
        "states": [len(state) for state in checkpoint.states],
        "written": {topic: [to.mark, to.place] for topic, to in checkpoint.written.items()},
    }
    return b"".join((json.dumps(head).encode(), b"\n", *checkpoint.states))


def decode(data: bytes) -> Checkpoint:
    """Read what `encode` wrote.

    Raises
    ------
    StateUnusable
        The bytes are something else.
    """
    text, _, rest = data.partition(b"\n")
    try:
        return _checkpoint(json.loads(text), rest)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise StateUnusable(
            f"{len(data)} bytes that are no checkpoint ({error}); "
            "delete the processor's state topic to begin anew"
        ) from None


def _checkpoint(head: dict[str, Any], rest: bytes) -> Checkpoint:
    states = []
    at = 0
    for size in head["states"]:
        states.append(rest[at : at + size])
        at += size
    if at != len(rest):
        raise ValueError(f"{len(rest)} bytes of states where {at} were expected")
    return Checkpoint(
        Source(head["processor"], head["topic"], head["partition"]),
        tuple(head["steps"]),
        head["next_offset"],
        None if head["last"] is None else (head["last"][0], head["last"][1]),
        tuple(states),
        {
            topic: Written(mark, None if place is None else Place(*place))
            for topic, (mark, place) in head["written"].items()
        },
    )


def parts_of(data: bytes, number: int) -> list[bytes]:
    """Cut a checkpoint into values of records.

    Raises
    ------
    StateUnusable
        It is too large.
    """
    count = max(-(-len(data) // PART_BYTES), 1)
    if count > PARTS_MAX:
        raise StateUnusable(
            f"a state of {len(data)} bytes; at most {PARTS_MAX * PART_BYTES} can be kept: "
            "remember fewer keys, or shorter"
        )
    checksum = zlib.crc32(data)
    return [
        _HEAD.pack(_MAGIC, _VERSION, number, part, count, checksum)
        + data[part * PART_BYTES : (part + 1) * PART_BYTES]
        for part in range(count)
    ]


class Part(NamedTuple):
    """One record of a checkpoint."""

    number: int
    part: int
    parts: int
    checksum: int
    data: bytes


def read_part(value: bytes) -> Part:
    """Read one record of a state's topic.

    Raises
    ------
    StateUnusable
        It is something else.
    """
    if len(value) < _HEAD.size or value[:5] != _MAGIC + bytes([_VERSION]):
        raise StateUnusable(
            f"a record of {len(value)} bytes that is no part of a checkpoint; "
            "is the state's topic used for something else? choose another --id"
        )
    _, _, number, part, parts, checksum = _HEAD.unpack_from(value)
    return Part(number, part, parts, checksum, value[_HEAD.size :])


def newest_whole(values: Sequence[bytes]) -> tuple[int, Checkpoint] | None:
    """The newest checkpoint of which all parts are there, and its number.

    Parameters
    ----------
    values : sequence of bytes
        Consecutive records of the state's topic; the last of them is its last.
    """
    parts = [read_part(value) for value in values]
    for end in range(len(parts), 0, -1):
        count = parts[end - 1].parts
        run = parts[max(end - count, 0) : end]
        if [part.part for part in run] != list(range(count)) or len(set(map(_of, run))) != 1:
            continue
        data = b"".join(part.data for part in run)
        if zlib.crc32(data) == run[0].checksum:
            return run[0].number, decode(data)
    return None


def _of(part: Part) -> tuple[int, int, int]:
    return part.number, part.parts, part.checksum
