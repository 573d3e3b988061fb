"""Answers to clients without a session, each over a producer of its own, a few at a time.

Anyone may write on the control topic, also in the name of clients that do not exist, so
the number of answers that wait is limited; more are dropped and counted. Challenges, which go to
the data topics of clients that have a token, do not wait among the refusals of all others.
"""

from __future__ import annotations

import asyncio
import contextlib

from qd_fluvio import FluvioError, TopicNotFound
from qd_fluvio.logs import field_logger
from qd_gateway.core.actions import Channel, Reply
from qd_gateway.core.limits import STRANGERS_AT_ONCE, STRANGERS_WAITING_MAX
from qd_gateway.core.slots import slot_of
from qd_gateway.metrics import GatewayMetrics
from qd_gateway.topics.link import Link
from qd_schemas.topics import client_topics

_log = field_logger("qd_gateway.topics.strangers")


class Strangers:
    """Sends replies that belong to no session."""

    def __init__(self, link: Link, metrics: GatewayMetrics) -> None:
        self._link = link
        self._metrics = metrics
        self._replies: dict[Channel, asyncio.Queue[Reply]] = {
            channel: asyncio.Queue(STRANGERS_WAITING_MAX) for channel in Channel
        }
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """How many replies wait to be sent."""
        return sum(replies.qsize() for replies in self._replies.values())

    def put(self, reply: Reply) -> None:
        """Take a reply for sending; over the limit the oldest is dropped and counted.

        Who asked last is likeliest to wait still.
        """
        replies = self._replies[reply.channel]
        if replies.full():
            replies.get_nowait()
            self.dropped += 1
            self._metrics.reply_dropped()
            if self.dropped.bit_count() == 1:  # at 1, 2, 4, 8 …: a flood does not fill the log
                _log.warning("replies to clients without a session dropped: %d", self.dropped)
        replies.put_nowait(reply)

    def forget(self, slots: frozenset[int]) -> None:
        """Tell clients of these slots nothing more: another gateway answers them."""
        for replies in self._replies.values():
            for _ in range(replies.qsize()):
                reply = replies.get_nowait()
                if slot_of(reply.client_id) not in slots:
                    replies.put_nowait(reply)

    async def run(self) -> None:
        """Send replies until cancelled."""
        async with asyncio.TaskGroup() as group:
            for replies in self._replies.values():
                for _ in range(STRANGERS_AT_ONCE):
                    group.create_task(self._work(replies))

    async def _work(self, replies: asyncio.Queue[Reply]) -> None:
        while True:
            reply = await replies.get()
            try:
                await self._send(reply)
            except TopicNotFound:
                _log.debug("no topics, not told: %s", reply.text, client=reply.client_id)
            except FluvioError as error:
                _log.warning("could not be told: %s", error, client=reply.client_id)

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
