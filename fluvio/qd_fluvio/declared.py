"""Declared topics (`qd_schemas.topics`) as the layer's settings. Nothing here is a topic itself."""

from __future__ import annotations

from qd_fluvio.api import Fluvio, TopicSettings
from qd_schemas.topics import SYSTEM_TOPICS, TopicLayout


def settings_of(layout: TopicLayout) -> TopicSettings:
    """The settings with which a declared topic is created."""
    return TopicSettings(
        partitions=layout.partitions,
        replication=layout.replication,
        retention_s=layout.retention_s,
        segment_bytes=layout.segment_bytes,
        max_partition_bytes=layout.max_partition_bytes,
    )


async def ensure_system_topic(fluvio: Fluvio, name: str) -> None:
    """Create one of the system's topics as it is declared, unless it exists.

    Parameters
    ----------
    fluvio : Fluvio
        The cluster.
    name : str
        A name of `qd_schemas.topics.SYSTEM_TOPICS`.
    """
    await fluvio.create_topic(name, settings_of(SYSTEM_TOPICS[name]), exist_ok=True)
