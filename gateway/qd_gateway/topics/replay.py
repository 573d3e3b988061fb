"""From where the control topic is read for clients whose slots were saved. Pure.

What was sent while nobody served them is handled now, as if it had just come: but no more than
the last minute, since who asked before has asked again or given up, and no more records than
can be read in a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

REPLAY_SECONDS_MAX: Final = 60.0
REPLAY_RECORDS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Replay:
    """How slots are served from now on.

    Attributes
    ----------
    handled : mapping of int to int
        Of each slot: the offset up to which its records are handled, or shall not be.
    timed : set of int
        Slots that were saved so long ago that their records are looked at by their times.
    restarted : set of int
        Slots that were saved of another topic of this name: the offsets that their sessions
        know mean nothing in this one.
    """

    handled: Mapping[int, int]
    timed: frozenset[int]
    restarted: frozenset[int]

    @property
    def begin(self) -> int:
        """The offset to read on from."""
        return min(self.handled.values()) + 1


def replay_of(
    slots: Iterable[int], saved: Mapping[int, tuple[int, float]], position: int, end: int
) -> Replay:
    """How slots go on.

    Parameters
    ----------
    slots : iterable of int
        Which, at least one.
    saved : mapping
        Of slots that were ever saved: the next offset, and how many seconds ago that was.
    position : int
        The offset that is read next.
    end : int
        That of the next record that will be written; at least `position`.
    """
    handled, timed, restarted = {}, set(), set()
    earliest = max(end - REPLAY_RECORDS_MAX, 0)
    for slot in slots:
        offset, age_s = saved.get(slot, (position, 0.0))
        if offset > end:
            restarted.add(slot)
            offset, age_s = 0, REPLAY_SECONDS_MAX + 1
        if age_s > REPLAY_SECONDS_MAX:
            timed.add(slot)
        handled[slot] = max(offset, earliest) - 1
    return Replay(handled, frozenset(timed), frozenset(restarted))


def is_too_old(timestamp_ms: int, now_ms: float) -> bool:
    """Whether a record of this time is not handled any more; some producers give none."""
    return 0 <= timestamp_ms < now_ms - REPLAY_SECONDS_MAX * 1_000
