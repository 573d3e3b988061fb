"""``qd db``: the market database itself."""

from __future__ import annotations

import typer

from qd_cli.commands.db.changing import migrate, refresh, roles
from qd_cli.commands.db.looking import check, status
from qd_cli.commands.db.shell import PSQL_CONTEXT, psql


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(
        help="The market database: its tables, their state and soundness, who may use them.",
        no_args_is_help=True,
    )
    for command in (migrate, status, check, refresh, roles):
        group.command()(command)
    group.command(context_settings=PSQL_CONTEXT)(psql)
    app.add_typer(group, name="db", rich_help_panel="Market data")
