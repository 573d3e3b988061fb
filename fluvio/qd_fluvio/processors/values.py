"""What flows through processors: items in, items and failures out.

Values and one Protocol; nothing here acts on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from qd_fluvio.api import Record


class Item(NamedTuple):
    """One record on its way: the input record it comes from, and what it is by now.

    A tuple, because it is made a hundred thousand times a second.
    """

    origin: int  # the offset of the input record that caused it
    timestamp_ms: int
    key: bytes | None
    value: bytes
    topic: str | None = None  # None: where the processor writes by default


class Failure(NamedTuple):
    """An item that a step could not process, whole, and why."""

    item: Item
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Out:
    """What a function gives where a value alone is not enough.

    Attributes
    ----------
    value : object
        Encoded by the processor's codec.
    key : bytes or None
        The record's key. None leaves the key to the runner, which then writes each record
        once even after a crash.
    topic : str or None
        Where it goes; None goes where the processor writes by default.
    """

    value: Any
    key: bytes | None = None
    topic: str | None = None


@dataclass(slots=True)
class Fed:
    """What came of some items, both in the order of their origins."""

    items: list[Item] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class Stage(Protocol):
    """One step at work, with its state.

    What comes of an item depends on the items before it alone, never on how they were cut
    into calls of `feed`: this is what makes a replay after a crash give the same records.
    """

    def feed(self, items: Sequence[Item]) -> Fed:
        """Process items in order. An item that fails leaves the state as it was."""
        ...

    def finish(self, origin: int, timestamp_ms: int) -> Fed:
        """Give out what is still open, as if the input were over; the state is then empty."""
        ...

    def snapshot(self) -> bytes:
        """The state; empty where there is none."""
        ...

    def restore(self, state: bytes) -> None:
        """Take a state that `snapshot` gave."""
        ...


class Stateless:
    """The half of a stage that steps without a state share."""

    __slots__ = ()

    def finish(self, origin: int, timestamp_ms: int) -> Fed:
        """Nothing is open."""
        return Fed()

    def snapshot(self) -> bytes:
        """There is no state."""
        return b""

    def restore(self, state: bytes) -> None:
        """There is no state."""


def item_of(record: Record) -> Item:
    """A record as it enters a pipeline."""
    return Item(record.offset, record.timestamp_ms, record.key, record.value)


def reason_of(error: BaseException) -> str:
    """Why something failed, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
