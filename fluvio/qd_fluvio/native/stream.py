"""One stream fetch: portions as the SPU sends them, each asked for by the one before.

The SPU sends a portion and waits until it is told how far the client is. So the next portion
is asked for as soon as one came and while there is room, and no more than the room holds can
ever arrive. This module walks batch headers to know how far it is; it opens no batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from qd_fluvio.errors import FluvioError, WireError
from qd_fluvio.native.link import Link
from qd_fluvio.servers import CLIENT_ID
from qd_fluvio.wire import data
from qd_fluvio.wire.failures import Failure
from qd_fluvio.wire.quick import UpdateFrames, read_portion, update_failure
from qd_fluvio.wire.records import HEADER_BYTES, Batch, batch_at, iter_batches

# A portion up to this size likely holds what was written just now.
_SMALL_BYTES = 16 * 1024


class Stream:
    """Portions of one partition from one offset on.

    Parameters
    ----------
    link : Link
        The connection to the partition's leader.
    request : StreamFetchRequest
        What is read.
    queue_bytes_max : int
        No portion is asked for that could exceed it, unless nothing is queued.
    on_news : callable
        Called when there is something new to see.
    """

    def __init__(
        self,
        link: Link,
        request: data.StreamFetchRequest,
        queue_bytes_max: int,
        on_news: Callable[[], None],
    ) -> None:
        self.link = link
        self.batches: deque[tuple[memoryview, Batch]] = deque()
        self.failure: Failure | None = None  # the server ended it
        self.error: FluvioError | None = None  # the connection ended it
        self.wanted_bytes = 0  # what the batch after the last whole one takes; cut if not 0
        self._fetch_bytes = request.max_bytes
        self._queue_bytes_max = queue_bytes_max
        self._on_news = on_news
        self._update = _Update(self)
        self._queued_bytes = 0
        self._next_offset = request.fetch_offset
        self._asked = True
        self._closed = False
        self._updates: UpdateFrames | None = None
        self._number = link.request(data.STREAM_FETCH, request, self, stream=True)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.failure is not None or self.error is not None

    def take(self) -> tuple[memoryview, Batch]:
        """The next batch, not opened; there must be one."""
        records, batch = self.batches.popleft()
        self._queued_bytes -= batch.end - batch.start
        self._ask()
        return records, batch

    def close(self) -> None:
        """Want nothing more."""
        self._closed = True
        self.link.forget(self._number)
        self.batches.clear()

    def answered(self, payload: bytearray) -> None:
        """A portion came; see `link.Asker`."""
        portion = read_portion(payload, self.link.version(data.STREAM_FETCH))
        if self._updates is None:
            self._updates = UpdateFrames(portion.stream_id, client_id=CLIENT_ID)
        if portion.failure:
            self.failure = portion.failure
        elif not self._asked:
            raise WireError("found a portion of a stream that was not asked for")
        else:
            self._asked = False
            self._queue(portion.records)
            if len(portion.records) > _SMALL_BYTES:
                self._ask()  # the SPU reads the next portion while this one is opened
            else:
                asyncio.get_running_loop().call_soon(self._ask)  # a lone record comes first
        self._on_news()

    def refused(self, failure: Failure) -> None:
        """The server knows nothing of this stream any more."""
        self.failure = failure
        self._on_news()

    def lost(self, error: FluvioError) -> None:
        """The connection is gone; see `link.Asker`."""
        self.error = error
        self._on_news()

    def _queue(self, records: memoryview) -> None:
        end = 0
        for batch in iter_batches(records):
            end = batch.end
            self._next_offset = batch.next_offset
            self._queued_bytes += end - batch.start
            self.batches.append((records, batch))
        if not end:
            cut = len(records) >= HEADER_BYTES
            self.wanted_bytes = batch_at(records, 0).end if cut else HEADER_BYTES

    def _ask(self) -> None:
        """Ask for what follows, if there is room."""
        room = self._queued_bytes + self._fetch_bytes <= self._queue_bytes_max
        if self._asked or self.wanted_bytes or self.ended or not (room or not self.batches):
            return
        if self._closed or self.link.error is not None:
            return
        assert self._updates is not None
        self._asked = True
        number = self.link.new_id()
        frame = self._updates.frame(number, self._next_offset)
        self.link.send(number, self._update, (frame,), stream=False)


class _Update:
    """Takes the answer to an update of a stream's offset, which says only whether it is known."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def answered(self, payload: bytearray) -> None:
        """See whether the stream is known."""
        if failure := update_failure(payload):
            self._stream.refused(failure)

    def lost(self, error: FluvioError) -> None:
        """The stream is told by itself."""
