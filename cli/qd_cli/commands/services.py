"""``qd run PART``: one service in the foreground, with its own settings."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from qd_cli import console
from qd_cli.errors import RequestRefused
from qd_cli.options import State
from qd_cli.stack import qd_parts
from qd_cli.stack.environment import inherited
from qd_cli.stack.record import PART_LABEL
from qd_cli.targets import state_folder


def run(
    part: Annotated[
        str, typer.Argument(metavar="PART", help="database, broker, symdb, gateway or analytics.")
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="PORT", help="Port; 0: a free one.")
    ] = 0,
    state: State = None,
) -> None:
    """Run one service in the foreground, until Ctrl-C.

    Its settings come from the environment, and from the file that QD_CONFIG names; it gets its
    own alone (`qd config show gateway`).

    \b
    Examples:
      qd run broker --port 9003
      QD_FLUVIO=127.0.0.1:9003 QD_DATABASE=postgresql://localhost/qd qd run gateway
    """
    parts = {known.name: known for known in qd_parts()}
    if part not in parts:
        raise RequestRefused(f"no part is named {part!r}: expected one of {', '.join(parts)}")
    chosen, folder = parts[part], state_folder(state)
    words = {"data": str(folder.data(part)), "port": str(port)}
    if chosen.provides and chosen.arguments:
        console.say(f"{part} keeps its data in {words['data']}")
    settings = {key: value.format(**words) for key, value in chosen.settings.items()}
    arguments = [item.format(**words) for item in chosen.arguments]
    # The service takes this process's place, so that signals reach it directly.
    os.execve(
        sys.executable,
        # By its path: by its name alone, it would look for itself, and its packages, in PATH.
        [sys.executable, "-m", chosen.module, *arguments],
        {**settings, **inherited(chosen, os.environ), **_of_starter()},
    )


def _of_starter() -> dict[str, str]:
    """How whoever runs this command is told of the service, and marks its process."""
    names = ("QD_READY_FILE", "QD_DIE_WITH_PARENT", "QD_STACK", PART_LABEL)
    return {name: os.environ[name] for name in names if name in os.environ}


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Single services")(run)
