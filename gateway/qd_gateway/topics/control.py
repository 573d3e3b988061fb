"""Reads the control topic for ever: connects, reads, and connects again when that ends.

It does not know what the records mean. It can be told to read again from an earlier offset:
that comes before anything later.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

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
from qd_fluvio.logs import field_logger
from qd_gateway.core.limits import (
    RECONNECT_SECONDS_MAX,
    RECONNECT_SECONDS_MIN,
    RECORDS_AT_ONCE,
)
from qd_gateway.topics.link import Link
from qd_schemas.specs import FluvioSettings
from qd_schemas.topics import CONTROL

_log = field_logger("qd_gateway.topics.control")


class Listener(Protocol):
    """Who is told of the control topic."""

    async def may_act(self) -> None:
        """Return when records may be handled; called before each batch."""

    def on_records(self, records: list[Record]) -> None:
        """The next records, in order."""

    def on_connected(self) -> None:
        """A connection was made; records follow."""

    def on_lost(self) -> None:
        """The connection was lost."""

    def on_new_log(self) -> None:
        """The topic was made anew: its offsets begin again."""


class ControlReader:
    """Consumes `qdgw-control` from its end, then from where it stopped.

    After a lost connection it goes on at the next offset, so nothing sent meanwhile is missed.

    Parameters
    ----------
    cluster : FluvioSettings
        The Fluvio cluster.
    link : Link
        Told of each connection.
    listener : Listener
        Told of connections and records.

    Attributes
    ----------
    next_offset : int or None
        Of the record that is handled next; None before the first connection.
    """

    def __init__(self, cluster: FluvioSettings, link: Link, listener: Listener) -> None:
        self._cluster = cluster
        self._link = link
        self._listener = listener
        self._rewound = asyncio.Event()
        self._pause_s = RECONNECT_SECONDS_MIN
        self.next_offset: int | None = None

    def rewind(self, offset: int) -> None:
        """Read again from an offset, if it is an earlier one."""
        if self.next_offset is not None and offset < self.next_offset:
            self.next_offset = offset
            self._rewound.set()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                async with connect(self._cluster) as fluvio:
                    await ensure_system_topic(fluvio, CONTROL)
                    if self.next_offset is None:
                        self.next_offset = await fluvio.end_offset(CONTROL)
                    await self._read(fluvio)
            except FluvioError as error:
                _log.error("%s; trying again in %.1f s", error, self._pause_s)
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(self._pause_s * 2, RECONNECT_SECONDS_MAX)

    async def _read(self, fluvio: Fluvio) -> None:
        """Read with one connection, as long as it lasts."""
        consumer = await self._consumer(fluvio)
        self._pause_s = RECONNECT_SECONDS_MIN
        self._link.set(fluvio)
        self._listener.on_connected()
        try:
            while await self._read_on(consumer):
                await consumer.aclose()
                consumer = await self._consumer(fluvio)
        finally:
            self._link.clear()
            self._listener.on_lost()
            await consumer.aclose()

    async def _read_on(self, consumer: Consumer) -> bool:
        """Read until there is no more, or until told to rewind; whether that is why."""
        reading = asyncio.create_task(self._consume(consumer))
        rewound = asyncio.create_task(self._rewound.wait())
        try:
            await asyncio.wait([reading, rewound], return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading
            return self._rewound.is_set()
        finally:
            for task in (reading, rewound):
                task.cancel()
            await asyncio.gather(reading, rewound, return_exceptions=True)

    async def _consume(self, consumer: Consumer) -> None:
        async for batch in consumer.batches():
            for begin in range(0, len(batch), RECORDS_AT_ONCE):
                records = batch[begin : begin + RECORDS_AT_ONCE]
                await self._listener.may_act()
                if self._rewound.is_set():
                    return  # these records come again, after earlier ones
                self.next_offset = records[-1].offset + 1
                self._listener.on_records(records)
                await asyncio.sleep(0)  # streams and replies go on during a flood

    async def _consumer(self, fluvio: Fluvio) -> Consumer:
        """A consumer from the next offset, or from the first one that there is."""
        self._rewound.clear()
        assert self.next_offset is not None  # `run` finds the first
        try:
            return await fluvio.consumer(CONTROL, offset=Offset.absolute(self.next_offset))
        except OffsetOutOfRange:
            if self.next_offset > await fluvio.end_offset(CONTROL):
                _log.warning("%s has no offset %d; reading all of it", CONTROL, self.next_offset)
                self.next_offset = 0
                self._listener.on_new_log()
            else:
                _log.warning("%s keeps offset %d no more", CONTROL, self.next_offset)
            return await fluvio.consumer(CONTROL, offset=Offset.beginning())
