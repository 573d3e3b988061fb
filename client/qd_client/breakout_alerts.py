"""Reads breakout alerts, each once."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from qd_client.limits import ALERTS_REMEMBERED_MAX
from qd_client.published import decoded
from qd_fluvio import Fluvio, Offset, TopicNotFound
from qd_schemas.messages import BreakoutAlert
from qd_schemas.topics import ALERTS

AlertKey = tuple[int, int, int, int]


def alert_key(alert: BreakoutAlert) -> AlertKey:
    """What makes two records the same alert: model, exchange, symbol and sequence."""
    return (alert.model_id, alert.exchange_id, alert.symbol_id, alert.sequence)


class Deduplicator:
    """Tells the first of equal alerts from its repeats. Pure; forgets the oldest when full.

    Parameters
    ----------
    remembered_max : int
        How many alerts it remembers.
    """

    def __init__(self, remembered_max: int = ALERTS_REMEMBERED_MAX) -> None:
        self._seen: dict[AlertKey, None] = {}
        self._remembered_max = remembered_max

    def is_new(self, alert: BreakoutAlert) -> bool:
        """True the first time that an alert is given."""
        key = alert_key(alert)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > self._remembered_max:
            del self._seen[next(iter(self._seen))]
        return True


async def alerts(
    fluvio: Fluvio, *, offset: Offset | None = None, follow: bool = True
) -> AsyncGenerator[BreakoutAlert, None]:
    """Read the alerts that the analytics service publishes.

    Parameters
    ----------
    fluvio : Fluvio
        A connection to the cluster.
    offset : Offset, optional
        Where to begin: the topic's beginning by default, ``Offset.end()`` for new ones only.
    follow : bool
        True waits for more for ever; False ends at what is the end now.

    Yields
    ------
    BreakoutAlert
        Each alert once, however often it was published.

    Raises
    ------
    TopicNotFound
        With `follow`: the analytics service has never run on this cluster.
    """
    try:
        end = None if follow else await fluvio.end_offset(ALERTS)
        consumer = await fluvio.consumer(ALERTS, offset=offset or Offset.beginning())
    except TopicNotFound:
        if follow:
            raise
        return
    fresh = Deduplicator()
    try:
        records = aiter(consumer) if end is None else consumer.read_until(end)
        async for alert in decoded(records, BreakoutAlert, ALERTS):
            if fresh.is_new(alert):
                yield alert
    finally:
        await consumer.aclose()
