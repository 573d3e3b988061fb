"""``qd topics apply``: make a cluster's topics match a declaration."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import console
from qd_cli.cluster import with_fluvio
from qd_cli.errors import ExitCode
from qd_cli.options import FluvioOption, Json, State, targets

if TYPE_CHECKING:
    from qd_cli.topic_apply import AppliedTopic
    from qd_fluvio import TopicSettings


def apply(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="TOML file with topics (default: the system's own)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-d", help="Only say what is missing or differs.")
    ] = False,
    state: State = None,
    fluvio: FluvioOption = None,
    json: Json = False,
) -> None:
    """Make the cluster have the system's topics, or those of a file.

    What is missing is created. Fluvio cannot change a topic: one that differs is reported.
    Topics that are not declared are left alone. The exit code is 0 when everything matches,
    5 when a topic differs or, in a dry run, is missing.

    \b
    Examples:
      qd topics apply
      qd topics apply --dry-run --json
      qd topics apply topics.toml
    """
    from qd_cli.topic_apply import TopicState, apply_topics

    declared = _declared(file)
    applied = with_fluvio(
        targets(state, fluvio=fluvio),
        lambda cluster: apply_topics(cluster, declared, dry_run=dry_run),
        patient=True,
    )
    if json:
        for topic in applied:
            console.print_json({**dataclasses.asdict(topic), "state": topic.state.value})
    else:
        _print(applied)
    if any(topic.state in (TopicState.DIFFERS, TopicState.MISSING) for topic in applied):
        raise typer.Exit(ExitCode.DIFFERS)


def _declared(file: Path | None) -> dict[str, TopicSettings]:
    if file is not None:
        from qd_cli.topic_files import read_topics

        return read_topics(file)
    from qd_fluvio import settings_of
    from qd_schemas.topics import SYSTEM_TOPICS

    return {name: settings_of(layout) for name, layout in SYSTEM_TOPICS.items()}


def _print(applied: Sequence[AppliedTopic]) -> None:
    from qd_cli.topic_view import TITLES

    rows = [
        (
            topic.name,
            topic.state.value,
            "; ".join(
                f"{TITLES[found.setting]} is {found.found}, declared {found.declared}"
                for found in topic.differences
            ),
        )
        for topic in applied
    ]
    console.print_table(("TOPIC", "STATE", "DIFFERENCES"), rows)
    differing = [topic.name for topic in applied if topic.differences]
    if differing:
        console.say(
            "Fluvio cannot change a topic. Where its records may go, stop who uses it, then "
            f"`qd topics delete {' '.join(differing)}` and `qd topics apply`; else leave it, or "
            "produce its records into a new topic first"
        )
