"""``qd topics``: what Fluvio holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from qd_cli import console
from qd_cli.interrupts import Interrupts
from qd_cli.options import FluvioOption, Json, State, Yes, targets
from qd_cli.targets import Targets

if TYPE_CHECKING:
    from qd_fluvio import Fluvio, TopicInfo

T = TypeVar("T")
Name = Annotated[str, typer.Argument(metavar="TOPIC", help="The topic's name.")]
_DEFAULT = "default"


def _with_fluvio(where: Targets, act: Callable[[Fluvio], Awaitable[T]]) -> T:
    """Connect, act, close."""
    from qd_fluvio import connect

    endpoint = where.fluvio

    async def main(_: Interrupts) -> T:
        async with connect(endpoint) as fluvio:
            return await act(fluvio)

    return where.run(main)


def list_topics(state: State = None, fluvio: FluvioOption = None, json: Json = False) -> None:
    """List the topics.

    \b
    Examples:
      qd topics list
      qd topics list --json | jq -r .name
    """
    found = _with_fluvio(targets(state, fluvio=fluvio), lambda cluster: cluster.topics())
    if json:
        for topic in found:
            console.print_json(dataclasses.asdict(topic))
        return
    columns = ("TOPIC", "PARTITIONS", "REPLICATION", "RETENTION", "SEGMENT", "MAX SIZE")
    console.print_table(columns, [_row(topic) for topic in found], right=columns[1:])


def _row(topic: TopicInfo) -> tuple[str, ...]:
    return (
        topic.name,
        str(topic.partitions),
        str(topic.replication),
        _DEFAULT if topic.retention_s is None else console.duration(topic.retention_s),
        _bytes(topic.segment_bytes),
        _bytes(topic.max_partition_bytes),
    )


def _bytes(value: int | None) -> str:
    return _DEFAULT if value is None else console.mebibytes(value)


def create(
    name: Name,
    partitions: Annotated[int, typer.Option("--partitions", "-p", min=1)] = 1,
    replication: Annotated[int, typer.Option("--replication", "-r", min=1)] = 1,
    retention: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="Keep records this long.")
    ] = None,
    segment_bytes: Annotated[int | None, typer.Option(min=1, metavar="BYTES")] = None,
    max_partition_bytes: Annotated[int | None, typer.Option(min=1, metavar="BYTES")] = None,
    state: State = None,
    fluvio: FluvioOption = None,
    json: Json = False,
) -> None:
    """Create a topic.

    \b
    Examples:
      qd topics create prices
      qd topics create prices --partitions 2 --retention 3600
    """
    from qd_fluvio import TopicSettings

    settings = TopicSettings(
        partitions=partitions,
        replication=replication,
        retention_s=retention,
        segment_bytes=segment_bytes,
        max_partition_bytes=max_partition_bytes,
    )
    _with_fluvio(
        targets(state, fluvio=fluvio), lambda cluster: cluster.create_topic(name, settings)
    )
    _done("created", name, json)


def describe(
    name: Name, state: State = None, fluvio: FluvioOption = None, json: Json = False
) -> None:
    """Describe a topic: its layout and next offsets.

    \b
    Examples:
      qd topics describe breakout-alerts
    """

    async def look(cluster: Fluvio) -> tuple[TopicInfo, list[int]]:
        topic = await cluster.describe_topic(name)
        ends = [await cluster.end_offset(name, number) for number in range(topic.partitions)]
        return topic, ends

    topic, ends = _with_fluvio(targets(state, fluvio=fluvio), look)
    if json:
        console.print_json({**dataclasses.asdict(topic), "end_offsets": ends})
        return
    titles = ("topic", "partitions", "replication", "retention", "segment", "max size")
    rows = [*zip(titles, _row(topic), strict=True)]
    rows += [(f"partition {number}", f"next offset {end}") for number, end in enumerate(ends)]
    for title, value in rows:
        console.out(f"{title:<13}{value}")


def delete(
    name: Name,
    yes: Yes = False,
    state: State = None,
    fluvio: FluvioOption = None,
    json: Json = False,
) -> None:
    """Delete a topic with all its records.

    \b
    Examples:
      qd topics delete prices
      qd topics delete prices --yes
    """
    where = targets(state, fluvio=fluvio)
    if not yes:
        console.confirm(f"Delete topic {name} with all its records?")
    _with_fluvio(where, lambda cluster: cluster.delete_topic(name))
    _done("deleted", name, json)


def _done(what: str, name: str, json: bool) -> None:
    if json:
        console.print_json({"event": what, "topic": name})
    else:
        console.say(f"{what} topic {name}")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Topics of the Fluvio cluster.", no_args_is_help=True)
    group.command("list")(list_topics)
    for command in (create, describe, delete):
        group.command()(command)
    app.add_typer(group, name="topics", rich_help_panel="Market data")
