"""What is wrong with a pod, a Job or a volume, why, and what to do. Pure.

Each rule reads what Kubernetes says in conditions, container states and events; its own words are
kept as the reason, the rest is ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from qd_cli.deploy.kubectl import Json
from qd_cli.deploy.names import BUILT_IMAGE

SOON: Final = 0.0
"""Waiting does not mend it."""
IMAGE_PATIENCE: Final = 60.0
"""A registry may be busy."""
CRASH_PATIENCE: Final = 120.0
"""What it needs may come up meanwhile."""
START_SECONDS: Final = 30.0
"""Before that, a pod that does not answer its probes is only starting."""
_OOM_CODE: Final = 137
_REASON_CHARACTERS_MAX: Final = 600


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong.

    Attributes
    ----------
    what : str
        Such as ``pod qd-gateway-0 cannot get its image``.
    why : str
        In Kubernetes' own words.
    todo : str
        What to do.
    pod, container : str
        Whose last log lines tell more; empty where there are none.
    patience_seconds : float or None
        How long it may mend itself; None as long as is waited at all.
    is_symptom : bool
        Whether it is likely to follow from what is wrong with others.
    """

    what: str
    why: str
    todo: str
    pod: str = ""
    container: str = ""
    patience_seconds: float | None = None
    is_symptom: bool = False


def explain_pod(pod: Json, warnings: Sequence[Json]) -> list[Problem]:
    """What is wrong with a pod.

    Parameters
    ----------
    pod : mapping
        The object.
    warnings : sequence of mapping
        The events about it, the newest last.
    """
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return []
    if status.get("reason") == "Evicted":
        return [
            Problem(
                f"pod {name} was evicted",
                _short(status.get("message", "")),
                "the node has too little memory or disk: free some, or give the cluster more",
            )
        ]
    found = [each for each in (_unscheduled(name, status, pod),) if each]
    statuses = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    for container in statuses:
        if problem := _of_container(name, container, pod):
            found.append(problem)
    return found or _of_warnings(name, status, warnings)


def _unscheduled(name: str, status: Json, pod: Json) -> Problem | None:
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            why = _short(condition.get("message", ""))
            return Problem(f"pod {name} finds no node", why, _node_advice(why, pod))
    return None


def _node_advice(why: str, pod: Json) -> str:
    for mark, advice in _NODE_ADVICE:
        if re.search(mark, why):
            return advice.format(asks=_requests(pod))
    return "look at the nodes with `kubectl describe nodes`"


_NODE_ADVICE: Final = (
    (
        r"PersistentVolumeClaim|volume node affinity",
        "its volume is not there yet: look at it with `kubectl get pvc`",
    ),
    (
        r"Insufficient|Too many pods",
        "no node has room for it (it asks for {asks}): give the cluster more, stop something else, "
        "or lower requests in an overlay of your own",
    ),
    (
        r"anti-affinity|topology spread",
        "its copies must be on different nodes: add nodes, or ask for fewer replicas",
    ),
    (
        r"untolerated taint",
        "the nodes are not ready, or kept for others: look with `kubectl get nodes`",
    ),
    (r"affinity|selector", "no node has the labels that it asks for: see your overlay"),
    (r"no nodes available", "the cluster has no node: look with `kubectl get nodes`"),
)


def _requests(pod: Json) -> str:
    wanted = [(c.get("resources") or {}).get("requests") or {} for c in pod["spec"]["containers"]]
    texts = [f"{value} of {key}" for each in wanted for key, value in sorted(each.items())]
    return ", ".join(texts) or "nothing"


def _of_container(pod: str, container: Json, spec: Json) -> Problem | None:
    state = container.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting:
        reason = waiting.get("reason", "")
        rule = _WAITING.get(reason)
        if rule:
            return rule(pod, container, waiting.get("message", ""))
    last = ended or (container.get("lastState") or {}).get("terminated")
    if last and last.get("reason") == "OOMKilled" and not container.get("ready"):
        return _out_of_memory(pod, container, spec)
    if last and last.get("reason") in ("StartError", "ContainerCannotRun"):
        return _runtime(pod, container, last.get("message", ""))
    is_over = ended and ended.get("exitCode")
    if is_over or (waiting and waiting.get("reason") == "CrashLoopBackOff"):
        return _crashed(pod, container, last or {})
    return None


def _image(pod: str, container: Json, message: str) -> Problem:
    image, why = container.get("image", ""), _short(message)
    if image.startswith(BUILT_IMAGE) or "/" not in image:
        todo = (
            f"the nodes do not have {image}, and no registry does: deploy without --image, so that "
            "it is built and handed to the cluster, or give --image REF of one that they can pull"
        )
    elif re.search(r"401|403|unauthorized|denied|authentication", message, re.IGNORECASE):
        todo = (
            "the registry asks who the cluster is: make a Secret with `kubectl create secret "
            "docker-registry`, and name it under imagePullSecrets in an overlay of your own"
        )
    elif re.search(r"not found|manifest unknown", message, re.IGNORECASE):
        todo = f"there is no {image}: check its name and tag, and that it was pushed"
    else:
        todo = f"make sure that the nodes reach the registry of {image}"
    return Problem(f"pod {pod} cannot get its image", why, todo, patience_seconds=IMAGE_PATIENCE)


def _bad_image_name(pod: str, container: Json, message: str) -> Problem:
    return Problem(
        f"pod {pod} has an image that is no image",
        _short(message),
        f"correct the name {container.get('image', '')!r}, which --image or your overlay gives",
        patience_seconds=SOON,
    )


def _configuration(pod: str, container: Json, message: str) -> Problem:
    if missing := re.search(r'(secret|configmap) "([^"]+)" not found', message):
        todo = f"make the {missing[1].capitalize()} {missing[2]}: `qd deploy` again makes its own"
    elif "runAsNonRoot" in message:
        todo = "the image runs as root, which the namespace forbids: take one that does not"
    else:
        todo = "correct it in the overlay"
    return Problem(
        f"pod {pod} cannot be started with its settings",
        _short(message),
        todo,
        patience_seconds=CRASH_PATIENCE,
    )


def _runtime(pod: str, container: Json, message: str) -> Problem:
    return Problem(
        f"container {container['name']} of pod {pod} cannot be started",
        _short(message),
        "see whether the image is the right one, and for this machine's architecture",
        patience_seconds=CRASH_PATIENCE,
    )


_WAITING: Final[dict[str, Callable[[str, Json, str], Problem]]] = {
    "ErrImagePull": _image,
    "ImagePullBackOff": _image,
    "ErrImageNeverPull": _image,
    "InvalidImageName": _bad_image_name,
    "CreateContainerConfigError": _configuration,
    "CreateContainerError": _runtime,
    "RunContainerError": _runtime,
}


def _out_of_memory(pod: str, container: Json, spec: Json) -> Problem:
    name = container["name"]
    limit = next(
        (
            ((each.get("resources") or {}).get("limits") or {}).get("memory", "")
            for each in (*(spec["spec"].get("initContainers") or ()), *spec["spec"]["containers"])
            if each["name"] == name
        ),
        "",
    )
    return Problem(
        f"container {name} of pod {pod} took more memory than it may"
        + (f" ({limit})" if limit else ""),
        "OOMKilled",
        "raise its memory limit in an overlay of your own, as docs/deploy.md says",
        pod,
        name,
        CRASH_PATIENCE,
    )


def _crashed(pod: str, container: Json, last: Json) -> Problem:
    code, name = last.get("exitCode"), container["name"]
    often = container.get("restartCount", 0)
    why = last.get("reason", "") or "it ended"
    if code is not None:
        why = f"{why}, exit code {code}"
    if code == _OOM_CODE:
        why += " (killed)"
    if not often:  # a Job's: whether there is another try is for the Job to say
        what = f"container {name} of pod {pod} failed"
        return Problem(what, why, "its last lines say why", pod, name)
    return Problem(
        f"container {name} of pod {pod} ends again and again",
        f"{why}, {often} restarts",
        "its last lines say why",
        pod,
        name,
        CRASH_PATIENCE,
    )


def _of_warnings(pod: str, status: Json, warnings: Sequence[Json]) -> list[Problem]:
    """What only events tell of a pod that is not ready."""
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions") or ()
    )
    if ready or not warnings or status.get("phase") == "Succeeded":
        return []
    last = warnings[-1]
    reason, message = last.get("reason", ""), _short(last.get("message", ""))
    if reason == "Unhealthy":
        if _seconds_since_start(status, last) < START_SECONDS:
            return []
        probe = message.partition(" ")[0].lower()
        return [
            Problem(
                f"pod {pod} runs, but its {probe} probe fails",
                message,
                "its last lines may say what it misses",
                pod,
                _container_of(last),
                is_symptom=True,
            )
        ]
    if reason in ("FailedMount", "FailedAttachVolume"):
        return [Problem(f"pod {pod} cannot get its volumes", message, _mount_advice(message))]
    if reason in ("FailedCreatePodSandBox", "NetworkNotReady"):
        todo = "the cluster's network is not well: look with `kubectl get pods -n kube-system`"
        return [Problem(f"pod {pod} gets no network", message, todo)]
    return []


def _seconds_since_start(status: Json, event: Json) -> float:
    """How old a pod was when something happened to it."""
    try:
        began = datetime.fromisoformat(status["startTime"])
        return (datetime.fromisoformat(event["lastTimestamp"]) - began).total_seconds()
    except (KeyError, TypeError, ValueError):
        return START_SECONDS


def _mount_advice(message: str) -> str:
    if missing := re.search(r'(secret|configmap) "([^"]+)" not found', message):
        return f"make the {missing[1].capitalize()} {missing[2]}, as docs/deploy.md says"
    if missing := re.search(r"references non-existent secret key: (\S+)", message):
        return f"its Secret has no key {missing[1]}: add it, as docs/deploy.md says"
    return "look at it with `kubectl get pvc`; a volume may still be with another node"


def _container_of(event: Json) -> str:
    found = re.search(r"\{(.+)\}", (event.get("involvedObject") or {}).get("fieldPath", ""))
    return found[1] if found else ""


def explain_events(warnings: Sequence[Json]) -> list[Problem]:
    """Why a workload's pods are not even made, from the events about it."""
    if not warnings or warnings[-1].get("reason") != "FailedCreate":
        return []
    last = warnings[-1]
    owner = (last.get("involvedObject") or {}).get("name", "")
    message = _short(last.get("message", ""))
    for mark, todo, patience in _REFUSALS:
        if re.search(mark, message):
            return [Problem(f"no pod of {owner} may be made", message, todo, "", "", patience)]
    return [Problem(f"no pod of {owner} can be made", message, "see the reason")]


_REFUSALS: Final = (
    (
        r"violates PodSecurity",
        "the namespace's Pod Security level refuses it: qd's own manifests keep to `restricted`, "
        "so see what your overlay changes",
        SOON,
    ),
    (
        r"exceeded quota|must specify",
        "the namespace's quota is used up: ask for more, or lower requests and replicas",
        SOON,
    ),
    (
        r"admission webhook",
        "a rule of the cluster refuses it: follow it in an overlay of your own, or ask the "
        "cluster's administrators",
        SOON,
    ),
    (r"serviceaccount|service account", "its service account is not there yet", None),
)


def explain_job(job: Json) -> list[Problem]:
    """Why a Job has given up."""
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Failed" and condition["status"] == "True":
            name = job["metadata"]["name"]
            why = _short(f"{condition.get('reason', '')}: {condition.get('message', '')}")
            todo = "mend what its last lines say, then run it again"
            return [Problem(f"job {name} failed", why, todo, patience_seconds=SOON)]
    return []


def explain_claim(claim: Json, warnings: Sequence[Json]) -> list[Problem]:
    """Why a volume is not there."""
    name = claim["metadata"]["name"]
    if (claim.get("status") or {}).get("phase") != "Pending" or not warnings:
        return []
    why = _short(warnings[-1].get("message", ""))
    wanted = (claim["spec"].get("resources") or {}).get("requests", {}).get("storage", "")
    if re.search(r"no storage class is set|no persistent volumes available", why):
        todo = (
            "the cluster has no default StorageClass: install one, or name one under "
            "storageClassName in an overlay of your own (`kubectl get storageclass`)"
        )
    elif re.search(r"storageclass\S* \"?[^ ]*\"? not found", why):
        todo = "there is no such StorageClass: `kubectl get storageclass` lists what there is"
    else:
        todo = "see whether the cluster's storage has room, and whether its driver runs"
    return [Problem(f"volume {name} ({wanted}) cannot be made", why, todo)]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _REASON_CHARACTERS_MAX else f"{line[:_REASON_CHARACTERS_MAX]}…"
