"""In which order objects are applied, which Jobs are made again, what is there no more. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qd_cli.deploy.kubectl import Json
from qd_cli.deploy.names import COMPONENT_LABEL, ON_DEMAND, RENDERED, SECRETS

_SERVICES: Final = ("Deployment", "DaemonSet")
_WORKLOADS: Final = ("StatefulSet", "Job", *_SERVICES)
PRUNED: Final = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "Job": "jobs",
    "CronJob": "cronjobs",
    "Service": "services",
    "ConfigMap": "configmaps",
    "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "ServiceAccount": "serviceaccounts",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}
"""What is removed when it is rendered no more: everything but what holds data."""


def kind_of(thing: Json) -> str:
    """An object's kind."""
    return str(thing["kind"])


def name_of(thing: Json) -> str:
    """An object's name."""
    return str(thing["metadata"]["name"])


def labels_of(thing: Json) -> Mapping[str, str]:
    """An object's labels."""
    found: Mapping[str, str] = thing["metadata"].get("labels") or {}
    return found


def annotation(thing: Json, name: str) -> str:
    """An object's annotation; empty where it has none of this name."""
    return str((thing["metadata"].get("annotations") or {}).get(name, ""))


def component_of(thing: Json) -> str:
    """The component that an object belongs to."""
    return labels_of(thing).get(COMPONENT_LABEL, "")


@dataclass(frozen=True, slots=True)
class Stages:
    """Rendered objects in the order in which they are applied.

    Attributes
    ----------
    namespaces : list
        Before all else.
    foundations : list
        What has no pods, and what keeps data: to be ready before anything uses it.
    jobs : list
        What prepares the data: to be complete before a service starts.
    services : list
        The services.
    """

    namespaces: list[Json]
    foundations: list[Json]
    jobs: list[Json]
    services: list[Json]

    @property
    def objects(self) -> list[Json]:
        """All of them."""
        return [*self.namespaces, *self.foundations, *self.jobs, *self.services]


def stages_of(objects: Sequence[Json]) -> Stages:
    """Put objects into order."""
    stages = Stages([], [], [], [])
    for thing in objects:
        kind = kind_of(thing)
        if kind == "Namespace":
            stages.namespaces.append(thing)
        elif kind == "Job":
            stages.jobs.append(thing)
        elif kind in _SERVICES:
            stages.services.append(thing)
        else:
            stages.foundations.append(thing)
    return stages


def template_of(thing: Json) -> Json | None:
    """The template of an object's pods; None where it has no pods."""
    if kind_of(thing) == "CronJob":
        found: Json | None = thing["spec"]["jobTemplate"]["spec"]["template"]
    elif kind_of(thing) in _WORKLOADS:
        found = thing["spec"]["template"]
    else:
        found = None
    return found


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A Secret that pods need."""

    name: str
    keys: frozenset[str]
    """The keys that are named; none where all are taken."""


def secrets_used(objects: Sequence[Json]) -> dict[str, SecretUse]:
    """The Secrets without which pods of these objects cannot start, by name."""
    found: dict[str, set[str]] = {}
    for thing in objects:
        template = template_of(thing)
        if template is not None:
            for name, keys in _secrets_of(template["spec"]):
                found.setdefault(name, set()).update(keys)
    return {name: SecretUse(name, frozenset(keys)) for name, keys in sorted(found.items())}


def _secrets_of(spec: Json) -> Iterator[tuple[str, set[str]]]:
    for volume in spec.get("volumes") or ():
        sources = [volume.get("secret"), *_projected(volume)]
        for source in sources:
            name = source and (source.get("secretName") or source.get("name"))
            if name and not source.get("optional"):
                yield name, {item["key"] for item in source.get("items") or ()}
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        for entry in container.get("env") or ():
            key = (entry.get("valueFrom") or {}).get("secretKeyRef")
            if key and not key.get("optional"):
                yield key["name"], {key["key"]}
        for entry in container.get("envFrom") or ():
            reference = entry.get("secretRef")
            if reference and not reference.get("optional"):
                yield reference["name"], set()


def _projected(volume: Json) -> list[Json]:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return [source["secret"] for source in sources if "secret" in source]


def with_marks(objects: Sequence[Json], marks: Mapping[str, str]) -> list[Json]:
    """Mark the services' pod templates with the Secrets they read, so that new ones start new pods.

    The database and the broker read renewed certificates as they go, and are left alone.

    Parameters
    ----------
    marks : mapping of str to str
        A Secret's name, and what tells it from another of that name.
    """
    return [_marked(thing, marks) for thing in objects]


def _marked(thing: Json, marks: Mapping[str, str]) -> Json:
    template = template_of(thing)
    if template is None or kind_of(thing) not in _SERVICES:
        return thing
    used = sorted({name for name, _ in _secrets_of(template["spec"]) if name in marks})
    if not used:
        return thing
    mark = ",".join(f"{name}={marks[name]}" for name in used)
    metadata = template.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), SECRETS: mark}
    marked = {**template, "metadata": {**metadata, "annotations": annotations}}
    return {**thing, "spec": {**thing["spec"], "template": marked}}


def with_mark(job: Json) -> Json:
    """A Job that says what it was rendered from."""
    metadata = job["metadata"]
    annotations = {**(metadata.get("annotations") or {}), RENDERED: _digest(job["spec"])}
    return {**job, "metadata": {**metadata, "annotations": annotations}}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def is_failed(job: Json) -> bool:
    """Whether a Job has given up."""
    return any(
        condition["type"] == "Failed" and condition["status"] == "True"
        for condition in (job.get("status") or {}).get("conditions") or ()
    )


def jobs_to_replace(wanted: Sequence[Json], there: Sequence[Json]) -> list[str]:
    """The names of the Jobs that must go before they can be made: changed ones, failed ones."""
    known = {name_of(job): job for job in there}
    return [
        name_of(job)
        for job in wanted
        if (old := known.get(name_of(job))) is not None
        and (annotation(old, RENDERED) != annotation(job, RENDERED) or is_failed(old))
    ]


def surplus(there: Sequence[Json], rendered: Sequence[Json]) -> list[tuple[str, str]]:
    """What of qd is there and rendered no more, as (kind, name).

    ConfigMaps that a pod still uses are left until the next time, as are what commands made for
    themselves.
    """
    wanted = {(kind_of(thing), name_of(thing)) for thing in rendered}
    in_use = {name for thing in there for name in _configmaps(thing)}
    return [
        (kind_of(thing), name_of(thing))
        for thing in there
        if kind_of(thing) in PRUNED
        and (kind_of(thing), name_of(thing)) not in wanted
        and component_of(thing) not in ON_DEMAND
        and not thing["metadata"].get("ownerReferences")
        and not (kind_of(thing) == "ConfigMap" and name_of(thing) in in_use)
    ]


def _configmaps(thing: Json) -> Iterator[str]:
    """The ConfigMaps that a pod, or the pods of a ReplicaSet, use."""
    if kind_of(thing) == "Pod":
        spec = thing["spec"]
    elif kind_of(thing) == "ReplicaSet":
        spec = thing["spec"]["template"]["spec"]
    else:
        return
    for volume in spec.get("volumes") or ():
        if name := (volume.get("configMap") or {}).get("name"):
            yield name
    for container in spec["containers"]:
        for entry in container.get("envFrom") or ():
            if name := (entry.get("configMapRef") or {}).get("name"):
                yield name
