"""``qd deploy import``: an import that runs inside the cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from qd_cli import console
from qd_cli.commands.deploy.options import Context, Namespace, where
from qd_cli.errors import Interrupted
from qd_cli.import_settings import PARALLEL_MAX
from qd_cli.interrupts import Interrupts, run
from qd_cli.options import State


def import_inside(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Paths in the volume, or s3://... objects.")
    ],
    claim: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The volume's claim (default: qd-import)."),
    ] = None,
    exchange: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose files: kraken (default) or binance.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a whole file for one bad line.")
    ] = False,
    parallel: Annotated[
        int | None, typer.Option(min=1, max=PARALLEL_MAX, metavar="N", help="Markets at once.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    kube_context: Context = None,
    namespace: Namespace = None,
    state: State = None,
) -> None:
    """Import trades inside the cluster, from a volume or a bucket, as a Job.

    Shows what it writes; Ctrl-C leaves it at work. Files on this machine: `qd import FILE`.

    \b
    Examples:
      qd deploy import /data/kraken.zip --claim trades
      qd deploy import s3://bucket/trades/
      qd deploy import s3://bucket/BTCUSDT.zip --exchange binance --detach
    """
    from qd_cli.deploy.importing import ImportWanted, follow, start

    given = [f"--exchange={exchange}"] if exchange else []
    given += ["--strict"] if strict else []
    given += [f"--parallel={parallel}"] if parallel else []
    wanted = ImportWanted(tuple(paths), tuple(given), claim)

    async def act(_: Interrupts) -> str:
        return await start(await where(state, kube_context, namespace), wanted)

    async def show(_: Interrupts) -> None:
        await follow(await where(state, kube_context, namespace), name)

    name = run(act)
    console.say(f"made job {name}")
    if detach:
        return
    try:
        run(show)
    except Interrupted:
        console.say("the import goes on in the cluster: `qd deploy logs import --follow`")
        raise
    console.say("imported; `qd symbols` lists the markets")
