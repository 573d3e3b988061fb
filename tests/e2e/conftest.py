"""A whole system for each module of tests: five processes over real TCP, as users run them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qd_cli.stack.parts import DATABASE, FLUVIO, SYMDB, Choices, qd_parts
from qd_cli.stack.processes import is_alive
from qd_cli.stack.record import StackRecord, StateFolder
from qd_cli.stack.supervisor import Supervisor
from qd_client import QDClient
from qd_fluvio import connect
from qd_schemas.codec import decode
from qd_schemas.messages import BreakoutAlert
from qd_schemas.topics import ALERTS
from qd_store.imports import ImportReport, import_paths

WAIT_SECONDS_MAX = 60.0


@dataclass
class System:
    """A running stack and what a test does with it."""

    folder: Path
    stack: Supervisor
    record: StackRecord

    @property
    def endpoint(self) -> str:
        return self.record.settings[FLUVIO]

    def client(self, **options: int) -> QDClient:
        return QDClient(endpoint=self.endpoint, symdb=self.record.settings[SYMDB], **options)

    async def import_(self, *paths: Path) -> ImportReport:
        return await asyncio.to_thread(
            import_paths,
            self.record.settings[DATABASE],
            list(paths),
            rejects_folder=self.folder / "rejects",
        )

    def kill(self, part: str) -> None:
        """Kill -9, as a crash does."""
        os.kill(self.record.parts[part].pid, signal.SIGKILL)

    def alive(self) -> set[str]:
        return {name for name, part in self.record.parts.items() if is_alive(part.identity)}

    async def up(self) -> None:
        """Start again what has died, as ``qd up`` does."""
        self.record = await self.stack.up(CHOICES)

    async def published(self) -> list[BreakoutAlert]:
        """Every record of the alerts topic, repeats included."""
        async with connect(self.endpoint) as fluvio:
            end = await fluvio.end_offset(ALERTS)
            consumer = await fluvio.consumer(ALERTS)
            messages = [decode(record.value) async for record in consumer.read_until(end)]
            await consumer.aclose()
        return [message for message in messages if isinstance(message, BreakoutAlert)]


CHOICES = Choices(
    external={name: os.environ[name] for name in (FLUVIO, DATABASE) if name in os.environ},
    die_with_starter=True,
)


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    """A fresh system; all of it ends with the test."""
    stack = Supervisor(StateFolder(tmp_path / "stack"), qd_parts())
    try:
        yield System(tmp_path, stack, await stack.up(CHOICES))
    finally:
        await stack.down()
