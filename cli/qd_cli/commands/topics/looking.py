"""``qd topics list`` and ``describe``: what there is. Nothing is changed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from qd_cli import console
from qd_cli.cluster import with_fluvio
from qd_cli.options import FluvioOption, Json, State, Topic, targets

if TYPE_CHECKING:
    from qd_fluvio import Fluvio, PartitionInfo, TopicInfo


def list_topics(state: State = None, fluvio: FluvioOption = None, json: Json = False) -> None:
    """List the topics.

    \b
    Examples:
      qd topics list
      qd topics list --json | jq -r .name
    """
    from qd_cli.topic_view import COLUMNS, RIGHT, row

    found = with_fluvio(targets(state, fluvio=fluvio), lambda cluster: cluster.topics())
    if json:
        for topic in found:
            console.print_json(dataclasses.asdict(topic))
        return
    console.print_table(COLUMNS, [row(topic) for topic in found], right=RIGHT)


def describe(
    name: Topic, state: State = None, fluvio: FluvioOption = None, json: Json = False
) -> None:
    """Describe a topic: its layout, and each partition's offsets and size.

    \b
    Examples:
      qd topics describe breakout-alerts
      qd topics describe prices --json | jq '.offsets[].end_offset'
    """

    async def look(cluster: Fluvio) -> tuple[TopicInfo, list[PartitionInfo]]:
        return await cluster.describe_topic(name), await cluster.partitions(name)

    topic, partitions = with_fluvio(targets(state, fluvio=fluvio), look)
    if json:
        offsets = [dataclasses.asdict(partition) for partition in partitions]
        console.print_json({**dataclasses.asdict(topic), "offsets": offsets})
        return
    _print(topic, partitions)


def _print(topic: TopicInfo, partitions: list[PartitionInfo]) -> None:
    from qd_cli.partition_view import print_partitions
    from qd_cli.topic_view import TITLES, shown

    rows = [("topic", topic.name)]
    rows += [(title, shown(name, getattr(topic, name))) for name, title in TITLES.items()]
    width = max(len(title) for title, _ in rows) + 2
    for title, value in rows:
        console.out(f"{title:<{width}}{value}")
    console.out("")
    print_partitions(partitions, with_topic=False)
