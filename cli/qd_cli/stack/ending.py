"""Ending processes: a signal, patience, then SIGKILL for them and all their children."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterable, Sequence

from qd_cli.stack.events import Event, EventKind, Tell
from qd_cli.stack.processes import family, has_ended, send
from qd_client.local import Identity

KILL_SECONDS_MAX = 5.0
_POLL_SECONDS = 0.02


class Ender:
    """Ends processes.

    Parameters
    ----------
    tell : callable
        Gets an `Event` for each thing that happens.
    hurry : asyncio.Event
        Once it is set nothing gets patience any more.
    patience_seconds : float
        How long a process may take after the signal.
    """

    def __init__(self, tell: Tell, hurry: asyncio.Event, patience_seconds: float) -> None:
        self._tell = tell
        self._hurry = hurry
        self._patience_seconds = patience_seconds

    async def end(
        self, part: str, identities: Iterable[Identity], number: signal.Signals = signal.SIGTERM
    ) -> None:
        """End processes of a part; return when none of them, and no child, is left."""
        targets = [identity for identity in identities if not has_ended(identity)]
        if not targets:
            return
        begin = time.monotonic()
        members = family(targets)
        for identity in targets:
            self._tell(Event(EventKind.STOPPING, part, identity.pid))
            send(identity, number)
        stopped = await self._gone(targets)
        # A worker that outlived its service has nobody to serve.
        members = list(dict.fromkeys([*members, *family(targets)]))
        for identity in members:
            send(identity, signal.SIGKILL)
        await _until(members, KILL_SECONDS_MAX)
        kind = EventKind.STOPPED if stopped else EventKind.KILLED
        for identity in targets:
            self._tell(Event(kind, part, identity.pid, time.monotonic() - begin))

    async def _gone(self, identities: Sequence[Identity]) -> bool:
        return await _until(identities, self._patience_seconds, self._hurry)


async def _until(
    identities: Sequence[Identity], seconds_max: float, hurry: asyncio.Event | None = None
) -> bool:
    """Wait until all have ended; False when the time is over, or haste was asked for."""
    deadline = time.monotonic() + seconds_max
    while not all(has_ended(identity) for identity in identities):
        if time.monotonic() >= deadline or (hurry is not None and hurry.is_set()):
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True
