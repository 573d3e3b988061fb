"""Reads the control topic for ever: connects, reads, and connects again when that ends.

It does not know what the records mean.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from qd_fluvio import (
    Consumer,
    Fluvio,
    FluvioError,
    Offset,
    OffsetOutOfRange,
    Record,
    connect,
    ensure_system_topic,
)
from qd_gateway.limits import RECONNECT_SECONDS_MAX, RECONNECT_SECONDS_MIN
from qd_gateway.link import Link
from qd_schemas.specs import FluvioSettings
from qd_schemas.topics import CONTROL

_log = logging.getLogger("qd_gateway.control")


class ControlReader:
    """Consumes `qdgw-control` from its end, then from where it stopped.

    Requests of before the start are not replayed: who sent them has long given up. After a
    lost connection it goes on at the next offset, so nothing sent meanwhile is missed.

    Parameters
    ----------
    cluster : FluvioSettings
        The Fluvio cluster.
    link : Link
        Told of each connection.
    on_records, on_connected, on_lost : callable
        Called with each batch, after each connection is made, and after it is lost.
    on_new_log : callable
        Called before the first batch of a topic that was made anew.
    """

    def __init__(
        self,
        cluster: FluvioSettings,
        link: Link,
        on_records: Callable[[list[Record]], None],
        on_connected: Callable[[], None],
        on_lost: Callable[[], None],
        on_new_log: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._link = link
        self._on_records = on_records
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_new_log = on_new_log
        self._next_offset: int | None = None
        self._pause_s = RECONNECT_SECONDS_MIN

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                await self._connected()
            except FluvioError as error:
                _log.error("%s; trying again in %.1f s", error, self._pause_s)
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(self._pause_s * 2, RECONNECT_SECONDS_MAX)

    async def _connected(self) -> None:
        async with connect(self._cluster) as fluvio:
            await ensure_system_topic(fluvio, CONTROL)
            consumer = await self._consumer(fluvio)
            self._pause_s = RECONNECT_SECONDS_MIN
            self._link.set(fluvio)
            self._on_connected()
            try:
                async for batch in consumer.batches():
                    self._next_offset = batch[-1].offset + 1
                    self._on_records(batch)
                    await asyncio.sleep(0)  # streams and replies go on during a flood
            finally:
                self._link.clear()
                self._on_lost()
                await consumer.aclose()

    async def _consumer(self, fluvio: Fluvio) -> Consumer:
        if self._next_offset is not None:
            try:
                return await fluvio.consumer(CONTROL, offset=Offset.absolute(self._next_offset))
            except OffsetOutOfRange:
                # The topic was made anew while the connection was down.
                _log.warning("%s has no offset %d; reading all of it", CONTROL, self._next_offset)
                self._on_new_log()
                return await fluvio.consumer(CONTROL, offset=Offset.beginning())
        self._next_offset = await fluvio.end_offset(CONTROL)
        return await fluvio.consumer(CONTROL, offset=Offset.absolute(self._next_offset))
