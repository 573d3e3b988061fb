"""The reader of all streams: what happens in one turn of the loop moves no record to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from qd_client.demux import StreamKey
from qd_client.errors import UsageError
from qd_client.inbox import Inbox
from qd_client.limits import STREAM_BYTES_MAX
from qd_client.reader import DataReader
from qd_fluvio import Consumer, Fluvio, Record
from qd_schemas.codec import encode
from qd_schemas.messages import TradeBar
from qd_schemas.wire import NO_STREAM, VERSION_REFERENCE

KEY = StreamKey(NO_STREAM, 7, False)
ROW = encode(TradeBar(7, 1, 2.0, 3.0), VERSION_REFERENCE)


class Topic:
    """A consumer of records that a test gives."""

    topic = "data"

    def __init__(self) -> None:
        self.given: asyncio.Queue[list[Record]] = asyncio.Queue()

    async def batches(self) -> AsyncIterator[list[Record]]:
        while True:
            yield await self.given.get()

    async def aclose(self) -> None:
        """Nothing is held."""


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def rows(count: int) -> list[Record]:
    return [Record(offset, -1, None, ROW) for offset in range(count)]


async def test_a_stream_gets_its_rows_where_a_full_one_of_the_same_kind_was_just_left() -> None:
    """Version 1's streams of a market and kind are told apart by nothing."""
    topic = Topic()
    reader = DataReader(cast(Fluvio, None), cast(Consumer, topic), lambda word: None)
    reading = asyncio.create_task(reader.run())
    left = reader.open(KEY)
    while not left.is_full:
        left.put(ROW)
    topic.given.put_nowait(rows(1))
    await turns()  # now it waits for room
    reader.close(KEY, UsageError("left"))
    await turns()
    inbox = reader.open(KEY)
    topic.given.put_nowait(rows(3))
    await turns()
    assert await asyncio.wait_for(inbox.take(), 1) == [ROW] * 3
    reading.cancel()
    await asyncio.wait([reading])


async def test_a_stream_that_failed_holds_no_more() -> None:
    """Its iterator may be stalled, and what comes is not to be waited for: nothing bounds it."""
    inbox = Inbox(lambda: None)
    inbox.put(b"a")
    inbox.fail(UsageError("failed"))
    held = 0
    while held < 3 * STREAM_BYTES_MAX:
        inbox.put(bytes(64_000))
        held += 64_000
    assert await inbox.take() == [b"a"]
