"""``qd consume``: records of topics on standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import completion, console
from qd_cli import record_formats as formats
from qd_cli.cluster import with_fluvio
from qd_cli.errors import RequestRefused
from qd_cli.options import FluvioOption, Json, State, Topics, targets
from qd_cli.record_formats import Output, Write

if TYPE_CHECKING:
    from qd_cli.consuming import Start
    from qd_fluvio import Isolation


Partitions = Annotated[
    list[int] | None,
    typer.Option(
        "--partition", "-p", min=0, metavar="N", help="Only this one; several times for several."
    ),
]
Beginning = Annotated[bool, typer.Option("--beginning", "-B", help="From the oldest record on.")]
Head = Annotated[
    int | None,
    typer.Option("--head", "-H", min=0, metavar="N", help="From N after the oldest one on."),
]
Tail = Annotated[
    int | None,
    typer.Option("--tail", "-T", min=0, metavar="N", help="From N before the end on."),
]
At = Annotated[
    int | None,
    typer.Option("--offset", "--start", min=0, metavar="N", help="From exactly this one on."),
]
End = Annotated[
    int | None,
    typer.Option("--end-offset", "--end", min=0, metavar="N", help="To this one, then end."),
]
MaxRecords = Annotated[
    int | None,
    typer.Option("--max-records", "-n", min=1, metavar="N", help="End after so many."),
]
NoWaiting = Annotated[
    bool,
    typer.Option("--disable-continuous", "-d", help="End where the topic ends now."),
]
How = Annotated[
    str,
    typer.Option("--output", "-O", metavar="KIND", help="text, json, raw, hex or sbe."),
]
KeyValue = Annotated[bool, typer.Option("--key-value", "-k", help="Print [key] value.")]
Template = Annotated[
    str | None,
    typer.Option("--format", "-F", metavar="TEXT", help="Print by a template; see above."),
]
ConsumerId = Annotated[
    str | None,
    typer.Option(
        "--consumer",
        "-c",
        metavar="ID",
        help="Go on after what this name has read, and remember what it reads.",
        autocompletion=completion.consumers,
    ),
]
IsolationKind = Annotated[
    str, typer.Option(metavar="KIND", help="read-uncommitted or read-committed.")
]


def consume(
    topics: Topics,
    partition: Partitions = None,
    beginning: Beginning = False,
    head: Head = None,
    tail: Tail = None,
    offset: At = None,
    end_offset: End = None,
    max_records: MaxRecords = None,
    disable_continuous: NoWaiting = False,
    output: How = "text",
    key_value: KeyValue = False,
    template: Template = None,
    consumer: ConsumerId = None,
    isolation: IsolationKind = "read-uncommitted",
    state: State = None,
    fluvio: FluvioOption = None,
    json: Json = False,
) -> None:
    """Print the records of topics, from the end on unless told otherwise.

    It waits for new ones until Ctrl-C, or ends with --disable-continuous, --end-offset or
    --max-records. All partitions are read; each one's records come in order.

    A template may hold {{key}} {{value}} {{offset}} {{partition}} {{topic}}, {{time}} (UTC) and
    {{timestamp}} (milliseconds since 1970).

    Output sbe prints a JSON object for each message of the system's own topics, and for each
    row of a packed frame; raw prints the values' bytes with nothing between.

    \b
    Examples:
      qd consume prices
      qd consume prices --beginning -d --output json | jq .value
      qd consume prices --tail 10 --format '{{offset}}: {{key}} = {{value}}'
      qd consume breakout-alerts -B -d --output sbe
      qd consume prices --beginning --consumer report
    """
    from qd_cli.consuming import Wanted, consume

    kind = _output(output, json=json)
    writer = _writer(kind, key_value=key_value, template=template)
    wanted = Wanted(
        topics=tuple(topics),
        partitions=frozenset(partition or ()),
        start=_start(beginning=beginning, head=head, tail=tail, offset=offset),
        last_offset=end_offset,
        records_max=max_records,
        follow=not disable_continuous,
        consumer_id=consumer,
        isolation=_isolation(isolation),
    )
    where = targets(state, fluvio=fluvio)
    if wanted.follow and wanted.start == _start() and sys.stderr.isatty():
        console.say("waiting for new records; --beginning shows those that are there, Ctrl-C ends")
    with_fluvio(
        where,
        lambda cluster: consume(
            cluster, wanted, lambda *records: console.out_bytes(writer(*records))
        ),
        records=True,
    )
    if kind is Output.SBE:
        from qd_cli.record_sbe import SbeWriter

        assert isinstance(writer, SbeWriter)
        writer.check()


def _start(
    *,
    beginning: bool = False,
    head: int | None = None,
    tail: int | None = None,
    offset: int | None = None,
) -> Start:
    from qd_cli.consuming import From, Start

    given = {
        "--beginning": Start(From.BEGINNING) if beginning else None,
        "--head": None if head is None else Start(From.BEGINNING, head),
        "--tail": None if tail is None else Start(From.END, tail),
        "--offset": None if offset is None else Start(From.ZERO, offset),
    }
    chosen = {name: start for name, start in given.items() if start is not None}
    if len(chosen) > 1:
        raise RequestRefused(f"give {' or '.join(chosen)}, not both")
    return next(iter(chosen.values()), Start())


def _isolation(text: str) -> Isolation:
    from qd_fluvio import Isolation

    known = [kind.value for kind in Isolation]
    if text.replace("_", "-") not in known:
        raise RequestRefused(f"--isolation is {text!r}; expected {' or '.join(known)}")
    return Isolation(text.replace("_", "-"))


def _output(text: str, *, json: bool) -> Output:
    known = [kind.value for kind in Output]
    if text.lower() not in known:
        raise RequestRefused(f"--output is {text!r}; expected one of {', '.join(known)}")
    kind = Output(text.lower())
    if json and kind not in (Output.TEXT, Output.JSON):
        raise RequestRefused(f"give --json or --output {kind.value}, not both")
    return Output.JSON if json else kind


def _writer(kind: Output, *, key_value: bool, template: str | None) -> Write:
    safe = sys.stdout.isatty()
    if template is not None:
        if key_value or kind is not Output.TEXT:
            raise RequestRefused("give --format or another way to print, not both")
        return formats.template_writer(template, safe=safe)
    if key_value and kind not in (Output.TEXT, Output.HEX):
        raise RequestRefused(f"--key-value is for text and hex, not for {kind.value}")
    if kind is Output.TEXT:
        return formats.text_writer(key_value=key_value, safe=safe)
    if kind is Output.HEX:
        return formats.hex_writer(key_value=key_value)
    if kind is Output.SBE:
        from qd_cli.record_sbe import SbeWriter

        return SbeWriter()
    return formats.raw if kind is Output.RAW else formats.json_lines


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Fluvio")(consume)
