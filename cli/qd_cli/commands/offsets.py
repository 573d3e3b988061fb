"""``qd offsets``: how far named consumers have read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qd_cli import completion, console
from qd_cli.cluster import with_fluvio
from qd_cli.errors import RequestRefused
from qd_cli.options import FluvioOption, Json, OfTopic, State, Yes, targets

if TYPE_CHECKING:
    from qd_fluvio import CommittedOffset, Fluvio

Consumer = Annotated[
    str,
    typer.Argument(
        metavar="CONSUMER", help="The consumer's name.", autocompletion=completion.consumers
    ),
]
_MICROSECONDS = 1_000_000


def list_offsets(
    topic: OfTopic = None, state: State = None, fluvio: FluvioOption = None, json: Json = False
) -> None:
    """List what named consumers have committed.

    \b
    Examples:
      qd offsets list
      qd offsets list --topic prices --json
    """
    found = with_fluvio(
        targets(state, fluvio=fluvio), lambda cluster: cluster.committed_offsets(topic=topic)
    )
    if json:
        for offset in found:
            console.print_json(_object(offset))
        return
    columns = ("CONSUMER", "TOPIC", "PARTITION", "LAST READ", "COMMITTED AT")
    console.print_table(columns, [_row(offset) for offset in found], right=columns[2:4])


def show(
    consumer: Consumer,
    topic: OfTopic = None,
    state: State = None,
    fluvio: FluvioOption = None,
    json: Json = False,
) -> None:
    """Show how far a consumer is in each partition, and how much it has not read.

    \b
    Examples:
      qd offsets show report
      qd offsets show report --json | jq .unread
    """

    async def look(cluster: Fluvio) -> tuple[list[CommittedOffset], dict[tuple[str, int], int]]:
        offsets = await cluster.committed_offsets(consumer_id=consumer, topic=topic)
        partitions = await cluster.partitions()
        return offsets, {(info.topic, info.partition): info.end_offset for info in partitions}

    found, ends = with_fluvio(targets(state, fluvio=fluvio), look)
    _require(found, consumer, topic)
    rows = []
    for offset in found:
        end = ends.get((offset.topic, offset.partition))
        unread = None if end is None else max(0, end - offset.offset - 1)
        rows.append((offset, end, unread))
    if json:
        for offset, end, unread in rows:
            console.print_json({**_object(offset), "end_offset": end, "unread": unread})
        return
    columns = ("TOPIC", "PARTITION", "LAST READ", "END", "UNREAD", "COMMITTED AT")
    cells = [
        (*_row(offset)[1:4], _or_dash(end), _or_dash(unread), _row(offset)[4])
        for offset, end, unread in rows
    ]
    console.print_table(columns, cells, right=columns[1:5])


def delete(
    consumer: Consumer,
    topic: OfTopic = None,
    partition: Annotated[
        int | None,
        typer.Option("--partition", "-p", min=0, metavar="N", help="Only of this partition."),
    ] = None,
    yes: Yes = False,
    state: State = None,
    fluvio: FluvioOption = None,
    json: Json = False,
) -> None:
    """Forget how far a consumer has read; it then begins anew.

    \b
    Examples:
      qd offsets delete report
      qd offsets delete report --topic prices --partition 0 --yes
    """
    where = targets(state, fluvio=fluvio)

    async def look(cluster: Fluvio) -> list[CommittedOffset]:
        found = await cluster.committed_offsets(consumer_id=consumer, topic=topic)
        return [offset for offset in found if partition in (None, offset.partition)]

    async def act(cluster: Fluvio) -> None:
        for offset in doomed:
            await cluster.delete_committed_offset(consumer, offset.topic, offset.partition)

    doomed = with_fluvio(where, look)
    _require(doomed, consumer, topic)
    names = ", ".join(f"{offset.topic}-{offset.partition}" for offset in doomed)
    if not yes:
        console.confirm(f"Forget how far consumer {consumer} has read {names}?")
    with_fluvio(where, act)
    if json:
        for offset in doomed:
            console.print_json({"event": "deleted", **_object(offset)})
    else:
        console.say(f"forgot how far consumer {consumer} has read {names}")


def _require(found: Iterable[CommittedOffset], consumer: str, topic: str | None) -> None:
    if not found:
        of_topic = "" if topic is None else f" of topic {topic}"
        raise RequestRefused(
            f"consumer {consumer!r} has no committed offset{of_topic}: `qd offsets list` shows all"
        )


def _object(offset: CommittedOffset) -> dict[str, Any]:
    return {**dataclasses.asdict(offset), "modified": _time(offset)}


def _row(offset: CommittedOffset) -> tuple[str, str, str, str, str]:
    return (
        offset.consumer_id,
        offset.topic,
        str(offset.partition),
        str(offset.offset),
        _time(offset),
    )


def _time(offset: CommittedOffset) -> str:
    return console.iso_time(offset.modified_s * _MICROSECONDS)


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="How far named consumers have read.", no_args_is_help=True)
    group.command("list")(list_offsets)
    group.command()(show)
    group.command()(delete)
    app.add_typer(group, name="offsets", rich_help_panel="Fluvio")
