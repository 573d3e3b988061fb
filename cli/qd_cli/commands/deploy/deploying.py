"""``qd deploy`` itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import console
from qd_cli.commands.deploy.options import Context, Namespace
from qd_cli.deploy.names import NAMESPACE
from qd_cli.errors import RequestRefused
from qd_cli.interrupts import Interrupts, run
from qd_cli.options import Json, State
from qd_cli.targets import state_folder

if TYPE_CHECKING:
    from qd_cli.deploy.deploying import Wanted

_BUILT = "built"
_READY = """\
ready after {seconds}: {where}
from this machine, for as long as no local stack runs (`qd --cluster` says it outright):
  qd import FILE          trades into its database
  qd stream SYMBOL        a market's trades or bars
  qd alerts --follow      breakouts as they are found
  qd deploy status        each part; `qd deploy logs`, `qd shell`, `qd undeploy`"""


Overlay = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH", help="local, embedded, production, or your folder."),
]
Image = Annotated[
    str, typer.Option(metavar="REF|built", help="An image to take; built: build and load it.")
]
Tls = Annotated[
    bool, typer.Option("--tls", help="Make certificates, and speak TLS between all parts.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="WHAT=VALUE", help="PART.replicas=N, PART.SETTING=VALUE; repeatable."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print the manifests; no cluster is needed.")
]
Force = Annotated[bool, typer.Option("--force", help="Take back what others changed with kubectl.")]
Timeout = Annotated[
    float, typer.Option(min=1, metavar="SECONDS", help="Patience, after the image.")
]


def deploy(
    context: typer.Context,
    overlay: Overlay = None,
    kube_context: Context = None,
    namespace: Namespace = None,
    image: Image = _BUILT,
    tls: Tls = False,
    changes: Changes = None,
    dry_run: DryRun = False,
    force: Force = False,
    timeout: Timeout = 300.0,
    state: State = None,
    json: Json = False,
) -> None:
    """Deploy qd to a Kubernetes cluster, and wait until all of it is ready.

    Builds the image from the checkout and hands it to the local cluster (kind, k3d, minikube,
    Docker Desktop), or takes --image. Makes the Secrets that are missing, applies the manifests,
    and runs the migration before the services. Again with another image: an upgrade; again with
    the same: nothing changes.

    \b
    Examples:
      qd deploy --overlay embedded
      qd deploy --overlay local --set QD_FLUVIO=fluvio-sc-public.default:9003
      qd deploy --overlay embedded --tls --set gateway.replicas=2
      qd deploy --overlay production --context work --image registry.example/qd:0.1.0
      qd deploy --overlay embedded --dry-run > all.yaml
      qd deploy status
    """
    if context.invoked_subcommand is not None:
        return
    from qd_cli.deploy.choices import checked_namespace, read_changes
    from qd_cli.deploy.deploying import Wanted, rendered
    from qd_cli.deploy.manifests import overlay_folder, overlays

    if overlay is None:
        raise RequestRefused(f"which overlay? Give --overlay {' or '.join(overlays())}, or a path")
    wanted = Wanted(
        overlay_folder(overlay),
        checked_namespace(namespace or NAMESPACE),
        "" if image == _BUILT else image,
        tls,
        read_changes(changes or ()),
        force,
        timeout,
    )
    if dry_run:
        text, _ = run(lambda _: rendered(wanted, wanted.image))
        console.out(text.rstrip())
        return
    _deploy(wanted, kube_context, state_folder(state).path, json=json)


def _deploy(wanted: Wanted, kube_context: str | None, folder: Path, *, json: bool) -> None:
    from qd_cli.deploy.deploying import Deploying
    from qd_cli.deploy.kubectl import open_kubectl
    from qd_cli.deploy.progress import view
    from qd_cli.deploy.remembered import Deployment

    async def act(_: Interrupts) -> tuple[str, float]:
        kubectl, chosen = await open_kubectl(kube_context, wanted.namespace)
        with view(json=json) as shown:
            took = await Deploying(kubectl, chosen, wanted, folder, shown).run()
        return str(Deployment(kubectl.context, kubectl.namespace)), took

    where, seconds = run(act)
    if json:
        console.print_json({"event": "ready", "deployment": where, "seconds": round(seconds, 1)})
    else:
        console.say(_READY.format(seconds=console.duration(seconds), where=where))
