"""No worker process outlives its use: close, and a parent's death by kill -9."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from qd_fluvio import ConnectionLost, Fluvio, FluvioError, Limits, connect
from qd_fluvio.official.process import Worker, WorkerProcess
from support.connections import until
from support.layer import workers

END_SECONDS_MAX = 60.0


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
    async with asyncio.timeout(END_SECONDS_MAX):  # it is killed, and may take a moment to end
        await until(lambda: len(workers()) == before - 1)


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
    gone, alive = psutil.wait_procs(found, timeout=END_SECONDS_MAX)
    assert len(gone) == len(found)
    assert not alive


async def test_workers_that_grew_are_replaced(fluvio_endpoint: str, topic: str) -> None:
    """The client keeps something for each topic there ever was; nobody may notice the change."""
    limits = Limits(worker_bytes_max=1, idle_check_seconds=0.5)
    seen: set[int] = set()
    async with connect(fluvio_endpoint, limits=limits) as fluvio:
        await fluvio.create_topic(topic)
        consumer = await fluvio.consumer(topic)
        kept = await fluvio.producer(topic)
        for number in itertools.count():
            seen |= {worker.pid for worker in workers()}
            if len(seen) > 5:
                break
            producer = await fluvio.producer(topic) if number < 2 else kept
            await producer.send(b"%d" % number)
            await producer.flush()
            assert (await anext(consumer)).value == b"%d" % number
            if producer is not kept:
                await producer.aclose()
        assert kept.is_usable
        assert len(workers()) <= 3


@pytest.mark.parametrize("turns", range(5))
async def test_a_worker_killed_while_it_is_opened_leaves_nothing_behind(turns: int) -> None:
    """Its socket's number belongs to the next one at once: nobody may watch it any longer."""
    heard: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.append(context))
    process = WorkerProcess()
    opening = asyncio.create_task(process.open(lambda _: None))
    for _ in range(turns):
        await asyncio.sleep(0)
    process.kill()
    (found,) = await asyncio.gather(opening, return_exceptions=True)
    if isinstance(found, Worker):
        async with asyncio.timeout(END_SECONDS_MAX):
            await until(lambda: not found.alive)
    else:
        assert isinstance(found, ConnectionLost), found
    await process.reaped()
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.sendall(b"x")
        assert await loop.sock_recv(one, 1) == b"x"
    assert process.gone
    assert heard == []
