"""Starting one part: its command and environment, and the wait until it is ready."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qd_cli.errors import PartFailed
from qd_cli.stack.environment import inherited
from qd_cli.stack.parts import DATABASE, DATABASE_FILE, FLUVIO, SYMDB, Choices, Part
from qd_cli.stack.processes import exit_code, start
from qd_cli.stack.record import PART_LABEL, StateFolder
from qd_client.local import Identity, PartRecord, StackRecord, is_alive
from qd_schemas.specs import FLUVIO_TLS_NAMES

LOG_LINES_IN_ERROR = 12
_POLL_SECONDS = 0.02
# What a part gets comes from the stack alone, whatever the user's shell has. So do the settings
# of TLS, unless the cluster is the user's: the stack's own broker speaks without.
_OWN_SETTINGS = (FLUVIO, DATABASE, DATABASE_FILE, SYMDB)
_PORT = re.compile(r":(\d+)(?=$|[/?])")


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts parts in a state folder."""

    folder: StateFolder
    choices: Choices
    ready_seconds_max: float
    _log_starts: dict[str, int] = field(default_factory=dict)
    """Where each part's log began to be about this start."""

    def start(self, part: Part, settings: Mapping[str, str], record: StackRecord) -> PartRecord:
        """Start a part's process and return at once."""
        words = {
            "data": str(self.folder.data(part.name)),
            "port": str(self._port(part, record)),
        }
        self.folder.ready_file(part.name).unlink(missing_ok=True)
        log = self.folder.log_file(part.name)
        self._log_starts[part.name] = log.stat().st_size if log.exists() else 0
        identity = start(
            [sys.executable, "-m", part.module, *(item.format(**words) for item in part.arguments)],
            env=self._environment(part, settings, words),
            log_file=log,
            cwd=self.folder.path,
        )
        return PartRecord(identity.pid, identity.start, time.time(), dict(settings))

    async def until_ready(self, part: Part, known: PartRecord) -> PartRecord:
        """Wait for a part's ready file.

        Raises
        ------
        PartFailed
            It ended first, took too long, or wrote what makes no sense.
        """
        ready_file = self.folder.ready_file(part.name)
        deadline = time.monotonic() + self.ready_seconds_max
        while not ready_file.exists():
            self._check(part, known.identity, deadline)
            await asyncio.sleep(_POLL_SECONDS)
        try:
            ready: dict[str, Any] = json.loads(ready_file.read_text())
            if part.provides:
                ready[part.provides.ready_key]
        except (ValueError, KeyError, TypeError) as error:
            raise self._failed(part, f"wrote a ready file that makes no sense ({error})") from error
        return replace(known, ready=ready)

    def _check(self, part: Part, identity: Identity, deadline: float) -> None:
        # A process whose last threads still end has no exit code yet: it has in a moment.
        if not is_alive(identity) and (code := exit_code(identity)) is not None:
            raise self._failed(part, f"ended before it was ready (exit code {code})")
        if time.monotonic() > deadline:
            raise self._failed(part, f"was not ready after {self.ready_seconds_max:g} s")

    def _failed(self, part: Part, what: str) -> PartFailed:
        log = self.folder.log_file(part.name)
        began = self._log_starts.get(part.name, 0)
        with log.open("rb") as file:
            file.seek(began if began <= log.stat().st_size else 0)  # a rotated one begins anew
            text = file.read().decode(errors="replace")
        lines = text.splitlines()[-LOG_LINES_IN_ERROR:]
        end = "".join(f"\n  {line}" for line in lines) or "\n  (it logged nothing)"
        return PartFailed(f"{part.name} {what}; the end of its log {log}:{end}")

    def _port(self, part: Part, record: StackRecord) -> int:
        """Return the chosen port, else the one that it had, else 0 for a free one."""
        if part.name in self.choices.ports:
            return self.choices.ports[part.name]
        before = record.settings.get(part.provides.setting, "") if part.provides else ""
        found = _PORT.findall(before)
        return int(found[-1]) if found and _is_free(int(found[-1])) else 0

    def _environment(
        self, part: Part, settings: Mapping[str, str], words: Mapping[str, str]
    ) -> dict[str, str]:
        own = _OWN_SETTINGS if FLUVIO in self.choices.external else _OWN_SETTINGS + FLUVIO_TLS_NAMES
        given = inherited(part, os.environ, as_shipped=self.choices.as_shipped)
        name, _, folder = self.folder.mark.partition("=")
        return {
            **{name: value for name, value in given.items() if name not in own},
            **settings,
            **{key: value.format(**words) for key, value in part.settings.items()},
            **({"QD_DIE_WITH_PARENT": str(os.getpid())} if self.choices.die_with_starter else {}),
            "QD_READY_FILE": str(self.folder.ready_file(part.name)),
            name: folder,
            PART_LABEL: part.name,
        }


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
