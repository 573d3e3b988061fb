"""The gateway's connection to the cluster as it is now: there, or being made again.

Only the reader of the control topic makes and clears it; all others wait for it. Whatever is
sent over it waits while the gateway may not act for its clients: it may have been paused for so
long that another one serves them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from qd_fluvio import Fluvio, Producer, TopicNotFound
from qd_gateway.core.limits import OPENING_AT_ONCE
from qd_gateway.topics.existing import ExistingTopics


class Link:
    """Holds the current connection.

    Parameters
    ----------
    may_act : callable
        Returns when records may be sent.
    """

    def __init__(self, may_act: Callable[[], Awaitable[None]]) -> None:
        self._may_act = may_act
        self._fluvio: Fluvio | None = None
        self._up = asyncio.Event()
        self._topics = ExistingTopics()
        self._opening = asyncio.Semaphore(OPENING_AT_ONCE)

    def set(self, fluvio: Fluvio) -> None:
        """A connection was made."""
        self._fluvio = fluvio
        self._up.set()

    def clear(self) -> None:
        """The connection is of no more use."""
        self._fluvio = None
        self._up.clear()

    async def get(self) -> Fluvio:
        """The connection; waits while there is none."""
        while self._fluvio is None:
            await self._up.wait()
        return self._fluvio

    async def open_producer(self, topic: str) -> Producer:
        """A producer for a topic; only a few are opened at a time, and none that there is not.

        Raises
        ------
        TopicNotFound
            There is no such topic.
        FluvioError
            It cannot be opened.
        """
        fluvio = await self.get()
        if not await self._topics.has(fluvio, topic):
            raise TopicNotFound(f"the cluster at {fluvio.endpoint} has no topic {topic}")
        async with self._opening:
            return GuardedProducer(await fluvio.producer(topic), self._may_act)


class GuardedProducer:
    """A producer that sends only while the gateway may act."""

    def __init__(self, producer: Producer, may_act: Callable[[], Awaitable[None]]) -> None:
        self._producer = producer
        self._may_act = may_act
        self.flush = producer.flush
        self.aclose = producer.aclose
        self.close = producer.close

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._producer.topic

    @property
    def sent(self) -> int:
        """Records taken so far."""
        return self._producer.sent

    @property
    def acknowledged(self) -> int:
        """Records the cluster has acknowledged so far."""
        return self._producer.acknowledged

    @property
    def is_usable(self) -> bool:
        """False once it has failed or was closed."""
        return self._producer.is_usable

    async def send(self, payload: bytes, key: bytes | None = None) -> None:
        """Take one record for sending, as soon as the gateway may act."""
        await self._may_act()
        await self._producer.send(payload, key)

    async def send_many(
        self, payloads: Sequence[bytes], keys: Sequence[bytes | None] | None = None
    ) -> None:
        """Take records for sending, as soon as the gateway may act."""
        await self._may_act()
        await self._producer.send_many(payloads, keys)
