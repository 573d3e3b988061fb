"""The topics on which the parts meet: their names, and how each is laid out.

This is the one place where they are declared: who creates one takes its layout from here, and
`qd topics apply` makes a cluster match `SYSTEM_TOPICS`. Nothing here talks to a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

CONTROL: Final = "qdgw-control"
"""What clients ask of the gateway."""
ALERTS: Final = "breakout-alerts"
"""What the analytics service publishes."""
PROGRESS: Final = "analytics-progress"
"""How far the analytics service is with each market: whose alerts are complete until where."""
ANALYTICS_STATE: Final = "analytics-state"
"""Where the analytics service can go on: the newest record of each model and market counts."""

_HOUR_S: Final = 3_600
_DAY_S: Final = 24 * _HOUR_S
_YEAR_S: Final = 365 * _DAY_S
_SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""Retention deletes whole segments, so a topic of short life has small ones."""


@dataclass(frozen=True, slots=True)
class TopicLayout:
    """How a topic is laid out; None takes the cluster's default.

    Attributes
    ----------
    partitions, replication : int
        Counts.
    retention_s : int or None
        Seconds after which a whole segment may be deleted.
    segment_bytes : int or None
        Size at which a new segment begins.
    max_partition_bytes : int or None
        Size at which a partition's oldest segments are deleted.
    """

    partitions: int = 1
    replication: int = 1
    retention_s: int | None = None
    segment_bytes: int | None = None
    max_partition_bytes: int | None = None


SYSTEM_TOPICS: Final[Mapping[str, TopicLayout]] = {
    # Who asks waits for the answer, and asks again after an outage: an old request is of no use.
    CONTROL: TopicLayout(retention_s=_HOUR_S, segment_bytes=_SEGMENT_BYTES),
    # Ten years: the topic is what keeps a restart from repeating alerts.
    ALERTS: TopicLayout(retention_s=10 * _YEAR_S),
    # A restart says all of it again.
    PROGRESS: TopicLayout(retention_s=7 * _DAY_S, segment_bytes=_SEGMENT_BYTES),
    # By size alone: what still counts is written again before it is among the oldest.
    ANALYTICS_STATE: TopicLayout(
        retention_s=10 * _YEAR_S,
        segment_bytes=_SEGMENT_BYTES,
        max_partition_bytes=16 * _SEGMENT_BYTES,
    ),
}
"""Every topic that outlives its users, by name. Each has one partition: its order counts."""

CLIENT_TOPIC: Final = TopicLayout(retention_s=_DAY_S)
"""Each of a client's topics. They are deleted at logout; what a client that died leaves
behind is at least emptied."""

CLIENT_ID_MIN: Final = 21
"""Lower ids are services'."""
CLIENT_ID_MAX: Final = 65_534
"""65535 is the null of u16."""


@dataclass(frozen=True, slots=True)
class ClientTopics:
    """The three topics of one client, which it creates and deletes itself."""

    control: str
    data: str
    error: str

    @property
    def all(self) -> tuple[str, str, str]:
        """The three names."""
        return (self.control, self.data, self.error)


def client_topics(client_id: int) -> ClientTopics:
    """The topics of the client with this id."""
    return ClientTopics(
        control=f"client-{client_id}-control",
        data=f"client-{client_id}-data",
        error=f"client-{client_id}-error",
    )
