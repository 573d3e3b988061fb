"""``qd deploy``, ``qd undeploy`` and ``qd shell``: qd on Kubernetes."""

from __future__ import annotations

import typer

from qd_cli.commands.deploy.deploying import deploy


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    panel = "Kubernetes"
    group = typer.Typer(invoke_without_command=True)
    group.callback()(deploy)
    app.add_typer(group, name="deploy", rich_help_panel=panel)
