"""Tunnels into the cluster for as long as a command lives: ``python -m qd_cli.deploy.tunnel``.

A process of its own, so that tunnels outlast one event loop of the command, and end with it
however it ends: when its standard input closes, it ends kubectl. Each line of its input is a
request ``{"command": [...], "target": "service/x", "ports": [9003]}``, each line of its output the
answer, ``{"ports": {"9003": 41234}}`` or ``{"error": "..."}``. A tunnel that breaks is made again
at the same port of this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

START_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 0.5
_END_SECONDS: Final = 2.0
_LINES_KEPT: Final = 10
_READY: Final = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)")
_BROKEN: Final = re.compile(
    r"lost connection to pod|error forwarding port|portforward\.go.*(?:uid|sandbox|container)"
)


class Forward:
    """kubectl's forwarding to one Service, again and again.

    Parameters
    ----------
    command : sequence of str
        kubectl with its context and namespace.
    target : str
        Such as ``service/qd-broker``.
    ports : sequence of int
        Of the Service.
    """

    def __init__(self, command: Sequence[str], target: str, ports: Sequence[int]) -> None:
        self._command = [*command, "port-forward", "--address=127.0.0.1", target]
        self._wanted = list(ports)
        self.local: dict[int, int] = {}
        self._complaints: list[str] = []

    async def run(self, ready: asyncio.Future[dict[int, int]]) -> None:
        """Forward until this is cancelled, or until the first start fails."""
        while True:
            await self._once(ready)
            if not ready.done():
                why = " ".join(self._complaints[-_LINES_KEPT:]) or "kubectl ended"
                ready.set_exception(ConnectionError(why))
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def _once(self, ready: asyncio.Future[dict[int, int]]) -> None:
        pairs = [f"{self.local.get(port, '')}:{port}" for port in self._wanted]
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *pairs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(process.stdout, ready))
                group.create_task(self._hear_complaints(process.stderr, process))
        finally:
            await _end(process)

    async def _listen(
        self, source: asyncio.StreamReader, ready: asyncio.Future[dict[int, int]]
    ) -> None:
        async for line in source:
            if found := _READY.search(line.decode(errors="replace")):
                self.local[int(found[2])] = int(found[1])
                if len(self.local) == len(self._wanted) and not ready.done():
                    ready.set_result(self.local)

    async def _hear_complaints(
        self, source: asyncio.StreamReader, process: asyncio.subprocess.Process
    ) -> None:
        """Keep what it says, and end it where it goes on beside a pod that is gone."""
        async for line in source:
            text = line.decode(errors="replace").strip()
            self._complaints = [*self._complaints[-_LINES_KEPT:], text]
            if _BROKEN.search(text):
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def serve() -> None:
    """Answer requests until the input closes."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks: list[asyncio.Task[None]] = []
    try:
        async for line in reader:
            print(json.dumps(await _answer(json.loads(line), tasks)), flush=True)
    except BrokenPipeError:
        pass  # who asked is gone
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(request: Mapping[str, Any], tasks: list[asyncio.Task[None]]) -> dict[str, Any]:
    ready: asyncio.Future[dict[int, int]] = asyncio.get_running_loop().create_future()
    forward = Forward(request["command"], request["target"], request["ports"])
    task = asyncio.ensure_future(forward.run(ready))
    try:
        async with asyncio.timeout(START_SECONDS):
            found = await ready
    except TimeoutError:
        task.cancel()
        return {"error": f"kubectl did not get through in {START_SECONDS:.0f} s"}
    except ConnectionError as error:
        return {"error": str(error)}
    tasks.append(task)
    return {"ports": {str(port): local for port, local in found.items()}}


if __name__ == "__main__":
    asyncio.run(serve())
