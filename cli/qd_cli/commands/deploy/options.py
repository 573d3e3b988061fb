"""Options that the commands for Kubernetes share. Only declarations, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli.targets import state_folder

if TYPE_CHECKING:
    from qd_cli.deploy.kubectl import Kubectl

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


async def where(state: Path | None, context: str | None, namespace: str | None) -> Kubectl:
    """kubectl for the deployment that is meant: named by options, chosen, or remembered."""
    from qd_cli.deploy import remembered
    from qd_cli.deploy.choices import checked_namespace
    from qd_cli.deploy.kubectl import open_kubectl
    from qd_cli.deploy.names import NAMESPACE

    folder = state_folder(state).path
    known = remembered.chosen(folder) or remembered.recall(folder)
    if known is not None and context in (None, known.context):
        context, namespace = known.context, namespace or known.namespace
    kubectl, _ = await open_kubectl(context, checked_namespace(namespace or NAMESPACE))
    return kubectl
