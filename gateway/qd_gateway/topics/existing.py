"""Which topics the cluster has, asked once for all who want to know at the same time.

Anyone can have the gateway look for the topics of clients that do not exist: opening a producer
for each, in vain, would keep those of real clients waiting. It keeps no answer for later.
"""

from __future__ import annotations

import asyncio

from qd_fluvio import Fluvio

NAMES_MAX = 100
"""Asked for in one question; where more want to know, all topics are asked for."""


class ExistingTopics:
    """Asks a cluster for topics, one question at a time."""

    def __init__(self) -> None:
        self._asking: asyncio.Task[frozenset[str]] | None = None
        self._wanted: set[str] = set()  # by the next question

    async def has(self, fluvio: Fluvio, topic: str) -> bool:
        """Whether a topic is there: as the cluster answers a question not older than this.

        Raises
        ------
        FluvioError
            It does not answer.
        """
        self._wanted.add(topic)
        before = self._asking
        if before is not None and not before.done():
            await asyncio.wait([before])
        if self._asking is before:  # else somebody who waited too has asked, for this one as well
            wanted, self._wanted = self._wanted, set()
            self._asking = asyncio.create_task(_names(fluvio, wanted))
            self._asking.add_done_callback(_retrieve)
        assert self._asking is not None
        return topic in await asyncio.shield(self._asking)


async def _names(fluvio: Fluvio, wanted: set[str]) -> frozenset[str]:
    names = sorted(wanted) if len(wanted) <= NAMES_MAX else []
    return frozenset([topic.name for topic in await fluvio.topics(*names)])


def _retrieve(asking: asyncio.Task[frozenset[str]]) -> None:
    """A question that nobody waits for any more may fail unheard."""
    if not asking.cancelled():
        asking.exception()
