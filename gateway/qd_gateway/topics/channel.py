"""The way to one logged-in client: its data and error topics, and the replies to it.

Each session has its own, so a client that is slow or gone costs nobody else anything: its
replies wait here, up to a limit, and its streams wait in its own producer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from qd_fluvio import FluvioError, Producer, TopicNotFound
from qd_fluvio.logs import field_logger
from qd_gateway.core.actions import Channel, OpenSession, Reply
from qd_gateway.core.limits import (
    CHANNEL_OPEN_SECONDS_MAX,
    RECONNECT_SECONDS_MAX,
    RECONNECT_SECONDS_MIN,
    REPLIES_WAITING_MAX,
    REPLY_TRIES_MAX,
)
from qd_gateway.metrics import GatewayMetrics
from qd_gateway.topics.link import Link
from qd_schemas.topics import client_topics

_log = field_logger("qd_gateway.topics.channel")


class ClientChannel:
    """Two producers and a queue of replies.

    Parameters
    ----------
    opened : OpenSession
        The session that this is the way to.
    link : Link
        The connection to the cluster.
    on_gone : callable
        Called once, when the client's topics turn out not to exist.
    before : asyncio.Task, optional
        The client's session before, while it closes: what it sent goes out first, so that no
        record of it comes between those of this one.
    metrics : GatewayMetrics
        Told of replies that are dropped.
    """

    def __init__(
        self,
        opened: OpenSession,
        link: Link,
        on_gone: Callable[[], None],
        before: asyncio.Task[None] | None,
        metrics: GatewayMetrics,
    ) -> None:
        self._opened = opened
        self._metrics = metrics
        self.log = _log.bind(client=opened.client_id, session=opened.session)
        self._link = link
        self._on_gone: Callable[[], None] | None = on_gone
        self._before = before
        topics = client_topics(opened.client_id)
        self._topics = {Channel.DATA: topics.data, Channel.ERROR: topics.error}
        self._producers: dict[Channel, Producer] = {}
        self._locks = {channel: asyncio.Lock() for channel in Channel}
        self._replies: asyncio.Queue[Reply | None] = asyncio.Queue()
        self.closed = False

    @property
    def client_id(self) -> int:
        """Whose way it is."""
        return self._opened.client_id

    @property
    def waiting(self) -> int:
        """How many replies wait to be sent."""
        return self._replies.qsize()

    def put(self, reply: Reply) -> None:
        """Take a reply for sending; over the limit it is dropped."""
        if self._replies.qsize() < REPLIES_WAITING_MAX:
            self._replies.put_nowait(reply)
        else:
            self._metrics.reply_dropped()
            self.log.warning("reply dropped: %s", reply.text, waiting=REPLIES_WAITING_MAX)

    def close(self) -> None:
        """End `run` once the waiting replies are out; takes nothing more from then on."""
        if not self.closed:
            self.closed = True
            self._replies.put_nowait(None)

    async def run(self) -> None:
        """Open the topics and send replies until closed."""
        try:
            with contextlib.suppress(FluvioError):  # opening is tried again for each reply
                for channel in Channel:
                    await self.producer(channel)
            while (reply := await self._replies.get()) is not None:
                await self._deliver(reply)
                self._replies.task_done()
            self._replies.task_done()  # of the end: who flushes meanwhile waits for that, too
        finally:
            await self._close_producers()

    async def flush(self) -> None:
        """Wait until all that was sent so far, and the waiting replies, are acknowledged."""
        if self.closed:
            return
        await self._replies.join()
        for producer in list(self._producers.values()):
            with contextlib.suppress(FluvioError):  # whoever sends next finds it
                await producer.flush()

    async def producer(self, channel: Channel) -> Producer:
        """The producer of one of the client's topics, opened when needed.

        Raises
        ------
        TopicNotFound
            The client's topic does not exist; the session is reported as gone.
        FluvioError
            It cannot be opened now.
        """
        async with self._locks[channel]:
            if self._before is not None:
                await asyncio.wait([self._before])
                self._before = None
            found = self._producers.get(channel)
            if found is not None and not found.is_usable:  # the connection may be another one now
                found.close()
                found = None
            if found is None:
                found = self._producers[channel] = await self._open(self._topics[channel])
            return found

    async def drop(self, channel: Channel, producer: Producer) -> None:
        """Forget a producer that failed; the next use opens another."""
        if self._producers.get(channel) is producer:
            del self._producers[channel]
            with contextlib.suppress(FluvioError):
                await producer.aclose()

    async def _open(self, topic: str) -> Producer:
        """Open a producer; a topic made a moment ago may take a moment to be seen."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + CHANNEL_OPEN_SECONDS_MAX
        pause_s = RECONNECT_SECONDS_MIN
        while True:
            try:
                return await self._link.open_producer(topic)
            except TopicNotFound:
                if self.closed or loop.time() >= give_up_at:
                    self._report_gone()
                    raise
            await asyncio.sleep(pause_s)
            pause_s *= 2

    def _report_gone(self) -> None:
        if self._on_gone is not None and not self.closed:
            report, self._on_gone = self._on_gone, None
            report()

    async def _deliver(self, reply: Reply) -> None:
        """Send a reply; a broken connection is waited out, a few times."""
        pause_s = RECONNECT_SECONDS_MIN
        for _ in range(REPLY_TRIES_MAX):
            try:
                producer = await self.producer(reply.channel)
            except FluvioError as error:
                if isinstance(error, TopicNotFound):
                    break
            else:
                try:
                    await producer.send(reply.payload)
                    if reply.channel is Channel.ERROR:  # the other is busy with streams
                        await producer.flush()
                    return
                except FluvioError:
                    await self.drop(reply.channel, producer)
            if self.closed:
                break
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RECONNECT_SECONDS_MAX)
        self._metrics.reply_dropped()
        self.log.warning("could not be told: %s", reply.text)

    async def _close_producers(self) -> None:
        producers = list(self._producers.values())
        self._producers.clear()
        for producer in producers:
            # Its records may be unacknowledged because the client deleted its topics.
            with contextlib.suppress(FluvioError):
                await producer.aclose()
