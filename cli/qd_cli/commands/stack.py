"""``qd up``, ``status``, ``logs`` and ``down``: a stack that stays up."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import typer

from qd_cli import console
from qd_cli.errors import ExitCode, RequestRefused
from qd_cli.interrupts import Interrupts, run
from qd_cli.options import Json, State, Yes
from qd_cli.stack import (
    Choices,
    Event,
    EventKind,
    PartState,
    PartStatus,
    StateFolder,
    Supervisor,
    qd_parts,
    read_status,
)
from qd_cli.stack.parts import DATABASE, FLUVIO
from qd_cli.targets import database_of, state_folder

PORT_MAX = 65_535
_PORT_HELP = "Port of the {} (default: a free one)."


def _port(name: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        f"--{name}-port", min=1, max=PORT_MAX, metavar="PORT", help=_PORT_HELP.format(what)
    )
    return option


def up(
    state: State = None,
    database_port: Annotated[int | None, _port("database", "embedded database")] = None,
    fluvio_port: Annotated[int | None, _port("fluvio", "local broker")] = None,
    symdb_port: Annotated[int | None, _port("symdb", "symbol master")] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Patience with each part.")
    ] = 60.0,
    json: Json = False,
) -> None:
    """Start a stack that stays up, or the parts of it that do not run.

    QD_FLUVIO and QD_DATABASE (or QD_DATABASE_FILE) name parts that run elsewhere; those are not
    started.

    \b
    Examples:
      qd up
      qd up --state ~/qd --fluvio-port 9003
      QD_DATABASE=postgresql://db.example/qd qd up
    """
    ports = {"database": database_port, "broker": fluvio_port, "symdb": symdb_port}
    elsewhere = {FLUVIO: os.environ.get(FLUVIO), DATABASE: database_of(os.environ)}
    choices = Choices(
        ports={name: port for name, port in ports.items() if port is not None},
        external={name: value for name, value in elsewhere.items() if value},
    )
    folder = state_folder(state)

    async def start(interrupts: Interrupts) -> None:
        supervisor = Supervisor(
            folder,
            qd_parts(),
            tell=_tell_json if json else _tell,
            hurry=interrupts.hurry,
            start_seconds_max=timeout,
        )
        await supervisor.up(choices)

    run(start)
    if json:
        console.print_json({"event": "up", "state": str(folder.path)})
    else:
        console.say(f"up, in {folder.path}; `qd status` shows it, `qd down` stops it")


def status(state: State = None, json: Json = False) -> None:
    """Show each part: its state, memory and endpoint.

    The exit code is 0 when all parts run, 3 when one died, 4 when no stack is running.

    \b
    Examples:
      qd status
      qd status --json | jq .state
    """
    folder = state_folder(state)
    found = read_status(folder, qd_parts())
    if json:
        for part in found:
            console.print_json(dataclasses.asdict(part))
    else:
        _print_status(found)
    raise typer.Exit(_status_code(found))


def _status_code(found: list[PartStatus]) -> int:
    states = {part.state for part in found}
    if not states & {PartState.RUNNING, PartState.STARTING, PartState.DIED}:
        return ExitCode.NOT_RUNNING
    if states & {PartState.DIED, PartState.STOPPED}:
        return ExitCode.PART_DIED
    return ExitCode.OK


def _print_status(found: list[PartStatus]) -> None:
    columns = ("PART", "STATE", "PID", "UPTIME", "MEMORY", "PEAK", "ENDPOINT")
    rows = [
        (
            part.name,
            part.state.value,
            "-" if part.pid is None else str(part.pid),
            console.duration(part.uptime_seconds),
            console.mebibytes(part.memory_bytes),
            console.mebibytes(part.peak_memory_bytes),
            part.endpoint or "-",
        )
        for part in found
    ]
    console.print_table(columns, rows, right=("PID", "UPTIME", "MEMORY", "PEAK"))


def logs(
    part: Annotated[
        str | None, typer.Argument(metavar="PART", help="One part (default: all).")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more lines.")] = False,
    lines: Annotated[
        int, typer.Option("-n", "--lines", min=0, metavar="N", help="Last lines shown.")
    ] = 50,
    state: State = None,
) -> None:
    """Show what the parts logged.

    \b
    Examples:
      qd logs
      qd logs gateway -n 200
      qd logs --follow
    """
    from qd_cli.logs import follow_logs, last_lines

    folder = state_folder(state)
    names = [known.name for known in qd_parts()]
    if part is not None and part not in names:
        raise RequestRefused(f"no part is named {part!r}: expected one of {', '.join(names)}")
    chosen = [part] if part else names
    files = {name: folder.log_file(name) for name in chosen if folder.log_file(name).exists()}
    if not files and not follow:
        raise RequestRefused(f"nothing was logged yet in {folder.logs}: start a stack with `qd up`")
    for line in last_lines(files, lines):
        console.out(line)
    if follow:
        everything = {name: folder.log_file(name) for name in chosen}
        run(lambda _: follow_logs(everything, console.out))


def down(
    state: State = None,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the data as well.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Stop the stack; its data stay unless --purge is given.

    \b
    Examples:
      qd down
      qd down --purge --yes
    """
    folder = state_folder(state)
    if purge and not yes:
        console.confirm(f"Remove all data of the stack in {folder.path}?")

    async def stop(interrupts: Interrupts) -> list[str]:
        tell = _tell_json if json else _tell
        supervisor = Supervisor(folder, qd_parts(), tell=tell, hurry=interrupts.hurry)
        return await supervisor.down(interrupts.closing)

    stopped = run(stop) if folder.path.exists() else []
    removed = _purge(folder) if purge else []
    if json:
        console.print_json({"event": "down", "stopped": stopped, "removed": removed})
        return
    console.say(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    if removed:
        console.say(f"removed {', '.join(removed)} from {folder.path}")
    elif folder.path.exists():
        console.say(f"data kept in {folder.path}")


def _purge(folder: StateFolder) -> list[str]:
    """Remove what a stack keeps in its folder, and nothing else that may be there."""
    import shutil

    own: list[Path] = [
        *(folder.data(part.name) for part in qd_parts()),
        *(folder.logs, folder.run, folder.rejects, folder.record_file, folder.lock_file),
    ]
    removed = [path for path in own if path.exists()]
    for path in removed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if folder.path.is_dir() and not any(folder.path.iterdir()):
        folder.path.rmdir()
    return [path.name for path in removed]


def _tell(event: Event) -> None:
    """Say what happened to a part, in a line."""
    texts = {
        EventKind.READY: f"ready after {event.seconds:.1f} s",
        EventKind.RUNNING: f"runs already (pid {event.pid})",
        EventKind.EXTERNAL: "runs elsewhere",
        EventKind.STOPPED: "stopped",
        EventKind.KILLED: "killed, because it did not stop in time",
    }
    if text := texts.get(event.kind):
        console.say(f"{event.part:<10}{text}")


def _tell_json(event: Event) -> None:
    console.print_json(
        {
            "event": event.kind.value,
            "part": event.part,
            "pid": event.pid,
            "seconds": round(event.seconds, 3),
        }
    )


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    panel = "The stack"
    for command in (up, status, logs, down):
        app.command(rich_help_panel=panel)(command)
