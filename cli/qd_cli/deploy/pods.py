"""Objects that commands make for themselves: the pod of ``qd shell``, the Job of an import. Pure.

Both are made out of what is deployed, so that they have its image, its settings and its limits.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from qd_cli.deploy.kubectl import Json
from qd_cli.deploy.names import COMPONENT_LABEL, NAME, NAME_LABEL, SECRETS_FOLDER, SHELL
from qd_cli.deploy.plan import kind_of, name_of
from qd_cli.deploy.secrets import OWNER
from qd_cli.errors import KubernetesFailed, RequestRefused

SHELL_SECONDS_MAX: Final = 12 * 3600
"""A forgotten shell ends by itself."""
_CLIENT_LABELS: Final = tuple(
    f"qd.dev/{what}-client" for what in ("fluvio", "database", "symdb", "bucket")
)
_RESOURCES: Final = {
    "requests": {"cpu": "50m", "memory": "128Mi"},
    "limits": {"cpu": "1", "memory": "1Gi"},
}
_OWNER_FOLDER: Final = f"{SECRETS_FOLDER}/{OWNER}"
_DATA: Final = "data"
_DATA_FOLDER: Final = "/data"


def shell_pod(name: str, gateway: Json, analytics: Json) -> dict[str, Any]:
    """The pod of ``qd shell``.

    Parameters
    ----------
    name : str
        Its name.
    gateway, analytics : mapping
        The Deployments: between them they have the ways to the brokers, symdb and the database.
    """
    ours, other = (each["spec"]["template"]["spec"] for each in (analytics, gateway))
    spec = copy.deepcopy(dict(ours))
    container = spec["containers"][0]
    for key in ("args", "ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        container.pop(key, None)
    container |= {
        "name": SHELL,
        "command": ["sleep", str(SHELL_SECONDS_MAX)],
        "resources": _RESOURCES,
        "env": _environment(container, other["containers"][0]),
    }
    for mount, volume in _more_volumes(container, other):
        container.setdefault("volumeMounts", []).append(mount)
        spec.setdefault("volumes", []).append(volume)
    spec |= {
        "containers": [container],
        "restartPolicy": "Never",
        "activeDeadlineSeconds": SHELL_SECONDS_MAX,
        "terminationGracePeriodSeconds": 1,
    }
    labels = {
        **(analytics["metadata"].get("labels") or {}),
        NAME_LABEL: NAME,
        COMPONENT_LABEL: SHELL,
        **dict.fromkeys(_CLIENT_LABELS, "true"),
    }
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _environment(ours: Json, gateway: Json) -> list[Json]:
    """Analytics' settings, how the gateway speaks TLS to the database, and the database's owner."""
    own = [each for each in ours.get("env") or () if not each["name"].startswith("QD_ANALYTICS")]
    known = {each["name"] for each in own}
    libpq = [
        each
        for each in gateway.get("env") or ()
        if each["name"].startswith("PG") and each["name"] not in known
    ]
    return [*own, *libpq, {"name": "QD_DATABASE_FILE", "value": f"{_OWNER_FOLDER}/dsn"}]


def _more_volumes(container: Json, gateway: Json) -> list[tuple[Json, Json]]:
    """The gateway's Secrets that analytics lacks but for its password, and the owner's."""
    there = {mount["mountPath"] for mount in container.get("volumeMounts") or ()}
    volumes = {each["name"]: each for each in gateway.get("volumes") or ()}
    found: list[tuple[Json, Json]] = []
    for mount in gateway["containers"][0].get("volumeMounts") or ():
        path, volume = mount["mountPath"], volumes.get(mount["name"], {})
        is_tls = path.startswith(f"{SECRETS_FOLDER}/qd-tls")
        if is_tls and path not in there and "secret" in volume:
            name = f"gateway-{mount['name']}"
            found.append(({**mount, "name": name}, {**volume, "name": name}))
    secret = {"secretName": OWNER, "defaultMode": 0o440, "optional": True}
    mount = {"name": "owner", "mountPath": _OWNER_FOLDER, "readOnly": True}
    return [*found, (mount, {"name": "owner", "secret": secret})]


def suffix(now: datetime) -> str:
    """What tells one import's Job from another's."""
    return f"-{now:%Y%m%d-%H%M%S}"


def is_bucket(path: str) -> bool:
    """Whether a path is one of an object store."""
    return "://" in path


def volume_paths(paths: Sequence[str]) -> list[str]:
    """Paths in a volume, as the Job finds them.

    Raises
    ------
    RequestRefused
        One leads out of the volume.
    """
    for path in paths:
        if ".." in path.split("/"):
            raise RequestRefused(f"{path}: expected a path in the volume, without '..'")
    inside = [path.removeprefix(_DATA_FOLDER).strip("/") for path in paths]
    return [f"{_DATA_FOLDER}/{path}".rstrip("/") for path in inside]


def import_job(
    objects: Sequence[Json], paths: Sequence[str], options: Sequence[str], claim: str | None
) -> list[Json]:
    """Rendered objects of an import, for these paths.

    Parameters
    ----------
    options : sequence of str
        More arguments of ``qd import``.
    claim : str or None
        The volume's claim; None leaves the one that the manifests name.
    """
    return [_for_paths(each, paths, options, claim) for each in objects]


def _for_paths(
    thing: Json, paths: Sequence[str], options: Sequence[str], claim: str | None
) -> Json:
    if kind_of(thing) != "Job":
        return thing
    job = copy.deepcopy(dict(thing))
    spec = job["spec"]["template"]["spec"]
    container = spec["containers"][0]
    fixed = [word for word in container.get("args") or () if word.startswith("--")]
    given = {word.partition("=")[0] for word in options}
    kept = [word for word in fixed if word.partition("=")[0] not in given]
    container["args"] = ["import", *kept, *options, *paths]
    for volume in spec.get("volumes") or ():
        if claim and volume["name"] == _DATA:
            volume["persistentVolumeClaim"]["claimName"] = claim
    return job


def claims_of(objects: Sequence[Json]) -> list[str]:
    """The volume claims that Jobs among objects need."""
    jobs = [each for each in objects if kind_of(each) == "Job"]
    volumes = [each for job in jobs for each in job["spec"]["template"]["spec"]["volumes"]]
    found = [each["persistentVolumeClaim"] for each in volumes if "persistentVolumeClaim" in each]
    return [each["claimName"] for each in found]


def job_name(objects: Sequence[Json]) -> str:
    """The name of the one Job among objects."""
    for thing in objects:
        if kind_of(thing) == "Job":
            return name_of(thing)
    raise KubernetesFailed("the manifests of the import have no Job: see k8s/jobs")


def deployments(objects: Sequence[Json]) -> Mapping[str, Json]:
    """The Deployments among objects, by name."""
    return {name_of(each): each for each in objects if kind_of(each) == "Deployment"}
