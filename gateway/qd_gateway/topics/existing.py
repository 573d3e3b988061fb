"""Which topics the cluster has, asked once for all who want to know at the same time.

Anyone can have the gateway look for the topics of clients that do not exist: opening a producer
for each, in vain, would keep those of real clients waiting. It keeps no answer for later.
"""

from __future__ import annotations

import asyncio

from qd_fluvio import Fluvio


class ExistingTopics:
    """Asks a cluster for its topics, one question at a time."""

    def __init__(self) -> None:
        self._asking: asyncio.Task[frozenset[str]] | None = None

    async def names(self, fluvio: Fluvio) -> frozenset[str]:
        """The topics that there are now: as the cluster answers a question not older than this.

        Raises
        ------
        FluvioError
            It does not answer.
        """
        before = self._asking
        if before is not None and not before.done():
            await asyncio.wait([before])
        if self._asking is before:  # else somebody who waited too has asked
            self._asking = asyncio.create_task(_names(fluvio))
            self._asking.add_done_callback(_retrieve)
        assert self._asking is not None
        return await asyncio.shield(self._asking)


async def _names(fluvio: Fluvio) -> frozenset[str]:
    return frozenset([topic.name for topic in await fluvio.topics()])


def _retrieve(asking: asyncio.Task[frozenset[str]]) -> None:
    """A question that nobody waits for any more may fail unheard."""
    if not asking.cancelled():
        asking.exception()
