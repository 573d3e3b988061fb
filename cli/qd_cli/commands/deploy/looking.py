"""``qd deploy status`` and ``logs``."""

from __future__ import annotations

from typing import Annotated

import typer

from qd_cli import console
from qd_cli.commands.deploy.options import Context, Namespace, where
from qd_cli.errors import ExitCode
from qd_cli.interrupts import Interrupts, run
from qd_cli.options import Json, State


def status(
    kube_context: Context = None,
    namespace: Namespace = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Show each part of the deployment, and what is wrong with those that are not ready.

    The exit code is 0 when all parts are ready, 3 when one is not, 4 when nothing is deployed.

    \b
    Examples:
      qd deploy status
      qd deploy status --json | jq 'select(.state != "ready")'
    """
    from qd_cli.deploy.kubectl import Kubectl
    from qd_cli.deploy.observing import SETTLED, Part, parts_of
    from qd_cli.deploy.progress import note, part_json, state_text
    from qd_cli.deploy.waiting import causes_first, described, look

    async def ask(_: Interrupts) -> tuple[Kubectl, list[Part], list[str]]:
        kubectl = await where(state, kube_context, namespace)
        parts = parts_of(await look(kubectl))
        texts = [] if json else [await described(kubectl, each) for each in causes_first(parts)]
        return kubectl, parts, texts

    kubectl, parts, texts = run(ask)
    if json:
        for part in parts:
            console.print_json(part_json(part))
    elif parts:
        columns = ("PART", "STATE", "READY", "RESTARTS", "IMAGE", "NOTE")
        rows = [
            (
                *(part.name, state_text(part), f"{part.ready}/{part.wanted}"),
                *(str(part.restarts), part.image, note(part)),
            )
            for part in parts
        ]
        console.print_table(columns, rows, right=("READY", "RESTARTS"))
    for text in texts:
        console.say(text)
    if not parts:
        console.say(
            f"nothing is deployed in namespace {kubectl.namespace} of context {kubectl.context}: "
            "`qd deploy` does it"
        )
        raise typer.Exit(ExitCode.NOT_RUNNING)
    if any(part.state not in SETTLED for part in parts):
        raise typer.Exit(ExitCode.PART_DIED)


def logs(
    part: Annotated[str | None, typer.Argument(help="One part (default: all).")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more lines.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only of the last 30s, 5m, 2h...")
    ] = None,
    lines: Annotated[
        int, typer.Option(min=0, metavar="N", help="Last lines of each container.")
    ] = 50,
    raw: Annotated[bool, typer.Option("--raw", help="Lines as they were written.")] = False,
    kube_context: Context = None,
    namespace: Namespace = None,
    state: State = None,
) -> None:
    """Show what the pods wrote, in order of time.

    \b
    Examples:
      qd deploy logs
      qd deploy logs gateway --since 10m
      qd deploy logs --follow
      qd deploy logs import --follow
    """
    from qd_cli.deploy.reading_logs import Wanted, print_logs

    wanted = Wanted(part, follow, since, lines, raw)

    async def show(_: Interrupts) -> None:
        await print_logs(await where(state, kube_context, namespace), wanted)

    run(show)
