"""A worker process as its parent sees it: started, spoken to, killed and reaped.

It moves frames and knows nothing about what they mean. A worker may hang at any moment while
it holds its interpreter lock, so it is never asked to stop: it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from qd_fluvio.errors import ConnectionLost
from qd_fluvio.worker.frames import Frame, FrameDecoder

# What a worker may write before it waits for its parent's next turn; the kernel may give less.
SOCKET_BUFFER_BYTES = 1024 * 1024
REAP_SECONDS = 1.0  # a killed process ends within milliseconds
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# The client's own threads: with as many as cores (two), its blocking calls can deadlock.
_ENVIRONMENT = {"ASYNC_STD_THREAD_COUNT": "8"}


class WorkerProcess:
    """One started worker, not spoken to yet; `open` gives its `Worker`."""

    def __init__(self) -> None:
        self._end, theirs = socket.socketpair()
        for end in (self._end, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        self._end.setblocking(False)
        # The client's own words would only confuse users; its errors come as frames.
        output = None if os.environ.get("QD_LOG_LEVEL") == "DEBUG" else subprocess.DEVNULL
        with theirs:
            self._popen = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "qd_fluvio.worker"),
                    *(str(theirs.fileno()), str(os.getpid())),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in a terminal reaches only the parent
                env={**os.environ, **_ENVIRONMENT},
            )
        self._transport: asyncio.Transport | None = None
        self._is_opening = self._was_killed = False
        self._pidfd = os.pidfd_open(self._popen.pid)
        self._loop = asyncio.get_running_loop()
        self._reaped = self._loop.create_future()
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._popen.pid

    @property
    def memory_bytes(self) -> int:
        """What it holds in memory; 0 once it ended."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * _PAGE_BYTES

    @property
    def gone(self) -> bool:
        """True once it ended and was reaped."""
        return self._reaped.done()

    async def open(self, on_frame: Callable[[Frame], None]) -> Worker:
        """Begin to speak to it; `on_frame` takes each frame that comes.

        Raises
        ------
        ConnectionLost
            It was killed meanwhile.
        """
        worker = Worker(self, on_frame)
        if not self._was_killed:
            self._is_opening = True
            self._transport, _ = await self._loop.create_unix_connection(
                lambda: worker, sock=self._end
            )
        if self._was_killed:
            self.kill()
            raise self.ended()
        return worker

    def ended(self) -> ConnectionLost:
        """The error of whoever needs it and finds it gone."""
        return ConnectionLost(
            f"the worker process {self.pid} of the Fluvio client has ended; try again"
        )

    def kill(self) -> None:
        """End it at once, whatever it does. Does not wait; see `reaped`."""
        self._was_killed = True
        if not self._reaped.done():
            self._popen.kill()
        if self._transport is not None:
            self._transport.abort()
        elif not self._is_opening:  # else the loop is about to watch it, under a number that the
            self._end.close()  # next one to be opened would have: `open` finds out, and ends it

    async def reaped(self) -> None:
        """Wait until nothing is left of it; call after `kill`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REAP_SECONDS):
                await asyncio.shield(self._reaped)

    def _reap(self) -> None:
        self._popen.wait()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._reaped.set_result(None)

    def __del__(self) -> None:
        # Only for owners that forgot to close: a worker must not outlive its last reference.
        popen = getattr(self, "_popen", None)
        if popen is not None and popen.returncode is None:
            popen.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(REAP_SECONDS)  # or it stays behind as a zombie


class Worker(asyncio.Protocol):
    """Frames to and from one worker process."""

    def __init__(self, process: WorkerProcess, on_frame: Callable[[Frame], None]) -> None:
        self.process = process
        self.on_lost: Callable[[], None] = lambda: None
        self._on_frame = on_frame
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = False
        self._killed = False
        self._paused = False

    @property
    def alive(self) -> bool:
        """False once the process ended or was killed."""
        return not self._lost and not self._killed

    def send(self, data: bytes) -> None:
        """Queue one frame.

        Raises
        ------
        ConnectionLost
            The process is gone.
        """
        if not self.alive or self._transport is None:
            raise self.process.ended()
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the worker has taken most of what was queued."""
        await self._writable.wait()

    def pause(self) -> None:
        """Take no more frames until `resume`: the worker then waits."""
        if not self._paused and self._transport is not None and self.alive:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Take frames again."""
        if self._paused and self._transport is not None and self.alive:
            self._paused = False
            self._transport.resume_reading()

    def kill(self) -> None:
        """End the process at once; `on_lost` is not called for it."""
        self._killed = True
        self._writable.set()
        if self._transport is not None:
            self._transport.abort()
        self.process.kill()

    # What asyncio calls:

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        for frame in self._decoder.feed(data):
            if not self._killed:
                self._on_frame(frame)

    def pause_writing(self) -> None:
        """The worker does not keep up."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The worker keeps up again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The process ended, or was killed."""
        self._lost = True
        self._writable.set()
        if not self._killed:
            self.process.kill()
            self.on_lost()


async def uninterrupted(*waits: asyncio.Future[None]) -> None:
    """Wait for all, even when cancelled meanwhile; the cancellation is then passed on."""
    cancelled = False
    pending = set(waits)
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
