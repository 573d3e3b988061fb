"""Answers to clients without a session, each over a producer of its own, a few at a time.

Anyone may write on the control topic, also in the name of clients that do not exist, so
the number of answers that wait is limited; more are dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from qd_fluvio import FluvioError, TopicNotFound
from qd_gateway.actions import Channel, Reply
from qd_gateway.limits import STRANGERS_AT_ONCE, STRANGERS_WAITING_MAX
from qd_gateway.link import Link
from qd_schemas.topics import client_topics

_log = logging.getLogger("qd_gateway.strangers")


class Strangers:
    """Sends replies that belong to no session."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._replies: asyncio.Queue[Reply] = asyncio.Queue(STRANGERS_WAITING_MAX)
        self.dropped = 0

    def put(self, reply: Reply) -> None:
        """Take a reply for sending; over the limit the oldest is dropped and counted.

        Who asked last is likeliest to wait still.
        """
        if self._replies.full():
            self._replies.get_nowait()
            self.dropped += 1
            if self.dropped.bit_count() == 1:  # at 1, 2, 4, 8 …: a flood does not fill the log
                _log.warning("replies to clients without a session dropped: %d", self.dropped)
        self._replies.put_nowait(reply)

    async def run(self) -> None:
        """Send replies until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(STRANGERS_AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            reply = await self._replies.get()
            try:
                await self._send(reply)
            except TopicNotFound:
                _log.debug("client=%d has no topics to be told: %s", reply.client_id, reply.text)
            except FluvioError as error:
                _log.warning("client=%d could not be told: %s", reply.client_id, error)

    async def _send(self, reply: Reply) -> None:
        topics = client_topics(reply.client_id)
        topic = topics.data if reply.channel is Channel.DATA else topics.error
        producer = await self._link.open_producer(topic)
        try:
            await producer.send(reply.payload)
            await producer.flush()
        finally:
            with contextlib.suppress(FluvioError):
                await producer.aclose()
