"""A local broker to break, and the Fluvio layer's worker processes, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

from qd_fluvio import Compression, Consumer, Fluvio, Producer, Record
from qd_schemas.specs import ClientKind
from support.ports import free_port
from support.processes import Process

T = TypeVar("T")
BOTH_CLIENTS = [ClientKind.OFFICIAL, ClientKind.NATIVE]

WORKER = "qd_fluvio.worker"


def workers(parent: int | None = None) -> list[psutil.Process]:
    """The live worker processes of a process, by default of this one."""
    found = []
    for process in psutil.Process(parent).children():
        try:
            if WORKER in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


class Broker:
    """A local broker of one test, on a port that survives its restart."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._arguments = arguments
        self._ports = [free_port(), free_port()]
        self._process: Process | None = None
        self.endpoint = f"127.0.0.1:{self._ports[0]}"
        self.start()

    def start(self) -> None:
        self._process = Process(
            "qd_fluvio.broker",
            *("--data", str(self._folder / "data")),
            *("--sc-port", str(self._ports[0]), "--spu-port", str(self._ports[1])),
            *self._arguments,
            folder=self._folder,
        )
        self._process.wait_ready()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()

    def freeze(self) -> None:
        """Let it answer nothing any more, its connections staying open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.popen.send_signal(number)

    def close(self) -> None:
        if self._process is not None and self._process.popen.poll() is None:
            self._process.kill()


async def write(
    fluvio: Fluvio,
    topic: str,
    values: Sequence[bytes],
    *,
    partition: int | None = 0,
    compression: Compression = Compression.NONE,
) -> Producer:
    """Make the topic, if need be, and write until all is acknowledged."""
    await fluvio.create_topic(topic, exist_ok=True)
    producer = await fluvio.producer(topic, partition=partition, compression=compression)
    await producer.send_many(values)
    await producer.flush()
    return producer


async def values_of(records: AsyncIterator[Record]) -> list[bytes]:
    return [record.value async for record in records]


async def read(consumer: Consumer, count: int) -> list[bytes]:
    """The next so many values."""
    return await values_of(consumer.read_until(consumer.next_offset + count))


async def cancelled_after(turns: int, work: Awaitable[T]) -> T | None:
    """What the work gives within so many turns of the loop; None if it was cancelled by then."""
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return None
