"""Sends a client's requests to the gateway's control topic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from qd_client.errors import GatewayUnavailable
from qd_client.limits import SEND_SECONDS_MAX
from qd_fluvio import DeadlineExceeded, Fluvio, FluvioError, Producer, TopicNotFound
from qd_schemas.messages import Message
from qd_schemas.topics import CONTROL


class ControlSender:
    """One producer, opened again after a failure.

    Parameters
    ----------
    fluvio : Fluvio
        The connection.
    record_of : callable
        A request's bytes; called once for each, in the order in which they are sent.
    """

    def __init__(self, fluvio: Fluvio, record_of: Callable[[Message], bytes]) -> None:
        self._fluvio = fluvio
        self._record_of = record_of
        self._producer: Producer | None = None
        self._turn = asyncio.Lock()

    async def send(self, *messages: Message) -> None:
        """Send requests, a record each, and wait until the cluster has them.

        Raises
        ------
        GatewayUnavailable
            There is no control topic: no gateway has ever run on this cluster.
        FluvioError
            They could not be sent; whether the cluster has them is then unknown.
        """
        producer: Producer | None = None
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                async with self._turn:
                    producer = await self._open()
                    await producer.send_many([self._record_of(message) for message in messages])
                await producer.flush()
        except FluvioError:
            self._give_up(producer)
            raise
        except TimeoutError:
            self._give_up(producer)
            raise DeadlineExceeded(
                f"the cluster at {self._fluvio.endpoint} did not take a request within "
                f"{SEND_SECONDS_MAX:g} s; look at it"
            ) from None

    async def aclose(self) -> None:
        """Close the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(FluvioError):
                await producer.aclose()

    def abandon(self) -> None:
        """Give the producer up at once: it may hang, and nobody waits for it any more."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _give_up(self, used: Producer | None) -> None:
        """Abandon the producer that a request failed with; not one that was opened after it."""
        if used is self._producer:
            self.abandon()

    async def _open(self) -> Producer:
        if self._producer is not None and not self._producer.is_usable:
            self.abandon()
        if self._producer is None:
            try:
                self._producer = await self._fluvio.producer(CONTROL)
            except TopicNotFound:
                raise GatewayUnavailable(
                    f"the cluster at {self._fluvio.endpoint} has no topic {CONTROL}, so no "
                    "gateway runs on it; start one with `qd up` or `python -m qd_gateway`"
                ) from None
        return self._producer
