"""The alert, progress and state topics: read back, and written, each record known to be there."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence

from qd_analytics.checkpoints import CheckpointLog, Written, decode
from qd_analytics.errors import StateUnusable
from qd_analytics.ledger import AlertLedger
from qd_fluvio import Fluvio, Offset, OffsetOutOfRange, Producer, Record, ensure_system_topic
from qd_schemas.codec import encode, iter_messages
from qd_schemas.errors import DecodeError
from qd_schemas.messages import BreakoutAlert, ModelProgress
from qd_schemas.topics import ALERTS, ANALYTICS_STATE, PROGRESS

_log = logging.getLogger("qd_analytics")


class Topics:
    """The three topics with a producer on each. Make it with `open`."""

    def __init__(self, alerts: Producer, progress: Producer, state: Producer) -> None:
        self._alerts = alerts
        self._progress = progress
        self._state = state

    @classmethod
    async def open(cls, fluvio: Fluvio) -> Topics:
        """Create the topics that are missing and open a producer on each."""
        names = (ALERTS, PROGRESS, ANALYTICS_STATE)
        for topic in names:
            await ensure_system_topic(fluvio, topic)
        return cls(*[await fluvio.producer(topic) for topic in names])

    async def publish(self, alerts: Sequence[BreakoutAlert]) -> None:
        """Publish alerts and return when the topic has them, or raise."""
        await self._alerts.send_many([encode(alert) for alert in alerts])
        await self._alerts.flush()

    async def publish_progress(self, progress: Sequence[ModelProgress]) -> None:
        """Say that all alerts up to a trade are published; they must be."""
        await self._progress.send_many([encode(one) for one in progress])
        await self._progress.flush()

    async def save(self, checkpoints: Sequence[Written], log: CheckpointLog) -> None:
        """Write checkpoints, and again those that retention comes near; all are there then."""
        records = [*log.fading(), *checkpoints]
        await self._state.send_many([record.value for record in records])
        await self._state.flush()
        for record in records:
            log.add(record)


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
    await _note_all(fluvio, ledger, ledger.next_offset, end)
    ledger.read_up_to(end)
    return True


async def read_before(fluvio: Fluvio, ledger: AlertLedger) -> None:
    """Make a ledger that began in the middle of the topic a whole one."""
    await _note_all(fluvio, ledger, 0, ledger.since)
    ledger.read_all_before()


async def read_checkpoints(fluvio: Fluvio) -> CheckpointLog:
    """The checkpoints that the topic has; what is none is passed over."""
    log = CheckpointLog()
    end = await fluvio.end_offset(ANALYTICS_STATE)
    async for record in _records(fluvio, ANALYTICS_STATE, 0, end):
        try:
            found = decode(record.value)
        except StateUnusable as error:
            _log.warning(
                "record %d of %s is passed over: %s", record.offset, ANALYTICS_STATE, error
            )
        else:
            log.add(Written(found.pair, found.revision, record.value))
    return log


async def _note_all(fluvio: Fluvio, ledger: AlertLedger, start: int, end: int) -> None:
    async for record in _records(fluvio, ALERTS, start, end):
        _note(ledger, record.offset, record.value)


async def _records(fluvio: Fluvio, topic: str, start: int, end: int) -> AsyncIterator[Record]:
    if end <= start:
        return
    try:
        where = Offset.absolute(start) if start else Offset.beginning()
        consumer = await fluvio.consumer(topic, offset=where)
    except OffsetOutOfRange:  # the oldest records are past their retention
        consumer = await fluvio.consumer(topic, offset=Offset.beginning())
    try:
        async for record in consumer.read_until(end):
            yield record
    finally:
        await consumer.aclose()


def _note(ledger: AlertLedger, offset: int, value: bytes) -> None:
    try:
        for message in iter_messages(value):
            if isinstance(message, BreakoutAlert):
                ledger.add(message)
    except DecodeError as error:
        _log.warning("record %d of %s is passed over: %s", offset, ALERTS, error)
