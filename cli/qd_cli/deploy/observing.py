"""What a deployment's parts are doing, from the objects that kubectl prints. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from qd_cli.deploy.explaining import (
    Problem,
    explain_claim,
    explain_events,
    explain_job,
    explain_pod,
)
from qd_cli.deploy.kubectl import Json
from qd_cli.deploy.names import COMPONENT_LABEL, NAME, NAME_LABEL, ON_DEMAND
from qd_cli.deploy.plan import component_of, kind_of, labels_of, name_of

KINDS: Final = "deployments,statefulsets,jobs,replicasets,pods,persistentvolumeclaims"
"""What is asked for; events beside it, where they may be read."""
_POD_REVISION: Final = "controller-revision-hash"
_REVISION: Final = "deployment.kubernetes.io/revision"


class State(enum.Enum):
    """What a part is doing."""

    MISSING = "missing"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    """A Job that is complete."""
    FAILED = "failed"
    """A Job that has given up."""


SETTLED: Final = (State.READY, State.DONE)


@dataclass(frozen=True, slots=True)
class Part:
    """One Deployment, StatefulSet or Job.

    Attributes
    ----------
    name : str
        Such as ``gateway``.
    kind, workload : str
        Of the object.
    ready, wanted : int
        Pods.
    restarts : int
        Of all containers of its pods.
    detail : str
        What it waits for.
    image : str
        That its pods run.
    problems : tuple of Problem
        What is wrong.
    """

    name: str
    kind: str
    workload: str
    state: State
    ready: int = 0
    wanted: int = 0
    restarts: int = 0
    detail: str = ""
    image: str = ""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """All objects that were asked for, and which belongs to which."""

    objects: Sequence[Json]
    by_owner: Mapping[str, list[Json]] = field(repr=False)
    events: Mapping[str, list[Json]] = field(repr=False)
    """Warnings by the uid of what they are about, the newest last."""


def seen(objects: Sequence[Json]) -> Seen:
    """Take what kubectl printed."""
    by_owner: dict[str, list[Json]] = {}
    events: dict[str, list[Json]] = {}
    for thing in objects:
        if kind_of(thing) == "Event":
            events.setdefault((thing.get("involvedObject") or {}).get("uid", ""), []).append(thing)
        for owner in thing["metadata"].get("ownerReferences") or ():
            by_owner.setdefault(owner["uid"], []).append(thing)
    for about, found in events.items():
        warnings = [each for each in found if each.get("type") == "Warning"]
        events[about] = sorted(warnings, key=_when)
    return Seen([each for each in objects if kind_of(each) != "Event"], by_owner, events)


def _when(event: Json) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or ""
    )


def parts_of(found: Seen) -> list[Part]:
    """The parts of qd that are there, in the order of their names."""
    parts = [
        _part(thing, found)
        for thing in found.objects
        if kind_of(thing) in _READERS
        and labels_of(thing).get(NAME_LABEL) == NAME
        and component_of(thing) not in ON_DEMAND
    ]
    return sorted(parts, key=lambda part: (part.kind == "Job", part.name))


def part_of(found: Seen, kind: str, name: str) -> Part:
    """One part; `State.MISSING` where it is not there."""
    for thing in found.objects:
        if kind_of(thing) == kind and name_of(thing) == name:
            return _part(thing, found)
    return Part(name.removeprefix("qd-"), kind, name, State.MISSING)


def _part(thing: Json, found: Seen) -> Part:
    pods = pods_of(thing, found)
    state, ready, wanted = _READERS[kind_of(thing)](thing)
    problems = [] if state in SETTLED else _problems(thing, pods, wanted, found)
    spec = thing["spec"]["template"]["spec"]
    return Part(
        labels_of(thing).get(COMPONENT_LABEL, name_of(thing)),
        kind_of(thing),
        name_of(thing),
        state,
        ready,
        wanted,
        sum(status.get("restartCount", 0) for pod in pods for status in _statuses(pod)),
        "" if state in SETTLED else _detail(pods),
        spec["containers"][0]["image"],
        tuple(dict.fromkeys(problems)),
    )


def _problems(thing: Json, pods: Sequence[Json], wanted: int, found: Seen) -> list[Problem]:
    problems = explain_job(thing) if kind_of(thing) == "Job" else []
    if len(pods) < wanted:
        uid = thing["metadata"].get("uid", "")
        owners = [uid, *(each["metadata"]["uid"] for each in found.by_owner.get(uid, ()))]
        for owner in owners:
            problems += explain_events(found.events.get(owner, ()))
    for pod in pods:
        problems += explain_pod(pod, found.events.get(pod["metadata"]["uid"], ()))
    return [*problems, *_of_claims(pods, found)]


def _of_claims(pods: Sequence[Json], found: Seen) -> Iterator[Problem]:
    """What keeps the volumes of pods that wait from being there."""
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }
    for thing in found.objects:
        if kind_of(thing) == "PersistentVolumeClaim" and name_of(thing) in claims:
            yield from explain_claim(thing, found.events.get(thing["metadata"]["uid"], ()))


def pods_of(thing: Json, found: Seen) -> list[Json]:
    """The pods of a workload's present revision."""
    owned = found.by_owner.get(thing["metadata"].get("uid", ""), [])
    if kind_of(thing) == "Deployment":
        current = str((thing["metadata"].get("annotations") or {}).get(_REVISION, ""))
        sets = [each for each in owned if kind_of(each) == "ReplicaSet"]
        newest = [
            each
            for each in sets
            if (each["metadata"].get("annotations") or {}).get(_REVISION) == current
        ]
        owned = [pod for each in newest for pod in found.by_owner.get(each["metadata"]["uid"], [])]
    pods = [pod for pod in owned if kind_of(pod) == "Pod"]
    if kind_of(thing) == "Job":  # of those that failed one after the other, the last one tells
        return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))[-1:]
    return pods


def problems_of_pod(found: Seen, name: str) -> list[Problem]:
    """What is wrong with one pod."""
    for thing in found.objects:
        if kind_of(thing) == "Pod" and name_of(thing) == name:
            return explain_pod(thing, found.events.get(thing["metadata"]["uid"], ()))
    return []


def stuck_pods(found: Seen) -> list[str]:
    """Pods of an old revision that are not ready, and for which a StatefulSet waits in vain.

    It replaces a pod only once that is ready, so one that never becomes so has to be deleted.
    """
    stuck = []
    for thing in found.objects:
        status = thing.get("status") or {}
        newest = status.get("updateRevision")
        is_told = status.get("observedGeneration", 0) >= thing["metadata"].get("generation", 0)
        if kind_of(thing) != "StatefulSet" or not newest or not is_told:
            continue
        for pod in pods_of(thing, found):
            if labels_of(pod).get(_POD_REVISION) != newest and not is_ready(pod):
                stuck.append(name_of(pod))
    return stuck


def is_ready(pod: Json) -> bool:
    """Whether a pod is ready, or about to go."""
    return bool(pod["metadata"].get("deletionTimestamp")) or any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in (pod.get("status") or {}).get("conditions") or ()
    )


def _deployment(thing: Json) -> tuple[State, int, int]:
    spec, status = thing["spec"], thing.get("status") or {}
    wanted = spec.get("replicas", 1)
    ready = status.get("availableReplicas", 0)
    is_done = (
        status.get("observedGeneration", 0) >= thing["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("replicas", 0) <= status.get("updatedReplicas", 0)
        and ready >= wanted
    )
    return State.READY if is_done else State.STARTING, ready, wanted


def _stateful_set(thing: Json) -> tuple[State, int, int]:
    spec, status = thing["spec"], thing.get("status") or {}
    wanted = spec.get("replicas", 1)
    ready = status.get("readyReplicas", 0)
    is_done = (
        status.get("observedGeneration", 0) >= thing["metadata"].get("generation", 0)
        and status.get("updateRevision") == status.get("currentRevision")
        and status.get("updatedReplicas", 0) >= wanted
        and ready >= wanted
    )
    return State.READY if is_done else State.STARTING, ready, wanted


def _job(thing: Json) -> tuple[State, int, int]:
    status = thing.get("status") or {}
    wanted, done = thing["spec"].get("completions", 1), status.get("succeeded", 0)
    for condition in status.get("conditions") or ():
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
            state = State.DONE if condition["type"] == "Complete" else State.FAILED
            return state, done, wanted
    return State.STARTING, done, wanted


_READERS: Final = {"Deployment": _deployment, "StatefulSet": _stateful_set, "Job": _job}


def _statuses(pod: Json) -> list[Json]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _detail(pods: Sequence[Json]) -> str:
    """What a part that starts is waiting for, in a few words."""
    for pod in pods:
        status = pod.get("status") or {}
        if pod["metadata"].get("deletionTimestamp"):
            continue
        if not any(
            condition["type"] == "PodScheduled" and condition["status"] == "True"
            for condition in status.get("conditions") or ()
        ):
            return "waits for a node"
        for container in _statuses(pod):
            if waiting := (container.get("state") or {}).get("waiting"):
                return _WAITS.get(waiting.get("reason", ""), str(waiting.get("reason", "")))
        if any(not container.get("ready") for container in status.get("containerStatuses") or ()):
            return "runs, not ready yet"
    return "" if pods else "no pod yet"


_WAITS: Final = {
    "ContainerCreating": "gets its image and volumes",
    "PodInitializing": "prepares",
    "": "waits",
}
