"""A stream as users hold it: rows as they come, across whatever interrupts them.

A thin shell around `resuming`, which decides, and `assembly`, which proves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Any

from qd_client.assembly import Assembly, ExactAssembly, ReferenceAssembly
from qd_client.errors import GatewayLost, Refused, StreamInterrupted
from qd_client.inbox import Inbox
from qd_client.request import StreamRequest
from qd_client.resuming import Progress, Resuming
from qd_client.session import Session
from qd_schemas.arrays import Rows
from qd_schemas.errors import QdError
from qd_schemas.wire import NO_STREAM

_log = logging.getLogger("qd_client.stream")


class RowStream(AsyncGenerator[Rows, None]):
    """Rows of one market in arrays, to be read by ``async for``; and how far that is.

    Leaving the loop early ends the stream at the gateway, at once inside ``contextlib.aclosing``.

    Attributes
    ----------
    next_sequence : int
        The number of the row that comes next: a trade's within its market, a bar's within the
        range that was asked for. ``first_sequence=`` takes it, in the same range.
    rows : int
        How many were given.
    resumed : int
        How often the stream was interrupted and asked for again.
    """

    def __init__(self, begin: Callable[[Progress], AsyncGenerator[Rows, None]]) -> None:
        self._progress = Progress()
        self._source = begin(self._progress)

    @property
    def next_sequence(self) -> int:
        """The number of the row that comes next."""
        return self._progress.next_sequence

    @property
    def rows(self) -> int:
        """How many rows were given."""
        return self._progress.rows

    @property
    def resumed(self) -> int:
        """How often the stream was interrupted and asked for again."""
        return self._progress.resumed

    def __aiter__(self) -> RowStream:
        """The stream itself."""
        return self

    async def __anext__(self) -> Rows:
        """The next array."""
        return await anext(self._source)

    async def asend(self, value: None) -> Rows:
        """See `collections.abc.AsyncGenerator`."""
        return await self._source.asend(value)

    async def athrow(
        self,
        typ: Any,
        val: Any = None,
        tb: TracebackType | None = None,
    ) -> Rows:
        """See `collections.abc.AsyncGenerator`."""
        error = typ if val is None else val
        return await self._source.athrow(error)

    async def aclose(self) -> None:
        """End the stream."""
        await self._source.aclose()


class Run:
    """One stream being read.

    Parameters
    ----------
    session : Session
        Where it is asked for.
    resuming : Resuming
        What is asked for, and what is done about failures.
    new_stream_id : callable or None
        Gives ids that this client has not used; None in version 1, which knows none.
    """

    def __init__(
        self,
        session: Session,
        resuming: Resuming,
        new_stream_id: Callable[[], int] | None,
    ) -> None:
        self._session = session
        self._resuming = resuming
        self._new_stream_id = new_stream_id
        self._clock = asyncio.get_running_loop().time
        self._asked: StreamRequest | None = None  # what is being read
        self._epoch = session.epoch  # of the gateway that was asked
        self._stale: StreamRequest | None = None  # what the gateway may be sending still
        self._inbox = Inbox(lambda: None)
        self._assembly: Assembly

    async def rows(self) -> AsyncGenerator[Rows, None]:
        """Give the rows to the stream's end, each once."""
        try:
            while (rows := await self._next()) is not None:
                yield rows
                if self._asked is not None:
                    self._session.took(self._asked, self._assembly.next_sequence)
        finally:
            await self._end()

    async def _next(self) -> Rows | None:
        """The next rows; None where there are no more."""
        while True:
            try:
                if self._asked is None and not await self._ask():
                    return None
                if self._assembly.is_ended:
                    self._leave()
                    return None
                rows = await self._read()
                if rows is not None and len(rows):
                    return rows
            except QdError as error:
                self._leave(stale=not isinstance(error, Refused | StreamInterrupted))
                wait_s = self._resuming.failed(error, self._clock())
                if wait_s is None:
                    return None
                _log.warning("%s; asking again in %.1f s", error, wait_s)
                await asyncio.sleep(wait_s)
                if isinstance(error, StreamInterrupted):
                    left_s = self._resuming.left_s(self._clock()) or 0.0
                    await self._session.served_anew(self._epoch, left_s)

    async def _ask(self) -> bool:
        """Ask for what is left; False where nothing is."""
        session, now = self._session, self._clock()
        number = NO_STREAM if self._new_stream_id is None else self._new_stream_id()
        request = self._resuming.next_request(number, now)
        if request is None:
            return False
        left_s = self._resuming.left_s(now)
        if left_s is None and session.trouble is not None:
            raise session.trouble
        self._epoch = session.epoch
        try:
            async with asyncio.timeout(left_s):
                self._inbox = await session.start_stream(request, self._stale)
        except TimeoutError:
            raise session.trouble or GatewayLost(
                f"{request}: the gateway could not be asked; look at its log and the cluster's"
            ) from None
        self._asked, self._stale = request, None
        kind = ReferenceAssembly if number == NO_STREAM else ExactAssembly
        self._assembly = kind(request)
        self._resuming.asked(self._clock())
        return True

    async def _read(self) -> Rows | None:
        """Rows that are new, if any came."""
        if self._assembly.fault is not None:
            raise self._assembly.fault
        rows = self._assembly.add(await self._inbox.take())
        return None if rows is None else self._resuming.took(rows)

    def _leave(self, *, stale: bool = False) -> None:
        """Read no more of what was asked for; stale is what the gateway may be sending still."""
        if self._asked is not None:
            self._session.forget(self._asked)
            self._stale = self._asked if stale else None
            self._asked = None

    async def _end(self) -> None:
        self._leave(stale=True)
        if self._stale is not None:
            await self._session.stop(self._stale)
