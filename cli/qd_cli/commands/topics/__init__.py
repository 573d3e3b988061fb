"""``qd topics``: the topics of the Fluvio cluster."""

from __future__ import annotations

import typer

from qd_cli.commands.topics.apply import apply
from qd_cli.commands.topics.changing import create, delete
from qd_cli.commands.topics.looking import describe, list_topics


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Topics of the Fluvio cluster.", no_args_is_help=True)
    group.command("list")(list_topics)
    for command in (create, describe, delete, apply):
        group.command()(command)
    app.add_typer(group, name="topics", rich_help_panel="Fluvio")
