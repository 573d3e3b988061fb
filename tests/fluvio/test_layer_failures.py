"""Worker processes of the official client that die: nothing lost, nothing repeated, no hang."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qd_fluvio import ConnectionLost, Fluvio, Limits, Producer, connect
from qd_schemas.specs import FluvioSettings
from support.layer import values_of, workers, write

VALUES = [b"%d" % n * 100 for n in range(5000)]


@pytest.fixture
async def breakable(cluster: FluvioSettings) -> AsyncIterator[Fluvio]:
    """A connection that looks soon whether something is wrong, and waits for a new worker."""
    limits = Limits(idle_check_seconds=1.0, reconnect_seconds=60.0)
    async with connect(cluster, limits=limits) as connection:
        yield connection


async def test_a_killed_worker_of_a_consumer_is_replaced(breakable: Fluvio, topic: str) -> None:
    await write(breakable, topic, VALUES)
    before = {worker.pid for worker in workers()}
    consumer = await breakable.consumer(topic)
    found = [await anext(consumer)]
    for worker in workers():
        if worker.pid not in before:
            worker.kill()
    found += [record async for record in consumer.read_until(len(VALUES))]
    assert [record.value for record in found] == VALUES


async def _send_and_flush(producer: Producer) -> None:
    await producer.send(b"x")
    await producer.flush()


async def test_all_workers_killed(breakable: Fluvio, topic: str) -> None:
    producer = await write(breakable, topic, VALUES)
    consumer = await breakable.consumer(topic)
    await anext(consumer)
    for worker in workers():
        worker.kill()
    assert len(await values_of(consumer.read_until(len(VALUES)))) == len(VALUES) - 1
    with pytest.raises(ConnectionLost, match="worker process"):
        await _send_and_flush(producer)
    assert not producer.is_usable
    await write(breakable, f"{topic}-2", [b"x"])
