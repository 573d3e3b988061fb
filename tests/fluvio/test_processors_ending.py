"""How runs end: what fails at once with something else is heard once, and a late end is an end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from qd_fluvio import ConnectionLost, Offset, Record, TopicInfo
from qd_fluvio.processors import BYTES, map
from qd_fluvio.processors.errors import ProcessorError
from qd_fluvio.processors.runner import Counts, RunSettings, run, run_until_cancelled
from qd_fluvio.processors.runner.partition import PartitionRun


@map(BYTES)
def same(value: bytes) -> bytes:
    return value


class Cluster:
    """A cluster of one record, which goes away while the state is saved for the second time."""

    def __init__(self, save_is_due: Callable[[], None]) -> None:
        self.save_is_due = save_is_due
        self.went_away = asyncio.Event()
        self.noticed = asyncio.Event()
        self.ends: dict[str, int] = {}

    async def create_topic(self, *_: object, exist_ok: bool) -> None:
        """Nothing is to be done."""

    async def describe_topic(self, name: str) -> TopicInfo:
        return TopicInfo(name, 1, 1)

    async def end_offset(self, topic: str, partition: int) -> int:
        return self.ends.get(topic, 0)

    async def delete_committed_offset(self, *_: object) -> None:
        """There is none."""

    async def producer(self, topic: str, *, partition: int) -> Producer:
        return Producer(self, topic)

    async def consumer(
        self, topic: str, *, partition: int, offset: Offset, consumer_id: str
    ) -> Consumer:
        return Consumer(self)


class Producer:
    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._cluster = cluster
        self._topic = topic

    async def send_many(self, values: list[bytes], keys: object = None) -> None:
        ends = self._cluster.ends
        ends[self._topic] = ends.get(self._topic, 0) + len(values)

    async def flush(self) -> None:
        if self._topic == "same-out":
            self._cluster.went_away.set()
            await self._cluster.noticed.wait()
            raise ConnectionLost("the output's connection is gone")


class Consumer:
    next_offset = 0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def batches(self) -> AsyncIterator[list[Record]]:
        self.next_offset = 1
        yield [Record(0, -1, None, b"one")]
        self._cluster.save_is_due()
        await self._cluster.went_away.wait()
        self._cluster.noticed.set()
        raise ConnectionLost("the input's connection is gone")


def let_pass(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Put the loop's clock forward."""
    loop = asyncio.get_running_loop()
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + seconds)


@pytest.fixture
async def unheard() -> AsyncIterator[list[dict[str, Any]]]:
    """What the loop says of errors that nobody took."""
    loop = asyncio.get_running_loop()
    found: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield found
    loop.set_exception_handler(None)


async def test_a_loss_that_reading_and_saving_meet_is_heard_once(
    monkeypatch: pytest.MonkeyPatch, unheard: list[dict[str, Any]]
) -> None:
    settings = RunSettings("same-in", "same-out", "same", checkpoint_seconds=600.0)
    cluster: Any = Cluster(lambda: let_pass(monkeypatch, 1_000.0))
    work = PartitionRun(cluster, same, settings, 0)
    await work.begin()
    with pytest.raises(ConnectionLost, match="output's"):
        await work.process(asyncio.Event())
    del work, cluster
    gc.collect()
    assert unheard == []


async def test_who_stops_late_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a pause of the process: the work is done, and its time is over."""

    async def work(stop: asyncio.Event) -> Counts:
        await stop.wait()
        let_pass(monkeypatch, 1_000.0)
        return Counts(read=7)

    stopped = asyncio.ensure_future(
        run_until_cancelled(lambda stop: asyncio.ensure_future(work(stop)))
    )
    await asyncio.sleep(0)
    stopped.cancel()
    assert await stopped == Counts(read=7)


async def test_who_does_not_stop_is_given_up_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, unheard: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(run, "STOP_SECONDS_MAX", 0.0)

    async def work(stop: asyncio.Event) -> Counts:
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionLost("records are unacknowledged")

    stopped = asyncio.ensure_future(
        run_until_cancelled(lambda stop: asyncio.ensure_future(work(stop)))
    )
    await asyncio.sleep(0)
    stopped.cancel()
    with pytest.raises(ProcessorError, match="did not stop") as raised:
        await stopped
    assert "unacknowledged" in str(raised.value.__cause__)
    del stopped
    gc.collect()
    assert unheard == []
