"""Sends a client's requests to the gateway's control topic."""

from __future__ import annotations

import asyncio
import contextlib

from qd_client.errors import GatewayUnavailable
from qd_fluvio import Fluvio, FluvioError, Producer, TopicNotFound
from qd_schemas.codec import encode
from qd_schemas.messages import Message
from qd_schemas.topics import CONTROL


class ControlSender:
    """One producer, opened again after a failure.

    Parameters
    ----------
    fluvio : Fluvio
        The connection.
    version : int
        The protocol version that the client speaks.
    """

    def __init__(self, fluvio: Fluvio, version: int) -> None:
        self._fluvio = fluvio
        self._version = version
        self._producer: Producer | None = None
        self._opening = asyncio.Lock()

    async def send(self, message: Message) -> None:
        """Send one request and wait until the cluster has it.

        Raises
        ------
        GatewayUnavailable
            There is no control topic: no gateway has ever run on this cluster.
        FluvioError
            It could not be sent; whether the cluster has it is then unknown.
        """
        producer = await self._open()
        try:
            await producer.send(encode(message, self._version))
            await producer.flush()
        except FluvioError:
            await self._drop(producer)
            raise
        except asyncio.CancelledError:
            producer.close()  # it may hang: nobody waits for it any more
            await self._drop(producer)
            raise

    async def aclose(self) -> None:
        """Close the producer."""
        if self._producer is not None:
            await self._drop(self._producer)

    async def _open(self) -> Producer:
        async with self._opening:
            if self._producer is None:
                try:
                    self._producer = await self._fluvio.producer(CONTROL)
                except TopicNotFound:
                    raise GatewayUnavailable(
                        f"the cluster at {self._fluvio.endpoint} has no topic {CONTROL}, so no "
                        "gateway runs on it; start one with `qd up` or `python -m qd_gateway`"
                    ) from None
            return self._producer

    async def _drop(self, producer: Producer) -> None:
        if self._producer is producer:
            self._producer = None
        with contextlib.suppress(FluvioError):
            await producer.aclose()
