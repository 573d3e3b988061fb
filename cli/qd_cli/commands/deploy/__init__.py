"""``qd deploy``, ``qd undeploy`` and ``qd shell``: qd on Kubernetes."""

from __future__ import annotations

import typer

from qd_cli.commands.deploy.deploying import deploy
from qd_cli.commands.deploy.importing import import_inside
from qd_cli.commands.deploy.looking import logs, status
from qd_cli.commands.deploy.removing import undeploy
from qd_cli.commands.deploy.shell import SHELL_CONTEXT, shell


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    panel = "Kubernetes"
    group = typer.Typer(invoke_without_command=True)
    group.callback()(deploy)
    for command in (status, logs):
        group.command()(command)
    group.command("import")(import_inside)
    app.add_typer(group, name="deploy", rich_help_panel=panel)
    app.command(rich_help_panel=panel)(undeploy)
    app.command(rich_help_panel=panel, context_settings=SHELL_CONTEXT)(shell)
