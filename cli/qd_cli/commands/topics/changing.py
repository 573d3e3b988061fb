"""``qd topics create`` and ``delete``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qd_cli import console
from qd_cli.cluster import with_fluvio
from qd_cli.errors import RequestRefused
from qd_cli.options import FluvioOption, Json, State, Topics, Yes, targets
from qd_cli.units import parse_bytes, parse_seconds

if TYPE_CHECKING:
    from qd_fluvio import Fluvio, TopicSettings

PartitionCount = Annotated[
    int | None,
    typer.Option("--partitions", "-p", min=1, metavar="N", help="How many (default: 1)."),
]
Replication = Annotated[
    int | None,
    typer.Option(
        "--replication", "-r", min=1, metavar="N", help="SPUs that keep each (default: 1)."
    ),
]
Retention = Annotated[
    str | None,
    typer.Option(
        "--retention",
        "--retention-time",
        metavar="TIME",
        help="Keep records this long: 3600, 1h, 7d.",
    ),
]
SegmentSize = Annotated[
    str | None,
    typer.Option("--segment-size", metavar="SIZE", help="Of one file: 1048576, 64MB, 1GiB."),
]
MaxPartitionSize = Annotated[
    str | None,
    typer.Option("--max-partition-size", metavar="SIZE", help="Then the oldest segments go."),
]
CompressionKind = Annotated[
    str | None,
    typer.Option(
        "--compression",
        "--compression-type",
        metavar="KIND",
        help="What producers must use: any, none, gzip, snappy, lz4, zstd.",
    ),
]
DedupCount = Annotated[
    int | None,
    typer.Option("--dedup-count", min=1, metavar="N", help="Look at so many of the last records."),
]
DedupAge = Annotated[
    str | None,
    typer.Option("--dedup-age", metavar="TIME", help="No older than this: 1h."),
]
DedupFilter = Annotated[
    str | None,
    typer.Option("--dedup-filter", metavar="NAME", help="SmartModule that tells repeats."),
]
TopicFile = Annotated[
    Path | None,
    typer.Option("--file", "-f", metavar="FILE", help="TOML file with one topic or several."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-d", help="Only check whether it could be created.")
]
IfNotExists = Annotated[
    bool, typer.Option("--if-not-exists", help="Leave a topic that exists as it is.")
]


def create(
    name: Annotated[str | None, typer.Argument(metavar="TOPIC", help="The topic's name.")] = None,
    partitions: PartitionCount = None,
    replication: Replication = None,
    retention: Retention = None,
    segment_size: SegmentSize = None,
    max_partition_size: MaxPartitionSize = None,
    compression: CompressionKind = None,
    dedup_count: DedupCount = None,
    dedup_age: DedupAge = None,
    dedup_filter: DedupFilter = None,
    file: TopicFile = None,
    dry_run: DryRun = False,
    if_not_exists: IfNotExists = False,
    state: State = None,
    fluvio: FluvioOption = None,
    json: Json = False,
) -> None:
    """Create a topic, or those of a file.

    In a file each topic is a table, with the options' names as keys:

    \b
      [topics.prices]
      partitions = 2
      retention = "7d"

    \b
    Examples:
      qd topics create prices
      qd topics create prices --partitions 2 --retention 7d --compression zstd
      qd topics create prices --segment-size 64MB --if-not-exists --dry-run
      qd topics create --file topics.toml
    """
    values = {
        "partitions": partitions,
        "replication": replication,
        "retention": _parsed("--retention", retention, parse_seconds),
        "segment-size": _parsed("--segment-size", segment_size, parse_bytes),
        "max-partition-size": _parsed("--max-partition-size", max_partition_size, parse_bytes),
        "compression": compression,
        "dedup-count": dedup_count,
        "dedup-age": _parsed("--dedup-age", dedup_age, parse_seconds),
        "dedup-filter": dedup_filter,
    }
    wanted = _wanted(name, file, values)

    async def act(cluster: Fluvio) -> None:
        known = {topic.name for topic in await cluster.topics()} if if_not_exists else set()
        for topic, settings in wanted.items():
            if topic not in known:
                await cluster.create_topic(topic, settings, exist_ok=if_not_exists, dry_run=dry_run)
            _tell("exists" if topic in known else "checked" if dry_run else "created", topic, json)

    with_fluvio(targets(state, fluvio=fluvio), act)


def _parsed(option: str, text: str | None, parse: Any) -> int | None:
    try:
        return None if text is None else int(parse(text))
    except ValueError as error:
        raise RequestRefused(f"{option} is {error}") from None


def _wanted(
    name: str | None, file: Path | None, values: Mapping[str, Any]
) -> dict[str, TopicSettings]:
    """The topics to create: one by the options, or a file's."""
    from qd_cli.topic_files import parse_compression, read_topics, settings_of

    if file is not None:
        given = [f"--{key}" for key, value in values.items() if value is not None]
        if name is not None or given:
            raise RequestRefused(
                f"{(['a name'] if name else given)[0]} is given beside --file: the file has "
                "the names and settings"
            )
        return read_topics(file)
    if name is None:
        raise RequestRefused("no topic is named: give its name, or --file FILE")
    text = values["compression"]
    try:
        compression = None if text is None else parse_compression(text)
    except ValueError as error:
        raise RequestRefused(f"--compression is {error}") from None
    return {name: settings_of({**values, "compression": compression})}


def delete(
    names: Topics,
    yes: Yes = False,
    if_exists: Annotated[
        bool, typer.Option("--if-exists", help="A topic that is missing is no error.")
    ] = False,
    state: State = None,
    fluvio: FluvioOption = None,
    json: Json = False,
) -> None:
    """Delete topics with all their records.

    \b
    Examples:
      qd topics delete prices
      qd topics delete prices volumes --yes --if-exists
    """
    where = targets(state, fluvio=fluvio)
    if not yes:
        what = "topic" if len(names) == 1 else f"{len(names)} topics:"
        console.confirm(
            f"Delete {what} {', '.join(names)} with all records, at {where.cluster().endpoint}?"
        )

    async def act(cluster: Fluvio) -> None:
        known = {topic.name for topic in await cluster.topics()}
        for name in dict.fromkeys(names):
            await cluster.delete_topic(name, missing_ok=if_exists)
            _tell("deleted" if name in known else "missing", name, json)

    with_fluvio(where, act)


_TEXTS = {
    "created": "created topic {}",
    "checked": "topic {} could be created",
    "exists": "topic {} exists",
    "deleted": "deleted topic {}",
    "missing": "there is no topic {}",
}


def _tell(what: str, name: str, json: bool) -> None:
    if json:
        console.print_json({"event": what, "topic": name})
    else:
        console.say(_TEXTS[what].format(name))
