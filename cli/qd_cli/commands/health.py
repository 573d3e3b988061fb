"""``qd health``: whether a service of this machine is well, for a container's health command."""

from __future__ import annotations

from typing import Annotated

import typer


def health(
    part: Annotated[
        str | None,
        typer.Argument(
            metavar="PART",
            help="gateway, symdb, analytics or broker; by default each that has an address.",
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Only whether it lives, not whether it can serve.")
    ] = False,
) -> None:
    """Ask a service that runs here whether it is ready.

    It is asked over HTTP where its own setting says that it answers (QD_GATEWAY_METRICS,
    QD_SYMDB_METRICS, QD_ANALYTICS_METRICS, QD_BROKER_METRICS). Exit code 0 says that all is
    well, 1 that something is not; what, is on standard error.

    \b
    Examples:
      qd health
      qd health gateway --live
    """
    from qd_cli.health import check

    raise typer.Exit(check(part, live=live))


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Single services")(health)
