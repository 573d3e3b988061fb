"""``qd deploy``: everything from the overlay to a deployment that is ready. The shell of `plan`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from qd_cli.deploy import certificates, secrets
from qd_cli.deploy.choices import Changes
from qd_cli.deploy.contexts import Chosen
from qd_cli.deploy.images import build_and_load, load_command
from qd_cli.deploy.kubectl import Json, Kubectl, as_list
from qd_cli.deploy.manifests import OnTop, examples_in, manifests_folder, objects_of, render
from qd_cli.deploy.names import BROKER, SELECTOR
from qd_cli.deploy.plan import (
    PRUNED,
    Stages,
    jobs_to_replace,
    kind_of,
    name_of,
    secrets_used,
    stages_of,
    surplus,
    with_mark,
    with_marks,
)
from qd_cli.deploy.progress import View
from qd_cli.deploy.remembered import Deployment, remember
from qd_cli.deploy.secrets import NewSecret
from qd_cli.deploy.waiting import until_ready
from qd_cli.errors import KubernetesFailed, RequestRefused
from qd_schemas.specs import FLUVIO_TLS_NAMES

_DELETE_SECONDS: Final = 180.0
_COLUMNS: Final = 2
_MIGRATE: Final = "qd-migrate"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be deployed.

    Attributes
    ----------
    overlay : Path
        Its folder.
    image : str
        Empty builds it.
    tls : bool
        Make certificates and use them.
    changes : Changes
        Replicas and settings.
    force : bool
        Take back what others changed.
    seconds : float
        Patience with everything after the image.
    """

    overlay: Path
    namespace: str
    image: str = ""
    tls: bool = False
    changes: Changes = field(default_factory=Changes)
    force: bool = False
    seconds: float = 300.0


async def rendered(wanted: Wanted, image: str) -> tuple[str, list[Json]]:
    """The overlay with all that was chosen: as YAML, and as objects."""
    top = OnTop(wanted.namespace, image, changes=wanted.changes)
    text = await render(wanted.overlay, top)
    if wanted.tls:
        folder = manifests_folder() / "components"
        components = tuple(folder / name for name in tls_components(objects_of(text)))
        top = OnTop(wanted.namespace, image, components, wanted.changes)
        text = await render(wanted.overlay, top)
    return text, objects_of(text)


def tls_components(objects: Sequence[Json]) -> list[str]:
    """The components by which all parts of an overlay speak TLS.

    Raises
    ------
    RequestRefused
        Cert-manager makes the certificates.
    """
    if any(kind_of(each) == "Certificate" for each in objects):
        raise RequestRefused(
            "the overlay has cert-manager make the certificates, and --tls would make others: "
            "leave it out, or those components"
        )
    if any(name_of(each) == BROKER for each in objects):
        return ["tls", "tls-broker"]
    has_tls = any(FLUVIO_TLS_NAMES[0] in (each.get("data") or ()) for each in objects)
    return ["tls"] if has_tls else ["tls", "tls-fluvio"]


class Deploying:
    """One run of ``qd deploy``.

    Parameters
    ----------
    kubectl : Kubectl
        For the chosen context and namespace.
    context : Chosen
        The context.
    wanted : Wanted
        What is to be deployed.
    state : Path
        The state folder that will know of it.
    view : View
        Where progress goes.
    """

    def __init__(
        self, kubectl: Kubectl, context: Chosen, wanted: Wanted, state: Path, view: View
    ) -> None:
        self._kubectl = kubectl
        self._context = context
        self._wanted = wanted
        self._state = state
        self._view = view
        self._deadline = 0.0

    async def run(self) -> float:
        """Deploy, and wait until all is ready; how many seconds that took after the image."""
        if not self._wanted.image:
            load_command(self._context, "")
        text, _ = await rendered(self._wanted, self._wanted.image)  # what is wrong is said at once
        if found := examples_in(text):
            raise RequestRefused(
                f"the overlay {self._wanted.overlay} still has addresses of examples "
                f"({', '.join(found)}): make an overlay of your own on top of it with yours, as "
                "docs/deploy.md says, and give --overlay its path"
            )
        await self._kubectl.run("version", "--output=json")
        image = self._wanted.image or await build_and_load(self._context, self._view.say)
        _, objects = await rendered(self._wanted, image)
        began = time.monotonic()
        self._deadline = began + self._wanted.seconds
        await self._deploy(objects)
        return time.monotonic() - began

    async def _deploy(self, objects: Sequence[Json]) -> None:
        stages = stages_of(objects)
        await self._make_namespace(stages)
        made, marks = await self._make_secrets(objects)
        where = Deployment(self._kubectl.context, self._kubectl.namespace)
        remember(self._state, where)
        stages = stages_of(with_marks(objects, marks))
        self._view.say(f"applying {len(objects)} objects to {where}")
        await self._kubectl.apply(stages.foundations, force=self._wanted.force)
        await self._wait(stages.foundations)
        await self._run_jobs(stages.jobs, anew=made)
        await self._kubectl.apply(stages.services, force=self._wanted.force)
        await self._wait(stages.services)
        await self._prune(objects)

    async def _make_namespace(self, stages: Stages) -> None:
        """Make the namespace; who may not, may use one that is there."""
        try:
            await self._kubectl.apply(stages.namespaces, force=self._wanted.force)
        except KubernetesFailed:
            name = self._kubectl.namespace
            there = await self._kubectl.run("get", "namespace", name, "--ignore-not-found")
            if not there.strip():
                raise
            self._view.say(f"namespace {name} is there already, and is left as it is")

    async def _make_secrets(self, objects: Sequence[Json]) -> tuple[bool, Mapping[str, str]]:
        """Make what is missing; whether passwords are new, and what tells Secrets apart."""
        text = await self._kubectl.run("get", "secrets", "--output=name")
        there = {line.removeprefix("secret/") for line in text.split()}
        used = secrets_used(objects)
        tls = certificates.names_for(objects) if self._wanted.tls else ()
        can = secrets.makeable(objects, tls=tls)
        secrets.require_secrets(used, there, can, objects)
        missing = can - there
        claims = await self._kubectl.get("persistentvolumeclaims", f"--selector={SELECTOR}")
        secrets.require_password(missing, claims["items"])
        new = secrets.database_secrets(missing)
        await self._create(new)
        certified = await self._renew(tls) if tls else {}
        return bool(new), {**await self._identities(), **certified}

    async def _identities(self) -> dict[str, str]:
        """What tells a Secret from an earlier one of its name; what they hold is not asked."""
        columns = "--output=custom-columns=NAME:.metadata.name,UID:.metadata.uid"
        text = await self._kubectl.run("get", "secrets", columns, "--no-headers")
        pairs = [line.split() for line in text.splitlines()]
        return {pair[0]: pair[1] for pair in pairs if len(pair) == _COLUMNS}

    async def _create(self, new: Sequence[NewSecret]) -> None:
        if new:
            hidden = [value for each in new for value in each.values]
            document = as_list([each.body for each in new])
            await self._kubectl.run("create", "--filename=-", stdin=document, hidden=hidden)
            self._view.say(f"made {len(new)} Secrets: {', '.join(each.name for each in new)}")

    async def _renew(self, names: Sequence[str]) -> Mapping[str, str]:
        """Make certificates that are missing or end soon; what tells each from another."""
        there = await self._kubectl.get("secrets", *names)
        found = certificates.renewed(
            names, there.get("items", []), self._kubectl.namespace, datetime.now(UTC)
        )
        if found.secrets:
            await self._kubectl.apply([each.body for each in found.secrets], force=True)
            names = ", ".join(each.name for each in found.secrets)
            self._view.say(f"made certificates: {names}")
        return found.marks

    async def _run_jobs(self, jobs: Sequence[Json], *, anew: bool) -> None:
        """Run the Jobs that are new, changed or failed; new passwords need a new migration."""
        marked = [with_mark(job) for job in jobs]
        there = await self._kubectl.get("jobs", f"--selector={SELECTOR}")
        old = jobs_to_replace(marked, there["items"])
        known = {name_of(job) for job in there["items"]}
        if anew and _MIGRATE in known and _MIGRATE not in old:
            old.append(_MIGRATE)
        if old:
            self._view.say(f"running again: {', '.join(old)}")
            await self._delete("jobs", old)
        await self._kubectl.apply(marked, force=self._wanted.force)
        await self._wait(marked)

    async def _wait(self, objects: Sequence[Json]) -> None:
        kinds = ("Deployment", "StatefulSet", "Job")
        wanted = [(kind_of(each), name_of(each)) for each in objects if kind_of(each) in kinds]
        if wanted:
            await until_ready(self._kubectl, wanted, deadline=self._deadline, show=self._view.parts)

    async def _prune(self, objects: Sequence[Json]) -> None:
        """Remove what an earlier deployment had, and this one has not."""
        kinds = ",".join((*PRUNED.values(), "replicasets", "pods"))
        there = await self._kubectl.get(kinds, f"--selector={SELECTOR}")
        for kind, name in surplus(there["items"], objects):
            if kind != "ConfigMap":
                self._view.say(f"removing {kind} {name}: it is no longer part of the deployment")
            await self._delete(PRUNED[kind], [name])

    async def _delete(self, kind: str, names: Sequence[str]) -> None:
        await self._kubectl.run(
            "delete",
            kind,
            *names,
            "--ignore-not-found",
            "--cascade=foreground",
            "--wait=true",
            seconds=_DELETE_SECONDS,
        )
