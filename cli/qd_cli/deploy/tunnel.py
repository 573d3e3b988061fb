"""Tunnels into the cluster for as long as a command lives: ``python -m qd_cli.deploy.tunnel``.

A process of its own, so that tunnels outlast one event loop of the command, and end with it
however it ends: when its standard input closes, it ends kubectl. Each line of its input is a
request ``{"command": [...], "target": "service/x", "port": 9003, "alone": false}``, each line of
its output the answer, ``{"port": 41234}`` or ``{"error": "..."}``.

kubectl ends when the far side resets one connection, and takes all others with it. So this process
listens itself, at a port that stays; behind it kubectl is started again when it ended. Where
servers reset connections as a matter of course, each has a kubectl of its own (`alone`), and one
more is kept ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from qd_cli.deploy.children import end, tell

START_SECONDS: Final = 30.0
RETRY_SECONDS_MAX: Final = 20.0
"""How long a new connection waits for a way that broke."""
CONNECTIONS_MAX: Final = 256
_RETRY_SECONDS: Final = 0.5
_LINES_KEPT: Final = 5
_PIECE_BYTES: Final = 256 * 1024
_LOCAL: Final = "127.0.0.1"
_READY: Final = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> ")
_BROKEN: Final = re.compile(
    r"lost connection to pod|container not running|No such container|sandbox .*not found"
    r"|network namespace .* is closed"
)


class Forward:
    """One kubectl that forwards to one port of a Service."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.port = 0
        self.complaints: list[str] = []
        self._ready = asyncio.Event()
        self._tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._hear())]

    @classmethod
    async def start(cls, command: Sequence[str]) -> Forward:
        """Start kubectl, and wait until it is through.

        Raises
        ------
        ConnectionError
            It ended instead, or took too long; what it said is the message.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        forward = cls(process)
        try:
            async with asyncio.timeout(START_SECONDS):
                await forward._ready.wait()
        except TimeoutError:
            await forward.end()
            raise ConnectionError(f"kubectl did not get through in {START_SECONDS:.0f} s") from None
        except BaseException:
            await forward.end()
            raise
        if not forward.port:
            await forward.end()
            raise ConnectionError(" ".join(forward.complaints) or "kubectl ended")
        return forward

    @property
    def is_alive(self) -> bool:
        """Whether it can take a connection."""
        return self._process.returncode is None and not self._tasks[0].done()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if not self.port and (found := _READY.search(line.decode(errors="replace"))):
                self.port = int(found[1])
                self._ready.set()
        await self._tasks[1]  # what it complained of is the reason
        self._ready.set()

    async def _hear(self) -> None:
        """Keep what it says, and end it where it stays beside a pod that is gone."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            text = line.decode(errors="replace").strip()
            self.complaints = [*self.complaints, text][-_LINES_KEPT:]
            if _BROKEN.search(text):
                tell(self._process, signal.SIGTERM)

    async def end(self) -> None:
        """Leave nothing of it."""
        for task in self._tasks:
            task.cancel()
        await end(self._process)


class Way:
    """A port of this machine that leads to a port of a Service.

    Parameters
    ----------
    command : sequence of str
        kubectl's whole command line.
    alone : bool
        Give each connection a kubectl of its own.
    """

    def __init__(self, command: Sequence[str], *, alone: bool) -> None:
        self._command = list(command)
        self._alone = alone
        self._current: Forward | None = None
        self._starting = asyncio.Lock()
        self._spare: asyncio.Task[None] | None = None
        self._all: set[Forward] = set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        """Listen; the port. `ConnectionError` where kubectl does not get through."""
        self._current = await self._start()
        self._server = await asyncio.start_server(self._serve, _LOCAL, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """End everything."""
        if self._server is not None:
            self._server.close()
        tasks = [*self._connections, *([self._spare] if self._spare else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(forward.end() for forward in self._all))

    async def _start(self) -> Forward:
        forward = await Forward.start(self._command)
        self._all.add(forward)
        return forward

    async def _take(self) -> Forward:
        """A forward that is alive; waits for one, for a while."""
        async with self._starting, asyncio.timeout(RETRY_SECONDS_MAX):
            while self._current is None or not self._current.is_alive:
                await self._drop(self._current)
                try:
                    self._current = await self._start()
                except ConnectionError:
                    self._current = None
                    await asyncio.sleep(_RETRY_SECONDS)
            found = self._current
            if self._alone:
                self._current = None
                self._spare = asyncio.ensure_future(self._prepare())
            return found

    async def _prepare(self) -> None:
        async with self._starting:
            if self._current is None:
                with contextlib.suppress(ConnectionError):
                    self._current = await self._start()

    async def _drop(self, forward: Forward | None) -> None:
        if forward is not None:
            self._all.discard(forward)
            await forward.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) <= CONNECTIONS_MAX:
                await self._connect(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # its client sees that it ends, and knows what to do
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        forward = await self._take()
        try:
            far_reader, far_writer = await asyncio.open_connection(_LOCAL, forward.port)
            try:
                await _both(_pump(reader, far_writer), _pump(far_reader, writer))
            finally:
                far_writer.close()
        finally:
            if self._alone:
                await self._drop(forward)


async def _both(there: Any, back: Any) -> None:
    """Pump both ways; when the far side has ended, so has the connection."""
    tasks = [asyncio.ensure_future(there), asyncio.ensure_future(back)]
    try:
        await tasks[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass bytes on to their end; a connection that was reset just ends for the other side."""
    with contextlib.suppress(OSError):
        while data := await source.read(_PIECE_BYTES):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.write_eof()


async def serve() -> None:
    """Answer requests until the input closes."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    ways: list[Way] = []
    try:
        async for line in reader:
            print(json.dumps(await _answer(json.loads(line), ways)), flush=True)
    except BrokenPipeError:
        pass  # who asked is gone
    finally:
        await asyncio.gather(*(way.close() for way in ways), return_exceptions=True)


async def _answer(request: Mapping[str, Any], ways: list[Way]) -> dict[str, Any]:
    command = [*request["command"], "port-forward", f"--address={_LOCAL}", request["target"]]
    way = Way([*command, f":{request['port']}"], alone=request["alone"])
    ways.append(way)
    try:
        return {"port": await way.open()}
    except ConnectionError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    asyncio.run(serve())
