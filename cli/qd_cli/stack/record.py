"""A state folder: where a stack keeps its things, its record ``stack.json``, and its lock.

The file is replaced whole, so a reader sees the old or the new one; it may hold a
database password, so only its owner can read it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from qd_cli.errors import StackBusy, StateBroken
from qd_client.local import RECORD_NAME, StackRecord, read_record

PART_LABEL = "QD_PART"
"""Variable in every process of a stack: the part to which it belongs."""
LOCK_SECONDS_MAX = 90.0
_LOCK_POLL_SECONDS = 0.05


class StateFolder:
    """The paths of a state folder, its record and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.record_file = self.path / RECORD_NAME
        self.lock_file = self.path / "stack.lock"
        self.logs = self.path / "logs"
        self.run = self.path / "run"
        self.rejects = self.path / "rejects"

    def log_file(self, part: str) -> Path:
        """Where a part's output goes."""
        return self.logs / f"{part}.log"

    def ready_file(self, part: str) -> Path:
        """Where a part says that it is ready."""
        return self.run / f"{part}.ready"

    def data(self, part: str) -> Path:
        """Where a part keeps its data."""
        return self.path / part

    @property
    def mark(self) -> str:
        """The environment entry by which all processes of this stack are found."""
        return f"QD_STACK={self.path}"

    def make(self) -> None:
        """Create the folders, readable by their owner only."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            self.run.mkdir(exist_ok=True)
        except OSError as error:
            raise StateBroken(
                f"the state folder {self.path} cannot be made ({error.strerror}): "
                "choose another with --state DIR or QD_STATE"
            ) from error

    def read(self) -> StackRecord:
        """Read the record; an empty one where there is none."""
        return read_record(self.record_file)

    def write(self, record: StackRecord) -> None:
        """Replace the record."""
        part = self.record_file.with_suffix(".json.part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(record.to_json(), file, indent=1)
        part.replace(self.record_file)

    @contextlib.asynccontextmanager
    async def locked(self, seconds_max: float = LOCK_SECONDS_MAX) -> AsyncIterator[None]:
        """Hold the stack's lock; wait for another holder for a while.

        The kernel frees the lock when its holder ends, however it ends.
        """
        self.make()
        with self.lock_file.open("a+") as file:
            await self._lock(file.fileno(), seconds_max)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    async def _lock(self, handle: int, seconds_max: float) -> None:
        deadline = time.monotonic() + seconds_max
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = self.lock_file.read_text() or "unknown"
                    raise StackBusy(
                        f"another qd command (pid {holder}) is changing the stack in "
                        f"{self.path}: wait for it to end, then try again"
                    ) from None
                await asyncio.sleep(_LOCK_POLL_SECONDS)
            else:
                return
