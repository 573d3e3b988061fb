"""``qd produce``: records from standard input or a file into a topic."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import console
from qd_cli.cluster import with_fluvio
from qd_cli.errors import Interrupted, RequestRefused
from qd_cli.options import FluvioOption, Json, State, Topic, targets
from qd_cli.tasks import beside

if TYPE_CHECKING:
    from rich.progress import Progress

    from qd_cli.producing import Meter
    from qd_cli.record_inputs import Input
    from qd_fluvio import Compression, Fluvio

_SHOW_SECONDS = 0.2

Partition = Annotated[
    int | None,
    typer.Option(
        "--partition",
        "-p",
        min=0,
        metavar="N",
        help="Where all go (default: by key, else in turn).",
    ),
]


def produce(
    topic: Topic,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Instead of stdin.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="The key of every record.")
    ] = None,
    key_separator: Annotated[
        str | None,
        typer.Option("--key-separator", metavar="TEXT", help="Ends the key in each line."),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The whole input is one record.")] = False,
    json_lines: Annotated[
        bool,
        typer.Option("--json-lines", help="Lines as `qd consume --output json` writes them."),
    ] = False,
    partition: Partition = None,
    compression: Annotated[
        str, typer.Option(metavar="KIND", help="none, gzip, snappy, lz4 or zstd.")
    ] = "none",
    state: State = None,
    fluvio: FluvioOption = None,
    json: Json = False,
) -> None:
    """Produce records to a topic: each line of the input is one.

    It ends when every record is acknowledged. If that fails, it says how many are.

    \b
    Examples:
      qd produce greetings
      qd produce prices --file prices.csv --key-separator ,
      qd produce pictures --raw < picture.png
      qd consume a --beginning -d --output json | qd produce b --json-lines
    """
    from qd_cli.producing import Destination, Meter, chunks_of, produce

    records = _records(key, key_separator, raw=raw, json_lines=json_lines)
    kind = _compression(compression)
    where = targets(state, fluvio=fluvio)
    meter = Meter()
    with _opened(file) as handle:
        typed = os.isatty(handle)
        if typed:
            console.say(f"type records for {topic}, one a line; Ctrl-D ends")
        to = Destination(topic, partition, kind, each_at_once=typed)

        async def act(cluster: Fluvio) -> None:
            meter.start()
            with _bar(hidden=json or typed) as bar:
                async with beside(_show(bar, meter, _size(handle))):
                    await produce(cluster, to, chunks_of(handle), records, meter)

        try:
            with_fluvio(where, act, records=True)
        except Interrupted:
            if meter.sent and not json:
                done = f"{console.count(meter.acknowledged)} of {console.count(meter.sent)}"
                console.say(f"{done} records are acknowledged")
            raise
    _report(topic, meter, json=json)


def _records(key: str | None, separator: str | None, *, raw: bool, json_lines: bool) -> Input:
    from qd_cli.record_inputs import JSON_BYTES_MAX, Lines, Whole, from_json, plain, separated

    exclusive = {"--raw": raw, "--json-lines": json_lines, "--key-separator": separator is not None}
    given = [name for name, is_given in exclusive.items() if is_given]
    if key is not None and given not in ([], ["--raw"]):
        given.append("--key")
    if len(given) > 1:
        raise RequestRefused(f"give {' or '.join(given)}, not both")
    if separator == "":
        raise RequestRefused("--key-separator is empty: give the text that ends each key")
    fixed = None if key is None else key.encode()
    if raw:
        return Whole(fixed)
    if json_lines:
        return Lines(from_json, JSON_BYTES_MAX)
    return Lines(plain(fixed) if separator is None else separated(separator.encode()))


def _compression(text: str) -> Compression:
    from qd_fluvio import Compression

    known = [kind.value for kind in Compression if kind is not Compression.ANY]
    if text not in known:
        raise RequestRefused(f"--compression is {text!r}; expected one of {', '.join(known)}")
    return Compression(text)


@contextlib.contextmanager
def _opened(file: Path | None) -> Iterator[int]:
    if file is None:
        yield sys.stdin.fileno()
        return
    if file.is_dir():
        raise RequestRefused(f"{file} is a folder: give a file")
    with file.open("rb") as opened:
        yield opened.fileno()


def _size(handle: int) -> int | None:
    """The size of what is read, where it is a file."""
    import stat

    found = os.fstat(handle)
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _bar(*, hidden: bool) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    err = console.console(stderr=True)
    return Progress(
        TextColumn("producing"),
        BarColumn(),
        TextColumn("{task.fields[records]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=hidden or not err.is_terminal,
    )


async def _show(bar: Progress, meter: Meter, size: int | None) -> None:
    task = bar.add_task("producing", total=size, records="", rate="")
    while True:
        bar.update(
            task,
            completed=meter.bytes_read,
            records=f"{console.count(meter.acknowledged)} records",
            rate=console.rate(meter.acknowledged / meter.seconds, "records"),
        )
        await asyncio.sleep(_SHOW_SECONDS)


def _report(topic: str, meter: Meter, *, json: bool) -> None:
    from qd_cli.units import short_bytes

    seconds = meter.seconds
    if json:
        console.print_json(
            {
                "event": "produced",
                "topic": topic,
                "records": meter.acknowledged,
                "bytes": meter.bytes_sent,
                "seconds": round(seconds, 3),
            }
        )
        return
    console.say(
        f"produced {console.count(meter.acknowledged, 'record')} "
        f"({short_bytes(meter.bytes_sent)}) to {topic} in {console.duration(seconds)}, "
        f"{console.rate(meter.acknowledged / seconds, 'records')}"
    )


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Fluvio")(produce)
