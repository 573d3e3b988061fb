"""``qd partitions``: where records lie."""

from __future__ import annotations

import dataclasses

import typer

from qd_cli import console
from qd_cli.cluster import with_fluvio
from qd_cli.options import FluvioOption, Json, OfTopic, State, targets


def list_partitions(
    topic: OfTopic = None, state: State = None, fluvio: FluvioOption = None, json: Json = False
) -> None:
    """List the partitions with their leaders, offsets and sizes.

    \b
    Examples:
      qd partitions list
      qd partitions list --topic prices
      qd partitions list --json | jq .end_offset
    """
    from qd_cli.partition_view import print_partitions

    found = with_fluvio(targets(state, fluvio=fluvio), lambda cluster: cluster.partitions(topic))
    if json:
        for partition in found:
            console.print_json(dataclasses.asdict(partition))
        return
    print_partitions(found, with_topic=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Partitions of the topics.", no_args_is_help=True)
    group.command("list")(list_partitions)
    app.add_typer(group, name="partitions", rich_help_panel="Fluvio")
