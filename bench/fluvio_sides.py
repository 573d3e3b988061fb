"""The sides of the Fluvio benchmark: each client in a process of its own, told what to do.

Commands and answers are JSON lines over standard input and output, between measurements only.
A side is `python -m MODULE ARGUMENT ...` whose main calls `serve`.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

GROUP_BYTES = 512 * 1024
GROUP_RECORDS = 4096
ANSWER_SECONDS_MAX = 300.0
_STAMP = struct.Struct("<q20x")  # as long as one trade's message: 28 bytes


@dataclass(frozen=True, slots=True)
class Measured:
    """Records that went through, and how long that took."""

    records: int
    seconds: float

    @property
    def rate(self) -> float:
        """Records in a second."""
        return self.records / self.seconds


class Client(Protocol):
    """What each side can do."""

    async def produce(self, topic: str, size: int, count: int) -> Measured:
        """Send records of one size until all are acknowledged."""
        ...

    async def consume(self, topic: str, count: int) -> Measured:
        """Read what the topic holds, which is at most `count` records, opening included."""
        ...

    async def send_one(self, topic: str) -> None:
        """Send one record that carries the time, and wait for its acknowledgement."""
        ...

    def listen(self, topic: str, count: int) -> AsyncIterator[float]:
        """Give the age in seconds of each record as it comes."""
        ...


def group_records(size: int) -> int:
    """Return how many records are handed over at once."""
    return max(1, min(GROUP_RECORDS, GROUP_BYTES // size))


def stamp() -> bytes:
    """Return a record's value that carries the time; the clock is the machine's."""
    return _STAMP.pack(time.monotonic_ns())


def age_seconds(value: bytes) -> float:
    """Return how long ago a stamp was made, in this process or another one."""
    return (time.monotonic_ns() - int(_STAMP.unpack(value)[0])) / 1e9


async def serve(client: object) -> None:
    """Do what the lines of standard input say, each a method of the client, until it ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        arguments = command["arguments"]
        found = getattr(client, command["do"])(**arguments)
        if isinstance(found, AsyncIterator):
            async for item in found:
                _answer(item)
        else:
            measured: Measured | None = await found
            _answer(None if measured is None else asdict(measured))


def _answer(found: Any) -> None:
    print(json.dumps(found), flush=True)


class Side:
    """A side's process, as the benchmark holds it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process

    async def measure(self, do: str, **arguments: object) -> Measured:
        """Have it produce or consume."""
        self.tell(do, **arguments)
        return Measured(**await self.answer())

    def tell(self, do: str, **arguments: object) -> None:
        """Have it do something; take its answers afterwards."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "arguments": arguments}).encode() + b"\n")

    async def answer(self) -> Any:
        """Return its next answer."""
        assert self._process.stdout is not None
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the side {self.name!r} has ended; its error is above")
        return json.loads(line)


@asynccontextmanager
async def side(name: str, module: str, *arguments: str) -> AsyncIterator[Side]:
    """Run a side while the block runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Side(name, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
