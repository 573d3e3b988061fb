"""``qd undeploy``: a deployment taken away, its data only where that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from qd_cli.deploy.kubectl import Json, Kubectl
from qd_cli.deploy.names import NAME, NAME_LABEL, SELECTOR
from qd_cli.deploy.plan import PRUNED, kind_of, labels_of, name_of

_SECONDS: Final = 300.0
_FIRST: Final = ("deployments", "jobs", "cronjobs")
_OPTIONAL: Final = (
    "podmonitors.monitoring.coreos.com",
    "prometheusrules.monitoring.coreos.com",
    "certificates.cert-manager.io",
    "issuers.cert-manager.io",
)
"""Kinds that not every cluster knows."""
_DATA: Final = ("persistentvolumeclaims", "secrets")
_OTHERS: Final = "deployments,statefulsets,jobs,pods,services,persistentvolumeclaims,secrets"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Holding:
    """What holds a deployment's data.

    Attributes
    ----------
    volumes, secrets : tuple of str
        Names; volumes with their sizes.
    """

    volumes: tuple[str, ...]
    secrets: tuple[str, ...]

    def __str__(self) -> str:
        """For the question whether to remove it."""
        volumes = f"volumes {', '.join(self.volumes)}" if self.volumes else ""
        secrets = f"Secrets {', '.join(self.secrets)}" if self.secrets else ""
        return " and ".join(text for text in (volumes, secrets) if text)


def holding_of(objects: Sequence[Json]) -> Holding:
    """What of these objects holds data."""
    volumes = [
        f"{name_of(each)} ({each['spec']['resources']['requests']['storage']})"
        for each in objects
        if kind_of(each) == "PersistentVolumeClaim"
    ]
    return Holding(
        tuple(volumes), tuple(name_of(each) for each in objects if kind_of(each) == "Secret")
    )


async def find_data(kubectl: Kubectl) -> Holding:
    """What holds the deployment's data."""
    found = await kubectl.get(",".join(_DATA), f"--selector={SELECTOR}")
    return holding_of(found["items"])


async def remove(kubectl: Kubectl, *, data: bool, tell: Tell) -> list[str]:
    """Remove a deployment; what was removed, as kubectl names it."""
    known = await kubectl.run("api-resources", "--namespaced", "--verbs=delete", "--output=name")
    optional = [kind for kind in _OPTIONAL if kind in known.split()]
    later = [kind for kind in PRUNED.values() if kind not in _FIRST]
    removed = []
    # Services first, so that they end in order while what they use is still there.
    for kinds in (_FIRST, ("pods", *later, *optional), _DATA if data else ()):
        if kinds:
            removed += await _delete(kubectl, kinds)
    if data and await _is_ours_alone(kubectl):
        tell(f"removing namespace {kubectl.namespace}")
        await kubectl.run("delete", "namespace", kubectl.namespace, seconds=_SECONDS)
        removed.append(f"namespace/{kubectl.namespace}")
    return removed


async def _delete(kubectl: Kubectl, kinds: Sequence[str]) -> list[str]:
    text = await kubectl.run(
        "delete",
        ",".join(kinds),
        f"--selector={SELECTOR}",
        "--ignore-not-found",
        "--cascade=foreground",
        "--output=name",
        seconds=_SECONDS,
    )
    return text.split()


async def _is_ours_alone(kubectl: Kubectl) -> bool:
    """Whether the namespace was made for qd, and nothing of others is in it."""
    there = await kubectl.get("namespace", kubectl.namespace)
    if "metadata" not in there or labels_of(there).get(NAME_LABEL) != NAME:
        return False
    others = await kubectl.get(_OTHERS)
    return not others["items"]
