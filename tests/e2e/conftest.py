"""The system that end-to-end tests drive."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.system import System
from qd_cli.stack.parts import DATABASE, FLUVIO, Choices, qd_parts
from qd_cli.stack.record import StateFolder
from qd_cli.stack.supervisor import Supervisor
from qd_fluvio import connect
from qd_schemas.topics import ALERTS, PROGRESS
from support.databases import fresh_database
from support.ports import free_port


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    """A fresh system; all of it ends with the test."""
    async with running_system(tmp_path) as found:
        yield found


@contextlib.asynccontextmanager
async def running_system(folder: Path) -> AsyncIterator[System]:
    """A system in a folder while the block runs."""
    stack = Supervisor(StateFolder(folder / "stack"), qd_parts())
    external = {name: os.environ[name] for name in (FLUVIO, DATABASE) if name in os.environ}
    if (
        FLUVIO in external
    ):  # a cluster for tests: what an earlier run left would count as this one's
        async with connect(external[FLUVIO]) as fluvio:
            for topic in (ALERTS, PROGRESS):
                await fluvio.delete_topic(topic, missing_ok=True)
    with contextlib.ExitStack() as cleaning:
        if DATABASE in external:
            external[DATABASE] = cleaning.enter_context(fresh_database(external[DATABASE]))
        ports = {part: free_port() for part in ("database", "broker", "symdb")}
        choices = Choices(external=external, ports=ports, die_with_starter=True)
        try:
            yield System(folder, stack, choices, await stack.up(choices))
        finally:
            await stack.down()
