"""Who watches what, and telling them.

A watcher first gets all objects of its kind, then each change as it happens. One that
does not read gets no backlog: when it reads again, it gets all objects once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from qd_fluvio.broker.settings import WATCH_BACKLOG_BYTES_MAX
from qd_fluvio.wire.admin import (
    ChangeKind,
    EmptyUpdate,
    ModuleChange,
    ModuleUpdate,
    PartitionChange,
    PartitionUpdate,
    SpuUpdate,
    TopicChange,
    TopicUpdate,
    WatchResponse,
)
from qd_fluvio.wire.codec import Labelled, encode
from qd_fluvio.wire.frames import encode_response, response_of
from qd_fluvio.wire.metadata import PARTITION, SPU, TOPIC
from qd_fluvio.wire.modules import SMARTMODULE, summary_of

_CHANGES: dict[str, Callable[[int, Any], Any]] = {
    TOPIC: TopicChange,
    PARTITION: PartitionChange,
    SMARTMODULE: ModuleChange,
}
_UPDATES: dict[str, Callable[..., Any]] = {
    TOPIC: TopicUpdate,
    PARTITION: PartitionUpdate,
    SPU: SpuUpdate,
    SMARTMODULE: ModuleUpdate,
}


class Sink(Protocol):
    """The watching client's connection."""

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the client has not taken yet."""

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""

    def push(self, frame: bytes) -> None:
        """Send a whole frame now."""

    async def drained(self) -> None:
        """Return once the client has taken most of what was sent."""


@dataclass(eq=False, slots=True)
class Watcher:
    """One watch request of one connection."""

    label: str
    sink: Sink
    correlation_id: int
    version: int
    summary: bool = False
    catching_up: asyncio.Task[None] | None = field(default=None)


class Watchers:
    """All watches of a broker."""

    def __init__(self, snapshot: Callable[[str], tuple[Any, ...]]) -> None:
        self._snapshot = snapshot
        self._epoch = 0
        self._watchers: set[Watcher] = set()

    def add(self, watcher: Watcher) -> None:
        """Send all objects of the watcher's kind, and what changes from now on."""
        self._watchers.add(watcher)
        self._send_all(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Stop telling a watcher."""
        self._watchers.discard(watcher)
        if watcher.catching_up:
            watcher.catching_up.cancel()

    def publish(self, label: str, kind: ChangeKind, objects: tuple[Any, ...]) -> None:
        """Tell the watchers of this kind that objects came, changed or went."""
        self._epoch += 1
        messages: dict[tuple[int, bool], bytes] = {}  # the same for hundreds of watchers
        for watcher in list(self._watchers):
            if watcher.label == label and not (watcher.catching_up or watcher.sink.closing):
                form = watcher.version, watcher.summary
                if form not in messages:
                    messages[form] = self._changes(watcher, kind, objects)
                self._tell(watcher, messages[form])

    def _changes(self, watcher: Watcher, kind: ChangeKind, objects: tuple[Any, ...]) -> bytes:
        change = _CHANGES[watcher.label]
        changes = tuple(change(kind, item) for item in _shown(watcher, objects))
        update = _UPDATES[watcher.label](self._epoch, changes=changes)
        return encode(WatchResponse(Labelled(watcher.label, update)), watcher.version)

    def _tell(self, watcher: Watcher, message: bytes) -> None:
        if watcher.sink.unsent_bytes <= WATCH_BACKLOG_BYTES_MAX:
            watcher.sink.push(response_of(watcher.correlation_id, message))
        else:
            watcher.catching_up = asyncio.get_running_loop().create_task(self._catch_up(watcher))

    async def _catch_up(self, watcher: Watcher) -> None:
        await watcher.sink.drained()
        watcher.catching_up = None
        self._send_all(watcher)

    def _send_all(self, watcher: Watcher) -> None:
        if watcher.label in _UPDATES:
            objects = _shown(watcher, self._snapshot(watcher.label))
            self._send(watcher, _UPDATES[watcher.label](self._epoch, all=objects))
        else:  # a kind without objects here
            self._send(watcher, encode(EmptyUpdate(self._epoch), watcher.version))

    def _send(self, watcher: Watcher, update: Any) -> None:
        body = WatchResponse(Labelled(watcher.label, update))
        watcher.sink.push(encode_response(watcher.correlation_id, body, watcher.version))


def _shown(watcher: Watcher, objects: tuple[Any, ...]) -> tuple[Any, ...]:
    """The objects as this watcher wants them; only SmartModules have a short form."""
    if watcher.summary and watcher.label == SMARTMODULE:
        return tuple(summary_of(item) for item in objects)
    return objects
