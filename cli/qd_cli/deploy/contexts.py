"""The contexts of a kubeconfig: which one is meant, and what kind of cluster it is. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from qd_cli.errors import KubernetesUnusable

_MINIKUBE: Final = "minikube.sigs.k8s.io"


class Kind(enum.Enum):
    """What a cluster was made with, as far as that matters to how it gets an image."""

    KIND = "kind"
    K3D = "k3d"
    MINIKUBE = "minikube"
    DESKTOP = "docker-desktop"
    """Its nodes have the images of the Docker on this machine."""
    OTHER = "other"


_DESKTOPS: Final = ("docker-desktop", "docker-for-desktop", "orbstack")
_PREFIXES: Final = {"kind-": Kind.KIND, "k3d-": Kind.K3D}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A context that is used.

    Attributes
    ----------
    name : str
        As the kubeconfig has it.
    kind : Kind
        Of its cluster.
    cluster : str
        What the tool that made the cluster calls it.
    """

    name: str
    kind: Kind
    cluster: str


def choose_context(config: Mapping[str, Any], wanted: str | None) -> Chosen:
    """The context that is meant.

    Parameters
    ----------
    config : mapping
        What ``kubectl config view --output=json`` prints.
    wanted : str or None
        Its name; None means the current one.

    Raises
    ------
    KubernetesUnusable
        There is none, or none of that name.
    """
    contexts = {item["name"]: item.get("context") or {} for item in config.get("contexts") or ()}
    name = wanted or config.get("current-context") or ""
    if name in contexts:
        return _chosen(name, contexts[name].get("cluster", ""), config)
    if not contexts:
        raise KubernetesUnusable(
            "kubectl knows no cluster: make one (`kind create cluster`, `k3d cluster create`, "
            "`minikube start`, or Kubernetes in Docker Desktop's settings), or put your cluster's "
            "file at ~/.kube/config, or at a path that KUBECONFIG names"
        )
    known = ", ".join(sorted(contexts))
    if not name:
        raise KubernetesUnusable(
            f"kubectl has no current context: choose one of {known} with --context, or with "
            "`kubectl config use-context`"
        )
    raise KubernetesUnusable(f"kubectl has no context named {name!r}: expected one of {known}")


def _chosen(name: str, cluster: str, config: Mapping[str, Any]) -> Chosen:
    for prefix, kind in _PREFIXES.items():
        if name.startswith(prefix):
            return Chosen(name, kind, name.removeprefix(prefix))
    if name in _DESKTOPS:
        return Chosen(name, Kind.DESKTOP, name)
    if name == "minikube" or _is_minikube(cluster, config):
        return Chosen(name, Kind.MINIKUBE, cluster or name)
    return Chosen(name, Kind.OTHER, cluster)


def _is_minikube(cluster: str, config: Mapping[str, Any]) -> bool:
    """Whether minikube wrote this cluster's entry, whatever its profile is called."""
    for item in config.get("clusters") or ():
        if item["name"] == cluster:
            extensions = (item.get("cluster") or {}).get("extensions") or ()
            return any(
                (entry.get("extension") or {}).get("provider") == _MINIKUBE for entry in extensions
            )
    return False
