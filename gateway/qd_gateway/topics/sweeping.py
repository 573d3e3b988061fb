"""Deletes the topics of clients that are gone: whatever `client-N-…` no session used for a while.

The list of topics is looked through again and again, so that nothing is forgotten where a
gateway is restarted or its clients move. Only topics of clients that are served here are
touched. A client that is about to log in makes its topics first: its time begins with the sight
of them, and anew with whatever it sends.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Final

from qd_fluvio import FluvioError
from qd_fluvio.logs import field_logger
from qd_gateway.core.limits import RECONNECT_SECONDS_MAX, SWEEP_SECONDS, TICK_SECONDS
from qd_gateway.metrics import GatewayMetrics
from qd_gateway.topics.link import Link
from qd_schemas.topics import CLIENT_ID_MAX, CLIENT_ID_MIN, client_topics

_TOPIC: Final = re.compile(r"client-([1-9][0-9]{1,4})-(?:control|data|error)")

_log = field_logger("qd_gateway.topics.sweeping")


def clients_of(topics: Iterable[str]) -> set[int]:
    """The clients whose topics are among these."""
    found = {int(match[1]) for name in topics if (match := _TOPIC.fullmatch(name))}
    return {client_id for client_id in found if CLIENT_ID_MIN <= client_id <= CLIENT_ID_MAX}


class Unused:
    """Since when the topics of clients are not used. No I/O.

    Parameters
    ----------
    keep_s : float
        Seconds for which they are kept.
    """

    def __init__(self, keep_s: float) -> None:
        self.keep_s = keep_s
        self._since: dict[int, float] = {}

    def heard(self, client_id: int, now: float) -> None:
        """A client without a session sent something."""
        if client_id in self._since:
            self._since[client_id] = now

    def due(self, unused: set[int], now: float) -> set[int]:
        """Of all clients whose topics are there and unused: those whose time is over."""
        self._since = {client_id: self._since.get(client_id, now) for client_id in unused}
        return {one for one, since in self._since.items() if now - since >= self.keep_s}


class Sweeper:
    """Looks through the topics for ever.

    Parameters
    ----------
    link : Link
        The connection to the cluster.
    is_unused : callable
        Whether a client is this gateway's and has no session.
    unused : Unused
        Remembers since when.
    metrics : GatewayMetrics
        Counts deleted topics.
    """

    def __init__(
        self,
        link: Link,
        is_unused: Callable[[int], bool],
        unused: Unused,
        metrics: GatewayMetrics,
    ) -> None:
        self._link = link
        self._is_unused = is_unused
        self._unused = unused
        self._metrics = metrics

    async def run(self) -> None:
        """Sweep until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                fluvio = await self._link.get()
                found = clients_of(topic.name for topic in await fluvio.topics())
                unused = {client_id for client_id in found if self._is_unused(client_id)}
                for client_id in sorted(self._unused.due(unused, loop.time())):
                    await self._delete(client_id)
            except FluvioError as error:
                _log.warning("topics that nobody uses may be left: %s", error)
                await asyncio.sleep(RECONNECT_SECONDS_MAX)
            await asyncio.sleep(min(SWEEP_SECONDS, max(self._unused.keep_s, TICK_SECONDS)))

    async def _delete(self, client_id: int) -> None:
        """Delete a client's topics, unless it came back meanwhile."""
        fluvio = await self._link.get()
        deleted = 0
        for topic in client_topics(client_id).all:
            if not self._is_unused(client_id):
                return
            await fluvio.delete_topic(topic, missing_ok=True)
            deleted += 1
        self._metrics.swept(deleted)
        _log.info("left topics behind: deleted", client=client_id)
