"""``qd shell``: a shell, or one command, inside the cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from qd_cli.commands.deploy.options import Context, Namespace, where
from qd_cli.interrupts import Interrupts, run
from qd_cli.options import State

SHELL_CONTEXT = {"allow_interspersed_args": False}


def shell(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="What to run (default: a shell)."),
    ] = None,
    kube_context: Context = None,
    namespace: Namespace = None,
    state: State = None,
) -> None:
    """Open a shell inside the cluster, in a pod of qd's image with its settings.

    There `qd` reaches the brokers, symdb and the database (as its owner) without tunnels. The pod
    goes when the shell ends. The exit code is the command's.

    \b
    Examples:
      qd shell
      qd shell -- qd topics list
      qd shell -- qd produce notes < lines.txt
    """
    from qd_cli.deploy.kubectl import Kubectl
    from qd_cli.deploy.shell import attach, open_pod, remove_pod

    async def make(_: Interrupts) -> tuple[Kubectl, str]:
        kubectl = await where(state, kube_context, namespace)
        return kubectl, await open_pod(kubectl)

    kubectl, pod = run(make)
    try:
        code = attach(kubectl, pod, command or ())
    finally:
        run(lambda _: remove_pod(kubectl, pod))
    raise typer.Exit(code)
