"""``qd undeploy``."""

from __future__ import annotations

from typing import Annotated

import typer

from qd_cli import console
from qd_cli.commands.deploy.options import Context, Namespace, where
from qd_cli.interrupts import Interrupts, run
from qd_cli.options import Json, State, Yes
from qd_cli.targets import state_folder


def undeploy(
    data: Annotated[
        bool, typer.Option("--data", help="Remove volumes and Secrets as well, for ever.")
    ] = False,
    kube_context: Context = None,
    namespace: Namespace = None,
    state: State = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove the deployment; volumes and Secrets stay unless --data is given.

    `qd deploy` again goes on with the data that stayed.

    \b
    Examples:
      qd undeploy
      qd undeploy --data
      qd undeploy --data --yes
    """
    from qd_cli.deploy.kubectl import Kubectl
    from qd_cli.deploy.remembered import Deployment, forget
    from qd_cli.deploy.removing import Holding, find_data, remove

    folder = state_folder(state).path

    async def find(_: Interrupts) -> tuple[Kubectl, Holding]:
        kubectl = await where(state, kube_context, namespace)
        return kubectl, await find_data(kubectl)

    kubectl, holding = run(find)
    place = Deployment(kubectl.context, kubectl.namespace)
    if data and str(holding) and not yes:
        console.confirm(f"Remove {holding} of {place} for ever?")
    tell = console.say
    removed = run(lambda _: remove(kubectl, data=data, tell=tell))
    if data:
        forget(folder, place)
    if json:
        console.print_json({"event": "undeploy", "deployment": str(place), "removed": removed})
        return
    tell(f"removed {len(removed)} objects of {place}" if removed else f"nothing was in {place}")
    if not data and str(holding):
        tell(f"kept {holding}; `qd undeploy --data` removes them")
