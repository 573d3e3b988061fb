"""Who watches for changes, and what each has not been told yet.

What waits for a watcher is bounded by the number of markets: of several changes of one, the
last waits. So a watcher that reads slowly, or not at all, costs no more than that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator

from qd_symdb.directory import Change, Kind


class WatchEnded(Exception):
    """The watch may have missed changes; the message says why."""


class Watcher:
    """One watch.

    Parameters
    ----------
    exchange_id : int
        0 means all exchanges.
    """

    def __init__(self, exchange_id: int) -> None:
        self._exchange_id = exchange_id
        self._pending: dict[tuple[int, int], Change] = {}
        self._ended: str | None = None
        self._awake = asyncio.Event()

    def push(self, changes: Iterable[Change]) -> None:
        """Tell it of changes."""
        for change in changes:
            if self._exchange_id in (0, change.entry.key[0]):
                merged = _merged(self._pending.pop(change.entry.key, None), change)
                if merged is not None:
                    self._pending[change.entry.key] = merged
        if self._pending:
            self._awake.set()

    def end(self, why: str) -> None:
        """Have its next `take` raise."""
        self._ended = why
        self._awake.set()

    async def take(self, seconds: float, most: int) -> list[Change]:
        """Wait for changes and give the oldest of them; none after so many seconds.

        Raises
        ------
        WatchEnded
            Changes may have been missed.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        if self._ended is not None:
            raise WatchEnded(self._ended)
        taken = [self._pending.pop(key) for key in list(self._pending)[:most]]
        if not self._pending:
            self._awake.clear()
        return taken


class Watchers:
    """All watches."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def __len__(self) -> int:
        return len(self._watchers)

    @contextlib.contextmanager
    def watching(self, exchange_id: int) -> Iterator[Watcher]:
        """Watch while the block runs."""
        watcher = Watcher(exchange_id)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def push(self, changes: list[Change]) -> None:
        """Tell all of changes."""
        for watcher in self._watchers if changes else ():
            watcher.push(changes)

    def end(self, why: str) -> None:
        """End all watches."""
        for watcher in self._watchers:
            watcher.end(why)


def _merged(before: Change | None, after: Change) -> Change | None:
    """One change that says what two did, to who knows of neither; None if that is nothing."""
    match before and before.kind, after.kind:
        case Kind.ADDED, Kind.REMOVED:
            return None
        case Kind.ADDED, Kind.CHANGED:
            return Change(Kind.ADDED, after.entry)
        case Kind.REMOVED, Kind.ADDED:
            return Change(Kind.CHANGED, after.entry)
    return after
