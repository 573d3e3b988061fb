"""A client of the gateway made of single messages, as one written for the reference is."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from qd_fluvio import Consumer, Fluvio, Producer, connect
from qd_schemas.codec import decode, encode
from qd_schemas.enums import ClientErrorType
from qd_schemas.messages import ClientError, LastOHLCVBar, LastTradeBar, Message, StopAllData
from qd_schemas.topics import CONTROL, client_topics

ANSWER_SECONDS_MAX = 60.0


class RawClient:
    """Three topics, a producer and two consumers; it checks nothing."""

    def __init__(self, endpoint: str, client_id: int, version: int = 1) -> None:
        self.client_id = client_id
        self.version = version
        self.topics = client_topics(client_id)
        self._endpoint = endpoint
        self._stack = AsyncExitStack()
        self.fluvio: Fluvio
        self._control: Producer
        self._data: Consumer
        self._errors: Consumer

    async def __aenter__(self) -> Self:
        self.fluvio = await self._stack.enter_async_context(connect(self._endpoint))
        for topic in self.topics.all:
            await self.fluvio.create_topic(topic)
        self._control = await self.fluvio.producer(CONTROL)
        self._data = await self.fluvio.consumer(self.topics.data)
        self._errors = await self.fluvio.consumer(self.topics.error)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for topic in self.topics.all:
            await self.fluvio.delete_topic(topic, missing_ok=True)
        await self._stack.aclose()

    async def send(self, message: Message, version: int | None = None) -> None:
        await self.send_bytes(encode(message, version or self.version))

    async def send_bytes(self, *payloads: bytes) -> None:
        await self._control.send_many(payloads)
        await self._control.flush()

    async def data(self) -> bytes:
        """The next record of the data topic."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return (await anext(self._data)).value

    async def error(self) -> Message:
        """The next message of the error topic."""
        return decode(await self.error_bytes())

    async def error_bytes(self) -> bytes:
        """The next record of the error topic."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return (await anext(self._errors)).value

    async def wait_read(self) -> None:
        """Wait until the gateway has read all that was sent before; without a session only."""
        await self.send(StopAllData(self.client_id, 0))
        expected = ClientError(self.client_id, ClientErrorType.NOT_LOGGED_IN)
        while await self.error() != expected:
            pass

    async def held(self, topic: str) -> list[bytes]:
        """All records that one of the client's topics holds."""
        end = await self.fluvio.end_offset(topic)
        consumer = await self.fluvio.consumer(topic)
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            found = [record.value async for record in consumer.read_until(end)]
        await consumer.aclose()
        return found

    async def stream(self) -> list[bytes]:
        """The records up to a Last… message."""
        records = [await self.data()]
        while not isinstance(decode(records[-1][: _message_bytes(records[-1])]), _LAST):
            records.append(await self.data())
        return records


_LAST = (LastTradeBar, LastOHLCVBar)


def _message_bytes(record: bytes) -> int:
    return 8 + int.from_bytes(record[:2], "little")
