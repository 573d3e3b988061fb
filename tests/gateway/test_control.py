"""Reading the control topic: in order, a few records at a time, and again where told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qd_fluvio import Record, connect
from qd_gateway.core.limits import RECORDS_AT_ONCE
from qd_gateway.topics.control import ControlReader
from qd_gateway.topics.link import Link
from qd_schemas.specs import FluvioSettings
from qd_schemas.topics import CONTROL
from support.processes import running

RECORDS = [b"%d" % number for number in range(3 * RECORDS_AT_ONCE + 1)]


class Listener:
    """Notes what it is told, until the last record; may want all again after some parts."""

    def __init__(self, rewinds_after: int | None = None) -> None:
        self._rewinds_after = rewinds_after
        self.reader: ControlReader
        self.connected = asyncio.Event()
        self.parts: list[list[bytes]] = []
        self.all_there = asyncio.Event()

    async def may_act(self) -> None:
        """It always may."""

    def on_records(self, records: list[Record]) -> None:
        self.parts.append([record.value for record in records])
        if len(self.parts) == self._rewinds_after:
            self.reader.rewind(0)
        elif self.parts[-1][-1] == RECORDS[-1]:
            self.all_there.set()

    def on_connected(self) -> None:
        self.connected.set()

    def on_lost(self) -> None:
        """Nothing of it is of interest here."""

    def on_new_log(self) -> None:
        raise AssertionError("the topic is the same")


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[FluvioSettings]:
    """A broker of this test's own: nobody else writes on its control topic."""
    with running("qd_fluvio.broker", "--data", str(tmp_path / "data"), folder=tmp_path) as ready:
        yield FluvioSettings(str(ready["endpoint"]))


@asynccontextmanager
async def reading(cluster: FluvioSettings, listener: Listener) -> AsyncIterator[ControlReader]:
    """A reader that has read all records."""

    async def may_act() -> None: ...

    reader = listener.reader = ControlReader(cluster, Link(may_act), listener)
    task = asyncio.create_task(reader.run())
    try:
        await listener.connected.wait()
        async with connect(cluster) as fluvio:
            producer = await fluvio.producer(CONTROL)
            await producer.send_many(RECORDS)
            await producer.flush()
        await listener.all_there.wait()
        yield reader
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_all_else_has_its_turn_in_a_flood(cluster: FluvioSettings) -> None:
    listener = Listener()
    async with reading(cluster, listener) as reader:
        assert reader.next_offset == len(RECORDS)
    assert [value for part in listener.parts for value in part] == RECORDS
    assert max(map(len, listener.parts)) <= RECORDS_AT_ONCE


async def test_records_come_again_where_they_are_wanted(cluster: FluvioSettings) -> None:
    listener = Listener(rewinds_after=2)
    async with reading(cluster, listener) as reader:
        assert reader.next_offset == len(RECORDS)
    first = [value for part in listener.parts[:2] for value in part]
    again = [value for part in listener.parts[2:] for value in part]
    assert first == RECORDS[: len(first)]
    assert again == RECORDS
