"""Reads the data topic once for all streams of a client, and puts each record in its inbox.

A full inbox makes it wait, which slows only this client. If meanwhile another stream's
iterator waits for a record, the full stream is detached: it gets a consumer of its own from
the offset where it stopped, so that no order of reading several streams can hang.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from qd_client.assembly import is_last
from qd_client.demux import (
    ROW_PREFIX_BYTES,
    StreamKey,
    Word,
    is_row,
    key_of_record,
)
from qd_client.inbox import Inbox
from qd_fluvio import Consumer, Fluvio, FluvioError, Offset, Record
from qd_schemas.errors import DecodeError, QdError

_log = logging.getLogger("qd_client.reader")


class DataReader:
    """The streams of one client.

    Parameters
    ----------
    fluvio : Fluvio
        Where detached streams get their consumers from.
    consumer : Consumer
        Of the client's data topic, from before the login on.
    on_word : callable
        Called with what the gateway says to the client itself.
    """

    def __init__(
        self,
        fluvio: Fluvio,
        consumer: Consumer,
        on_word: Callable[[Word], None],
    ) -> None:
        self._fluvio = fluvio
        self._consumer = consumer
        self._on_word = on_word
        self._waits_since: float | None = None  # where it waits for a record
        self._changed = asyncio.Event()
        self._inboxes: dict[StreamKey, Inbox] = {}
        self._detached: dict[StreamKey, asyncio.Task[None]] = {}
        # Version 1 sends one record a row; all rows of a stream begin with the same bytes.
        self._rows: dict[bytes, Inbox] = {}

    @property
    def inboxes(self) -> dict[StreamKey, Inbox]:
        """The open streams."""
        return self._inboxes

    def open(self, key: StreamKey) -> Inbox:
        """Begin to collect a stream's records."""
        inbox = self._inboxes[key] = Inbox(self._changed.set)
        return inbox

    def close(self, key: StreamKey, error: QdError) -> None:
        """Forget a stream; what still comes for it is dropped."""
        inbox = self._inboxes.pop(key, None)
        if inbox is not None:
            self._forget_rows(inbox)
            inbox.fail(error)
        task = self._detached.pop(key, None)
        if task is not None:
            task.cancel()

    def interrupt(self, error: QdError) -> None:
        """Nothing more comes for the streams that are open now."""
        for inbox in self._inboxes.values():
            inbox.fail(error)

    def silent_s(self, now: float) -> float:
        """For how many seconds nothing has come, though this reader waits; 0 where it does not."""
        return 0.0 if self._waits_since is None else now - self._waits_since

    def forgive(self, now: float) -> None:
        """Count silence from now on only: nobody could listen before."""
        if self._waits_since is not None:
            self._waits_since = now

    async def run(self) -> None:
        """Read until cancelled.

        Raises
        ------
        FluvioError
            The topic cannot be read any more.
        """
        clock = asyncio.get_running_loop()
        batches = self._consumer.batches()
        while True:
            self._waits_since = clock.time()
            batch = await anext(batches)
            self._waits_since = None
            for record in batch:
                inbox = self._rows.get(record.value[:ROW_PREFIX_BYTES])
                if inbox is not None and not inbox.is_full:
                    inbox.put(record.value)
                else:
                    await self._route(record)

    async def aclose(self) -> None:
        """End the readers of detached streams and the consumer."""
        tasks = list(self._detached.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._consumer.aclose()

    async def _route(self, record: Record) -> None:
        try:
            key = key_of_record(record.value)
        except DecodeError as error:
            # Anyone can write here; what is missing from a stream shows in its sequence.
            _log.warning("ignored a record of %s: %s", self._consumer.topic, error)
            return
        if isinstance(key, Word):
            self._on_word(key)
            return
        inbox = self._inboxes.get(key)
        if inbox is None or inbox.is_detached:
            return
        if inbox.is_full and not await self._make_room(inbox):
            self._detach(key, inbox, record.offset)
            return
        if self._inboxes.get(key) is not inbox:
            return  # it was left meanwhile; the next stream of its key begins with a First…
        inbox.put(record.value)
        if is_row(record.value):
            self._rows[record.value[:ROW_PREFIX_BYTES]] = inbox

    async def _make_room(self, inbox: Inbox) -> bool:
        """Wait for room in an inbox; False where another stream cannot wait for that."""
        while inbox.is_full:
            if any(other.is_starved and not other.is_detached for other in self._inboxes.values()):
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    def _detach(self, key: StreamKey, inbox: Inbox, offset: int) -> None:
        inbox.is_detached = True
        self._forget_rows(inbox)
        self._detached[key] = asyncio.create_task(self._read_alone(key, inbox, offset))

    def _forget_rows(self, inbox: Inbox) -> None:
        self._rows = {head: found for head, found in self._rows.items() if found is not inbox}

    async def _read_alone(self, key: StreamKey, inbox: Inbox, offset: int) -> None:
        """Read one stream's records, from an offset to its end."""
        try:
            consumer = await self._fluvio.consumer(
                self._consumer.topic, offset=Offset.absolute(offset)
            )
            try:
                async for record in consumer:
                    if _belongs(record, key):
                        await inbox.room()
                        inbox.put(record.value)
                        if is_last(record.value):
                            return
            finally:
                await consumer.aclose()
        except FluvioError as error:
            inbox.fail(error)


def _belongs(record: Record, key: StreamKey) -> bool:
    try:
        return key_of_record(record.value) == key
    except DecodeError:
        return False
