"""No worker outlives its use: close, cancellation, errors, and a parent's death by kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import psutil
import pytest

from qd_fluvio import Fluvio, FluvioError, Limits, connect
from support.layer import Broker, workers


async def busy(fluvio: Fluvio, topic: str) -> None:
    """Have one worker of each kind at work, then wait for ever."""
    await fluvio.create_topic(topic, exist_ok=True)
    consumer = await fluvio.consumer(topic)
    producer = await fluvio.producer(topic)
    await producer.send(bytes(1000))
    await producer.flush()
    async for _ in consumer:
        pass


async def test_closing_leaves_nothing(fluvio_endpoint: str, topic: str) -> None:
    async with connect(fluvio_endpoint) as fluvio:
        await fluvio.create_topic(topic)
        consumer = await fluvio.consumer(topic)
        producer = await fluvio.producer(topic)
        await producer.send(b"x")
        await anext(consumer)
        assert len(workers()) >= 2
    assert workers() == []
    assert [record async for record in consumer] == []
    with pytest.raises(FluvioError, match=r"closed|ended"):
        await producer.send(b"y")


async def test_leaving_sends_what_was_not_flushed(fluvio_endpoint: str, topic: str) -> None:
    async with connect(fluvio_endpoint) as fluvio:
        await fluvio.create_topic(topic)
        await (await fluvio.producer(topic)).send(b"x")
    async with connect(fluvio_endpoint) as fluvio:
        assert await fluvio.end_offset(topic) == 1


async def test_closing_a_consumer_frees_its_worker(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    consumer = await fluvio.consumer(topic)
    before = len(workers())
    waiting = asyncio.ensure_future(anext(consumer))
    await asyncio.sleep(0)
    await consumer.aclose()
    await consumer.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert len(workers()) == before - 1


async def test_an_error_in_the_block_is_passed_on(fluvio_endpoint: str, topic: str) -> None:
    async def work() -> None:
        async with connect(fluvio_endpoint) as fluvio:
            await fluvio.create_topic(topic)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await work()


@pytest.mark.parametrize("steps", [*range(12), 20, 40, 80, 160, 320, 640, 1280])
async def test_cancelled_at_any_point(fluvio_endpoint: str, topic: str, steps: int) -> None:
    async def work() -> None:
        async with connect(fluvio_endpoint) as fluvio:
            await busy(fluvio, topic)

    task = asyncio.ensure_future(work())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert workers() == []


async def test_cancelled_twice(fluvio_endpoint: str, topic: str) -> None:
    started = asyncio.Event()

    async def work() -> None:
        async with connect(fluvio_endpoint) as fluvio:
            await fluvio.create_topic(topic)
            started.set()
            await busy(fluvio, topic)

    task = asyncio.ensure_future(work())
    await started.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert workers() == []


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_leaving_whatever_the_cluster_does(
    broker: Broker, topic: str, impatient: Limits, how: str
) -> None:
    async def work() -> None:
        async with connect(broker.endpoint, limits=impatient) as fluvio:
            await fluvio.create_topic(topic)
            consumer = await fluvio.consumer(topic)
            producer = await fluvio.producer(topic)
            await producer.send(b"acknowledged")
            await producer.flush()
            await anext(consumer)
            if how == "killed":
                broker.kill()
            else:
                broker.freeze()
            await producer.send(b"not acknowledged")

    with pytest.raises(FluvioError):
        await work()
    assert workers() == []


async def test_workers_are_out_of_reach_of_a_terminal_s_signals(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    for worker in workers():
        assert os.getsid(worker.pid) == worker.pid
        worker.send_signal(signal.SIGINT)
    await fluvio.delete_topic(topic)


PARENT = """
import asyncio, sys
from qd_fluvio import connect

async def main(endpoint, topic):
    async with connect(endpoint) as fluvio:
        await fluvio.create_topic(topic)
        consumer = await fluvio.consumer(topic)
        producer = await fluvio.producer(topic)
        await producer.send(b"x")
        await anext(consumer)
        print("ready", flush=True)
        await anext(consumer)

asyncio.run(main(*sys.argv[1:]))
"""


def test_workers_die_with_a_parent_that_was_killed(fluvio_endpoint: str, topic: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, fluvio_endpoint, topic], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        found = workers(parent.pid)
        assert len(found) >= 2
        parent.kill()
    gone, alive = psutil.wait_procs(found, timeout=20)
    assert len(gone) == len(found)
    assert not alive
