"""The door of every call: how many at once, how large a request, and what is counted.

It knows no call's meaning. When the service stops, it takes no further ones and says when
the last has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, TypeAlias

from grpclib import GRPCError, Status
from grpclib.events import RecvRequest, listen
from grpclib.server import Server

from qd_symdb.limits import REQUEST_BYTES_MAX, REQUEST_SECONDS_MAX, SEND_SECONDS_MAX
from qd_symdb.metrics import Metrics

_Handle: TypeAlias = Callable[[Any], Awaitable[None]]


class Guard:
    """Guards all calls of a server.

    Parameters
    ----------
    services : collection
        What the server serves.
    calls_max, watches_max : int
        Calls at once, and streams at once.
    metrics : Metrics
        Where they are counted.
    """

    def __init__(
        self, services: Collection[Any], calls_max: int, watches_max: int, metrics: Metrics
    ) -> None:
        handlers: Mapping[str, Any] = {
            name: handler for service in services for name, handler in service.__mapping__().items()
        }
        self._streams = {
            name for name, handler in handlers.items() if handler.cardinality.server_streaming
        }
        self._max = {False: calls_max, True: watches_max}
        self._open = {False: 0, True: 0}
        self._metrics = metrics
        self._stopping = False
        self._idle = asyncio.Event()
        metrics.show("calls_open", "Calls being answered.", lambda: self._open[False])
        metrics.show("streams_open", "Streams: watches, also of health.", lambda: self._open[True])

    def install(self, server: Server) -> None:
        """Guard the calls of a server."""
        listen(server, RecvRequest, self._on_request)

    async def drain(self, seconds: float) -> None:
        """Take no further calls, and wait for the open ones, streams not counted."""
        self._stopping = True
        if self._open[False]:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._idle.wait()

    async def _on_request(self, event: RecvRequest) -> None:
        event.method_func = partial(self._call, event.method_name, event.method_func)

    async def _call(self, name: str, handle: _Handle, stream: Any) -> None:
        is_stream = name in self._streams
        began, status = time.perf_counter(), Status.OK
        try:
            self._admit(is_stream)
            self._open[is_stream] += 1
            try:
                _bound(stream)
                await handle(stream)
            finally:
                self._leave(is_stream)
        except GRPCError as error:
            status = error.status
            raise
        except asyncio.CancelledError:
            late = stream.deadline is not None and stream.deadline.time_remaining() <= 0
            status = Status.DEADLINE_EXCEEDED if late else Status.CANCELLED
            raise
        except BaseException:
            status = Status.UNKNOWN
            raise
        finally:
            seconds = None if is_stream else time.perf_counter() - began
            self._metrics.call(name.rpartition("/")[2], status.name, seconds)

    def _admit(self, is_stream: bool) -> None:
        if self._stopping:
            raise GRPCError(Status.UNAVAILABLE, "the service stops: try again")
        if self._open[is_stream] >= self._max[is_stream]:
            what = "streams are open" if is_stream else "calls are being answered"
            raise GRPCError(
                Status.RESOURCE_EXHAUSTED,
                f"{self._max[is_stream]} {what}, which is the limit: try again later",
            )

    def _leave(self, is_stream: bool) -> None:
        self._open[is_stream] -= 1
        if not self._open[False]:
            self._idle.set()


def _bound(stream: Any) -> None:
    """Have the library read a call's messages through `_BoundedReader`, and send in time."""
    stream._stream.recv_data = _BoundedReader(stream._stream.recv_data).read
    stream.send_message = partial(_send, stream, stream.send_message)


async def _send(stream: Any, send: Callable[[Any], Awaitable[None]], message: Any) -> None:
    """Send a message, or give up a client that does not read: it would hold its place for ever."""
    try:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await send(message)
    except TimeoutError:
        stream._stream._transport.abort()
        raise GRPCError(
            Status.DEADLINE_EXCEEDED, f"the client has not read for {SEND_SECONDS_MAX:g} s"
        ) from None


_CUT_OFF = GRPCError(Status.INVALID_ARGUMENT, "the request ended within a message")


class _BoundedReader:
    """Refuses what the library would read without a limit, or take for a defect of ours.

    The library reads each message by two calls: five bytes that say whether it is compressed
    and how long it is, then the message.
    """

    def __init__(self, read: Callable[[int], Awaitable[bytes]]) -> None:
        self._read = read
        self._reads = 0

    async def read(self, size: int) -> bytes:
        """The next bytes of the request."""
        self._reads += 1
        is_prefix = self._reads % 2 == 1
        if size > REQUEST_BYTES_MAX:
            raise GRPCError(
                Status.RESOURCE_EXHAUSTED,
                f"the request has {size} bytes; expected at most {REQUEST_BYTES_MAX}: ask for less",
            )
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX if self._reads <= 2 else None):
                data = await self._read(size)
        except TimeoutError:
            raise GRPCError(
                Status.DEADLINE_EXCEEDED, f"no request came within {REQUEST_SECONDS_MAX:g} s"
            ) from None
        except AssertionError:
            raise _CUT_OFF from None
        if len(data) < size and not is_prefix:
            raise _CUT_OFF
        if is_prefix and data[:1] not in (b"", b"\0"):
            raise GRPCError(
                Status.UNIMPLEMENTED, "the request is compressed; expected one that is not"
            )
        return data
