"""Options that the commands for Kubernetes share. Only declarations."""

from __future__ import annotations

from typing import Annotated

import typer

_PANEL = "Which cluster"

Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="Context of the kubeconfig (default: the current one).",
        rich_help_panel=_PANEL,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="Namespace of the deployment.",
        rich_help_panel=_PANEL,
    ),
]
