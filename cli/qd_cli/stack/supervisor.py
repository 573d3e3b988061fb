"""Starts and stops the parts of a stack, in order, side by side where nothing forbids it.

It writes the state folder and tells what happens through a callback. It prints nothing
and handles no signal: cancelling ``up`` stops what that ``up`` started.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from qd_cli.stack.ending import Ender
from qd_cli.stack.environment import takes
from qd_cli.stack.events import Event, EventKind, Tell, tell_nobody
from qd_cli.stack.order import in_order
from qd_cli.stack.parts import Choices, Part
from qd_cli.stack.processes import marked
from qd_cli.stack.record import PART_LABEL, StateFolder
from qd_cli.stack.starting import Starter
from qd_cli.tasks import uninterrupted
from qd_client.local import Identity, StackRecord, is_alive

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 10.0


class Supervisor:
    """The processes of one state folder.

    Parameters
    ----------
    folder : StateFolder
        Where the record, the logs and the data are.
    parts : sequence of Part
        What a stack has, each after what it needs.
    tell : callable, optional
        Gets an `Event` for each thing that happens. Where it fails nothing more is started,
        but all is stopped that is to be.
    hurry : asyncio.Event, optional
        Set it to stop without patience: SIGKILL at once.
    start_seconds_max, stop_seconds_max : float
        How long a part may take to become ready, and to end after SIGTERM.
    """

    def __init__(
        self,
        folder: StateFolder,
        parts: Sequence[Part],
        *,
        tell: Tell = tell_nobody,
        hurry: asyncio.Event | None = None,
        start_seconds_max: float = START_SECONDS_MAX,
        stop_seconds_max: float = STOP_SECONDS_MAX,
    ) -> None:
        self.folder = folder
        self._parts = {part.name: part for part in parts}
        self._tell = tell
        self._unheard: Exception | None = None
        self._ender = Ender(self._tell_if_heard, hurry or asyncio.Event(), stop_seconds_max)
        self._start_seconds_max = start_seconds_max
        self._record = StackRecord()

    async def up(self, choices: Choices | None = None) -> StackRecord:
        """Start what does not run; leave alone what does.

        A part that runs with settings that are no longer true (the broker came back
        elsewhere) is started anew. When one fails, all that this call started is stopped.

        Raises
        ------
        PartFailed
            A part ended or stayed silent; the message has the end of its log.
        StackBusy
            Another command holds the stack.
        """
        starter = Starter(self.folder, choices or Choices(), self._start_seconds_max)
        async with self.folder.locked():
            self._record = self.folder.read()
            self._settle_external(starter.choices.external)
            started: list[str] = []
            try:
                await in_order(
                    {part.name: part.needs for part in self._parts.values()},
                    lambda name: self._ensure(self._parts[name], starter, started),
                )
            except BaseException:
                await uninterrupted(self._stop(started))
                raise
            return self._record

    async def down(self, begun: Callable[[], None] | None = None) -> list[str]:
        """Stop every part, those first that need others; data are kept.

        Parameters
        ----------
        begun : callable, optional
            Called once no other command holds the stack, before anything is stopped.

        Returns
        -------
        list of str
            Names of the parts that ran and were stopped.
        """
        async with self.folder.locked():
            if begun is not None:
                begun()
            self._record = self.folder.read()
            known = self._record.parts
            running = [name for name, part in known.items() if is_alive(part.identity)]
            await self._stop(list(known))
            for name, strays in self._strays().items():
                await self._ender.end(name, strays, signal.SIGINT)
            # Where things were is kept, so that they come back at the same ports.
            self._save(replace(self._record, parts={}, external={}))
            if self._unheard is not None:
                raise self._unheard
            return sorted(running, key=[*self._parts, *running].index)

    def _save(self, record: StackRecord) -> None:
        self._record = record
        self.folder.write(record)

    def _settle_external(self, external: Mapping[str, str]) -> None:
        gone = set(self._record.external) - set(external)
        settings = {key: value for key, value in self._record.settings.items() if key not in gone}
        self._save(
            replace(self._record, external=dict(external), settings={**settings, **external})
        )

    async def _ensure(self, part: Part, starter: Starter, started: list[str]) -> None:
        """Bring one part to ready, whatever its state is."""
        settings = {name: self._record.settings[name] for name in self._needed(part)}
        if part.provides and part.provides.setting in self._record.external:
            await self._stop_one(part.name)
            self._tell(Event(EventKind.EXTERNAL, part.name))
            if part.reach:
                await part.reach(self._record.settings)
        elif self._runs_with(part, settings):
            self._tell(Event(EventKind.RUNNING, part.name, self._record.parts[part.name].pid))
            return
        else:
            await self._stop_one(part.name)
            started.append(part.name)
            await self._start(part, settings, starter)
        if part.prepare:
            await part.prepare(self._record.settings)

    def _needed(self, part: Part) -> list[str]:
        """Names of the settings of other parts that a part gets, its needs' needs included."""
        found: list[str] = []
        for need in (self._parts[name] for name in part.needs):
            found += [need.provides.setting] if need.provides else []
            found += self._needed(need)
        return sorted(name for name in set(found) if takes(part, name))

    def _runs_with(self, part: Part, settings: Mapping[str, str]) -> bool:
        known = self._record.parts.get(part.name)
        return (
            known is not None
            and known.ready is not None
            and dict(known.settings) == settings
            and is_alive(known.identity)
        )

    async def _start(self, part: Part, settings: Mapping[str, str], starter: Starter) -> None:
        self._tell(Event(EventKind.STARTING, part.name))
        begin = time.monotonic()
        known = starter.start(part, settings, self._record)
        # Written before it is ready: whoever comes after a crash finds the process.
        self._save(self._record.with_part(part.name, known))
        known = await starter.until_ready(part, known)
        record = self._record.with_part(part.name, known)
        if part.provides and known.ready is not None:
            value = str(known.ready[part.provides.ready_key])
            record = replace(record, settings={**record.settings, part.provides.setting: value})
        self._save(record)
        self._tell(Event(EventKind.READY, part.name, known.pid, time.monotonic() - begin))

    async def _stop(self, names: Sequence[str]) -> None:
        """Stop parts, each after all those that need it."""
        users = {
            name: [part.name for part in self._parts.values() if name in part.needs]
            for name in names
        }
        await in_order(users, self._stop_one)

    async def _stop_one(self, name: str) -> None:
        """Stop a part's process and what it left behind; forget it."""
        if known := self._record.parts.get(name):
            await self._ender.end(name, [known.identity])
        # SIGINT, because a database server that lost its starter takes it as: now.
        await self._ender.end(name, self._strays().get(name, []), signal.SIGINT)
        with contextlib.suppress(OSError):  # a full disk keeps nothing running
            self.folder.ready_file(name).unlink(missing_ok=True)
            self._save(self._record.without_part(name))

    def _tell_if_heard(self, event: Event) -> None:
        """Tell of what is stopped, as long as there is somebody: the stopping goes on."""
        if self._unheard is None:
            try:
                self._tell(event)
            except Exception as error:
                self._unheard = error

    def _strays(self) -> dict[str, list[Identity]]:
        """Processes of this stack by part, whether or not the record knows them."""
        return marked(self.folder.mark, PART_LABEL)
