"""Making a cluster's topics match a declaration. It prints nothing.

What is missing is created. Fluvio cannot change a topic, so one that differs is only reported.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields

from qd_cli.topic_view import shown
from qd_fluvio import Fluvio, TopicInfo, TopicSettings


class TopicState(enum.Enum):
    """What became of one declared topic."""

    MATCHES = "matches"
    CREATED = "created"
    MISSING = "missing"  # a dry run does not create it
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not as it is declared, both values as they are shown."""

    setting: str
    declared: str
    found: str


@dataclass(frozen=True, slots=True)
class AppliedTopic:
    """One declared topic and what became of it."""

    name: str
    state: TopicState
    differences: tuple[Difference, ...] = ()


async def apply_topics(
    fluvio: Fluvio, declared: Mapping[str, TopicSettings], *, dry_run: bool = False
) -> list[AppliedTopic]:
    """Create what is missing, compare the rest.

    Parameters
    ----------
    declared : mapping
        Each topic's settings by name; what is None is not compared.
    dry_run : bool
        Create nothing, but have the cluster check whether it could.
    """
    found = {topic.name: topic for topic in await fluvio.topics()}
    applied = []
    for name, settings in declared.items():
        if name in found:
            differences = tuple(_differences(settings, found[name]))
            state = TopicState.DIFFERS if differences else TopicState.MATCHES
            applied.append(AppliedTopic(name, state, differences))
        else:
            await fluvio.create_topic(name, settings, exist_ok=True, dry_run=dry_run)
            applied.append(
                AppliedTopic(name, TopicState.MISSING if dry_run else TopicState.CREATED)
            )
    return applied


def _differences(declared: TopicSettings, found: TopicInfo) -> list[Difference]:
    return [
        Difference(field.name, shown(field.name, wanted), shown(field.name, actual))
        for field in fields(declared)
        if (wanted := getattr(declared, field.name)) is not None
        and (actual := getattr(found, field.name)) != wanted
    ]
