"""A client's own topics: made before it logs in, deleted when it closes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from qd_client.limits import TIDY_SECONDS_MAX
from qd_fluvio import Consumer, Fluvio, Offset, TopicExists, settings_of
from qd_schemas.errors import QdError
from qd_schemas.topics import CLIENT_TOPIC, client_topics

_log = logging.getLogger("qd_client.session")


class Tidier:
    """Steps that the gateway and the cluster can do without: tried, never raised.

    A cluster that lets one step wait for too long is not asked for another, so that nobody who
    closes a client waits for more than one.
    """

    def __init__(self, client_id: int, endpoint: str) -> None:
        self._client_id = client_id
        self._endpoint = endpoint
        self.is_mute = False  # the cluster

    async def attempt(self, step: Coroutine[Any, Any, None], what: str) -> None:
        """Try a step, to its deadline."""
        if self.is_mute:
            step.close()
            return
        try:
            async with asyncio.timeout(TIDY_SECONDS_MAX):
                await step
        except QdError as error:
            _log.warning("client %d could not %s: %s", self._client_id, what, error)
        except TimeoutError:
            self.is_mute = True
            _log.warning(
                "client %d could not %s: the cluster at %s did not answer within %g s; leaving "
                "the rest to its lease and to its topics' retention",
                *(self._client_id, what, self._endpoint, TIDY_SECONDS_MAX),
            )


class OwnTopics:
    """The three topics of one client.

    Parameters
    ----------
    fluvio : Fluvio
        The connection.
    client_id : int
        Whose they are.
    """

    def __init__(self, fluvio: Fluvio, client_id: int) -> None:
        self._fluvio = fluvio
        self._client_id = client_id
        self._names = client_topics(client_id)
        self._created: set[str] = set()

    async def create(self, *, may_exist: bool) -> bool:
        """Create them; True where one was left by a client that died, or is another one's.

        Raises
        ------
        TopicExists
            Unless `may_exist`.
        """
        existed = await asyncio.gather(
            *(self._create(topic) for topic in self._names.all), return_exceptions=True
        )
        for failure in existed:
            if isinstance(failure, BaseException):
                raise failure
        if any(existed) and not may_exist:
            raise TopicExists(
                f"topics of client {self._client_id} are there: the id is somebody's; take another"
            )
        return any(existed)

    async def _create(self, topic: str) -> bool:
        """Create one; True where it was there."""
        try:
            await self._fluvio.create_topic(topic, settings_of(CLIENT_TOPIC))
        except TopicExists:
            return True
        self._created.add(topic)
        return False

    async def consumers(self) -> tuple[Consumer, Consumer]:
        """Consumers of data and errors from their ends, fixed before anything is asked for."""
        data = await self._consumer(self._names.data)
        try:
            return data, await self._consumer(self._names.error)
        except BaseException:
            await data.aclose()
            raise

    async def _consumer(self, topic: str) -> Consumer:
        end = await self._fluvio.end_offset(topic)
        return await self._fluvio.consumer(topic, offset=Offset.absolute(end))

    async def delete(self, tidier: Tidier, *, all_: bool) -> None:
        """Delete them all, or those that were made here: the others may be somebody's."""
        doomed = self._names.all if all_ else sorted(self._created)
        await asyncio.gather(
            *(
                tidier.attempt(self._fluvio.delete_topic(topic, missing_ok=True), f"delete {topic}")
                for topic in doomed
            )
        )
