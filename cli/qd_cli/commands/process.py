"""``qd process``: record processors, shipped and the user's own."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import completion, console
from qd_cli.errors import ExitCode, NoStack
from qd_cli.options import FluvioOption, Json, State, targets

if TYPE_CHECKING:
    from qd_cli.targets import Targets
    from qd_fluvio.processors import Processor
    from qd_fluvio.processors.loading import Found, Parameter
    from qd_fluvio.processors.runner import Counts, RunSettings
    from qd_schemas.specs import FluvioSettings

_NAME_HELP = "A shipped processor, package.module:name, or file.py:name."
_SERVICE = "qd process"
_SYMDB = "symdb"


def _shipped(incomplete: str) -> list[str]:
    """Names of shipped processors, for the shell."""
    from qd_fluvio.processors.shipped import SHIPPED

    return [name for name in SHIPPED if name.startswith(incomplete)]


Name = Annotated[str, typer.Argument(metavar="PROCESSOR", help=_NAME_HELP, autocompletion=_shipped)]
Source = Annotated[
    str,
    typer.Option(
        "--from", metavar="TOPIC", help="Read this topic.", autocompletion=completion.topics
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="TOPIC",
        help="Write this topic (made if missing).",
        autocompletion=completion.topics,
    ),
]
Chain = Annotated[
    list[str] | None,
    typer.Option(
        "--chain",
        metavar="PROCESSOR",
        help="Then this one; may be repeated.",
        autocompletion=_shipped,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting; may be repeated."),
]
Id = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="NAME",
        help="Its state's name (default: processor and topic); the same name goes on.",
    ),
]
Partitions = Annotated[
    list[int] | None,
    typer.Option("--partition", "-p", min=0, metavar="N", help="Only this one; may be repeated."),
]
FromBeginning = Annotated[
    bool, typer.Option("--from-beginning", "-B", help="First run: from the oldest, not the end.")
]
DeadLetter = Annotated[
    str,
    typer.Option(
        metavar="TOPIC",
        help="For records that fail (default: ID-dead-letters).",
        autocompletion=completion.topics,
    ),
]
Once = Annotated[bool, typer.Option("--once", help="End when all there is is done.")]
Finish = Annotated[
    bool, typer.Option("--finish", help="With --once: give out open windows and bars.")
]
SoleWriter = Annotated[
    bool,
    typer.Option("--sole-writer", help="Nobody else writes TO: no stamps, keyed records once too."),
]
CheckpointSeconds = Annotated[
    float, typer.Option(min=0.0, metavar="S", help="How often the state is written.")
]
ReconnectSeconds = Annotated[
    float, typer.Option(min=0.0, metavar="S", help="How long a lost cluster is waited for.")
]


def list_processors(json: Json = False) -> None:
    """List the processors that come with qd.

    \b
    Examples:
      qd process list
    """
    from qd_fluvio.processors.loading import find
    from qd_fluvio.processors.shipped import SHIPPED

    rows = [(name, *_short(find(name))) for name in SHIPPED]
    if json:
        for name, about, settings in rows:
            console.print_json({"name": name, "about": about, "settings": settings})
        return
    console.print_table(("PROCESSOR", "ABOUT", "SETTINGS"), rows)


def _short(found: Found) -> tuple[str, str]:
    settings = " ".join(f"{each.name}={_default(each)}" for each in found.parameters)
    return found.about.partition("\n")[0], settings


def _default(parameter: Parameter) -> str:
    return "" if parameter.is_needed else str(parameter.default)


def show(name: Name, json: Json = False) -> None:
    """Show what a processor does and what can be set.

    \b
    Examples:
      qd process show trades-to-bars
      qd process show mine.py:large
    """
    from qd_fluvio.processors.loading import find

    found = find(name)
    if json:
        settings = {each.name: _default(each) for each in found.parameters}
        console.print_json({"name": name, "about": found.about, "settings": settings})
        return
    console.out(found.about)
    if not found.parameters:
        console.out("\nNothing can be set.")
    for each in found.parameters:
        default = "needed" if each.is_needed else f"default {each.default!r}"
        console.out(f"\n--set {each.name}={each.type.__name__}  ({default})")


def run(
    name: Name,
    source: Source,
    to: To = None,
    chain: Chain = None,
    settings: Set = None,
    processor_id: Id = None,
    partitions: Partitions = None,
    from_beginning: FromBeginning = False,
    dead_letter: DeadLetter = "",
    once: Once = False,
    finish: Finish = False,
    sole_writer: SoleWriter = False,
    checkpoint_seconds: CheckpointSeconds = 1.0,
    reconnect_seconds: ReconnectSeconds = 60.0,
    state: State = None,
    fluvio: FluvioOption = None,
    json: Json = False,
) -> None:
    """Run a processor on topics until Ctrl-C or SIGTERM, which end it in order (exit code 0).

    Where it is stopped or killed, the next run of the same id goes on: no record is left out,
    and none is written twice unless it has a key of its own.

    \b
    Examples:
      qd process run large-trades --from client-21-data --to large --set notional=50000
      qd process run trades-to-bars --set resolution=1h --from trades --to bars -B
      qd process run trades-to-bars --chain sbe-to-json --from trades --to bars-json
      qd process run dispatch-by-symbol --from trades
      qd process run mine.py:large --from trades --to large --once
    """
    from qd_fluvio.processors.loading import build
    from qd_fluvio.processors.runner import RunSettings

    found = targets(state, fluvio=fluvio)
    names = [name, *(chain or [])]
    processor = build(names, _with_symdb(names, settings or [], found))
    chosen = RunSettings(
        source=source,
        to=to,
        processor_id=processor_id or default_id(processor.name, source),
        dead_letters=dead_letter,
        partitions=tuple(partitions or ()),
        from_beginning=from_beginning,
        once=once,
        finish=finish,
        sole_writer=sole_writer,
        checkpoint_seconds=checkpoint_seconds,
        reconnect_seconds=reconnect_seconds,
    )
    _run(found.cluster(), processor, chosen, json=json)


def _with_symdb(names: list[str], settings: list[str], found: Targets) -> list[str]:
    """The settings, with the symbol master for a processor that asks it and was not told."""
    from qd_fluvio.processors.loading import find

    asking = any(each.name == _SYMDB for name in names for each in find(name).parameters)
    if asking and not any(setting.partition("=")[0].endswith(_SYMDB) for setting in settings):
        with contextlib.suppress(NoStack):
            return [*settings, f"{_SYMDB}={found.symdb}"]
    return settings


def default_id(name: str, source: str) -> str:
    """Name a state after the processor and the topic that it reads."""
    return f"{name}-{source}".lower().replace("_", "-")


def _run(
    cluster: FluvioSettings, processor: Processor, settings: RunSettings, *, json: bool
) -> None:
    import asyncio

    from qd_fluvio import service
    from qd_fluvio.processors.runner import run_processor, run_until_cancelled

    log = logging.getLogger(_SERVICE)

    def ready() -> None:
        service.ready(processor=settings.processor_id)

    def begin(stop: asyncio.Event) -> asyncio.Future[Counts]:
        return asyncio.ensure_future(
            run_processor(cluster, processor, settings, stop, on_ready=ready)
        )

    async def main() -> None:
        counts = await run_until_cancelled(begin)
        log.info(
            "%s: %d records read, %d written, %d were there already",
            *(settings.processor_id, counts.read, counts.written, counts.repeated),
        )
        if json:
            console.print_json({"processor": settings.processor_id, **dataclasses.asdict(counts)})

    code = service.run(_SERVICE, main)
    if code != ExitCode.OK:
        raise typer.Exit(code)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Processors of records.", no_args_is_help=True)
    group.command("list")(list_processors)
    for command in (show, run):
        group.command()(command)
    app.add_typer(group, name="process", rich_help_panel="Fluvio")
