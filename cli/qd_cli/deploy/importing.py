"""``qd deploy import``: makes a Job of the manifests', and follows it to its end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from qd_cli import console
from qd_cli.deploy.explaining import Problem
from qd_cli.deploy.kubectl import Json, Kubectl
from qd_cli.deploy.log_lines import Fresh, lines_of, readable
from qd_cli.deploy.manifests import OnTop, manifests_folder, objects_of, render
from qd_cli.deploy.names import GATEWAY, SELECTOR
from qd_cli.deploy.observing import Part
from qd_cli.deploy.pods import (
    claims_of,
    deployments,
    import_job,
    is_bucket,
    job_name,
    suffix,
    volume_paths,
)
from qd_cli.deploy.reaching import workloads
from qd_cli.deploy.waiting import until_ready
from qd_cli.errors import RequestRefused
from qd_cli.tasks import beside

_POLL_SECONDS: Final = 1.0
_DATABASE_TLS: Final = "PGSSLMODE"


@dataclass(frozen=True, slots=True)
class ImportWanted:
    """What is imported.

    Attributes
    ----------
    paths : tuple of str
        In the volume, or of objects in buckets.
    options : tuple of str
        Arguments of ``qd import``.
    claim : str or None
        The volume's claim; None means the manifests' own.
    """

    paths: tuple[str, ...]
    options: tuple[str, ...] = ()
    claim: str | None = None


async def start(kubectl: Kubectl, wanted: ImportWanted) -> str:
    """Make the Job; its name.

    Raises
    ------
    RequestRefused
        The paths make no sense together, nothing is deployed, or there is no such claim.
    """
    from_bucket = {is_bucket(path) for path in wanted.paths}
    if len(from_bucket) != 1:
        raise RequestRefused("give paths in a volume, or objects of buckets, not both at once")
    if from_bucket == {True} and wanted.claim:
        raise RequestRefused("--claim is for paths in a volume; objects of buckets need none")
    found = await kubectl.get("deployments,configmaps", f"--selector={SELECTOR}")
    there = deployments(found["items"])
    if GATEWAY not in there:
        raise RequestRefused(
            f"nothing is deployed in namespace {kubectl.namespace} of context {kubectl.context}: "
            "`qd deploy` does it"
        )
    image = there[GATEWAY]["spec"]["template"]["spec"]["containers"][0]["image"]
    is_secured = _DATABASE_TLS in workloads(found["items"])[GATEWAY].settings
    folder = manifests_folder()
    kind = "import-bucket" if from_bucket == {True} else "import-volume"
    components = (folder / "components" / "tls",) if is_secured else ()
    top = OnTop(kubectl.namespace, image, components, suffix=suffix(datetime.now(UTC)))
    objects = objects_of(await render(folder / "jobs" / kind, top))
    paths = list(wanted.paths) if from_bucket == {True} else volume_paths(wanted.paths)
    job = import_job(objects, paths, wanted.options, wanted.claim)
    await _require_claims(kubectl, job)
    await kubectl.apply(job)
    return job_name(job)


async def _require_claims(kubectl: Kubectl, objects: Sequence[Json]) -> None:
    for name in claims_of(objects):
        if "metadata" not in await kubectl.get("persistentvolumeclaim", name):
            raise RequestRefused(
                f"there is no volume claim {name} in namespace {kubectl.namespace} of context "
                f"{kubectl.context}: make it, or name another with --claim (docs/deploy.md)"
            )


async def follow(kubectl: Kubectl, name: str) -> None:
    """Print what the Job's pods write until it is complete.

    Raises
    ------
    DeploymentFailed
        It failed.
    """
    told: set[Problem] = set()

    def show(parts: Sequence[Part]) -> None:
        for problem in (each for part in parts for each in part.problems):
            if problem not in told:
                told.add(problem)
                console.say(f"{problem.what}: {problem.why}")

    fresh = Fresh()
    async with beside(_print_new(kubectl, name, fresh)):
        await until_ready(kubectl, [("Job", name)], deadline=math.inf, show=show)
    await _print(kubectl, name, fresh)


async def _print_new(kubectl: Kubectl, name: str, fresh: Fresh) -> None:
    while True:
        await _print(kubectl, name, fresh)
        await asyncio.sleep(_POLL_SECONDS)


async def _print(kubectl: Kubectl, name: str, fresh: Fresh) -> None:
    since = [f"--since-time={fresh.newest}"] if fresh.newest else ["--tail=-1"]
    text = await kubectl.run(
        "logs",
        f"--selector=batch.kubernetes.io/job-name={name}",
        "--prefix",
        "--timestamps",
        "--ignore-errors",
        *since,
    )
    for line in fresh.of(lines_of(text)):
        console.out(readable(line.text))
