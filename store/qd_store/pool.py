"""The open streams of a store: a bounded number of readers, driven from asyncio.

Each call of a reader runs in a thread of its own that the process does not wait for at its
end: a server that hangs cannot keep a service from stopping. A stream is one batch ahead
of its consumer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TypeVar

from qd_schemas.arrays import Rows
from qd_store.errors import QueryFailed, TooManyStreams
from qd_store.streams import StreamDatabase, TradeReader

CLOSE_SECONDS_MAX = 5.0
T = TypeVar("T")
_log = logging.getLogger(__name__)


class StreamPool:
    """Opens, counts and closes streams of trades.

    Parameters
    ----------
    dsn : str
        The database.
    streams_max : int
        How many may be open at the same time.
    """

    def __init__(self, dsn: str, streams_max: int) -> None:
        self._dsn = dsn
        self._streams_max = streams_max
        self._slots_taken = 0
        self._database: StreamDatabase | None = None
        self._turn = asyncio.Lock()
        self._open: dict[TradeReader, asyncio.Future[Rows | None]] = {}
        self._closed = False

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Count a stream while the block runs.

        Raises
        ------
        TooManyStreams
            There are too many.
        """
        if self._slots_taken >= self._streams_max:
            raise TooManyStreams(
                f"{self._slots_taken} streams are open, which is the limit: try again when "
                "one has ended, or raise the limit"
            )
        self._slots_taken += 1
        try:
            yield
        finally:
            self._slots_taken -= 1

    async def read(
        self, market: int, first_sequence: int, end_sequence: int, batch_rows: int
    ) -> AsyncGenerator[Rows]:
        """Stream trades; see `TradeReader` for the parameters and errors."""
        database = await self._connected()
        reader = TradeReader(database, market, first_sequence, end_sequence, batch_rows)
        try:
            pending = self._next(reader)
            while (rows := await asyncio.shield(pending)) is not None:
                pending = self._next(reader)
                yield rows
        finally:
            await self._release(reader)

    async def close(self) -> None:
        """End all streams and let go of the driver."""
        self._closed = True
        await asyncio.gather(*(self._release(reader) for reader in list(self._open)))
        if self._database is not None:
            self._database.close()

    def _next(self, reader: TradeReader) -> asyncio.Future[Rows | None]:
        if self._closed:
            raise QueryFailed("the store was closed while a stream was read: keep it open")
        pending = self._open[reader] = in_thread(reader.read)
        return pending

    async def _release(self, reader: TradeReader) -> None:
        """End a reader's query and connection, once, also where a batch is on its way."""
        pending = self._open.pop(reader, None)
        if pending is None:
            return
        if not pending.done():
            both = asyncio.gather(pending, in_thread(reader.cancel), return_exceptions=True)
            try:
                await asyncio.wait_for(both, CLOSE_SECONDS_MAX)
            except TimeoutError:
                _log.warning("the database does not answer; a stream's connection is left to it")
                return
        await in_thread(reader.close)

    async def _connected(self) -> StreamDatabase:
        async with self._turn:
            if self._database is None:
                self._database = await in_thread(lambda: StreamDatabase(self._dsn))
            return self._database


def in_thread(call: Callable[[], T]) -> asyncio.Future[T]:
    """Run a blocking call in a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    # An error nobody asks for, of a stream that was left, is no news.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def deliver(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T, as there is no error

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as found:
            error = found
        with contextlib.suppress(RuntimeError):  # the loop has gone meanwhile
            loop.call_soon_threadsafe(deliver, result, error)

    threading.Thread(target=run, name="qd-stream", daemon=True).start()
    return future
