"""The alert and progress topics: read back, and publish, each message known to have arrived."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from qd_analytics.ledger import AlertLedger
from qd_fluvio import Fluvio, Offset, OffsetOutOfRange, Producer, ensure_system_topic
from qd_schemas.codec import encode, iter_messages
from qd_schemas.errors import DecodeError
from qd_schemas.messages import BreakoutAlert, ModelProgress
from qd_schemas.topics import ALERTS, PROGRESS

_log = logging.getLogger("qd_analytics")


class AlertTopic:
    """Both topics with a producer on each. Make it with `open`."""

    def __init__(self, alerts: Producer, progress: Producer) -> None:
        self._alerts = alerts
        self._progress = progress

    @classmethod
    async def open(cls, fluvio: Fluvio) -> AlertTopic:
        """Create the topics that are missing and open a producer on each."""
        for topic in (ALERTS, PROGRESS):
            await ensure_system_topic(fluvio, topic)
        return cls(await fluvio.producer(ALERTS), await fluvio.producer(PROGRESS))

    async def publish(self, alerts: Sequence[BreakoutAlert]) -> None:
        """Publish alerts and return when the topic has them, or raise."""
        await self._alerts.send_many([encode(alert) for alert in alerts])
        await self._alerts.flush()

    async def publish_progress(self, progress: ModelProgress) -> None:
        """Say that all alerts up to a trade are published; they must be."""
        await self._progress.send(encode(progress))
        await self._progress.flush()


async def read_back(fluvio: Fluvio, ledger: AlertLedger) -> bool:
    """Bring a ledger up to date with the topic.

    Returns
    -------
    bool
        False if the topic is not the one that the ledger knows (it was deleted and made
        again): start with a new ledger then.
    """
    end = await fluvio.end_offset(ALERTS)
    if end < ledger.end_least:
        return False
    if end == ledger.next_offset:
        return True
    try:
        consumer = await fluvio.consumer(ALERTS, offset=_from(ledger.next_offset))
    except OffsetOutOfRange:  # the oldest records are past their retention
        consumer = await fluvio.consumer(ALERTS, offset=Offset.beginning())
    try:
        async for record in consumer.read_until(end):
            _note(ledger, record.offset, record.value)
    finally:
        await consumer.aclose()
    ledger.read_up_to(end)
    return True


def _from(offset: int) -> Offset:
    return Offset.absolute(offset) if offset else Offset.beginning()


def _note(ledger: AlertLedger, offset: int, value: bytes) -> None:
    try:
        for message in iter_messages(value):
            if isinstance(message, BreakoutAlert):
                ledger.add(message)
    except DecodeError as error:
        _log.warning("record %d of %s is passed over: %s", offset, ALERTS, error)
