"""How a deployment is reached from this machine, read off the deployment itself. Pure.

What its own pods are set to says where the brokers, the symbol master and the database are, and
how to speak to them; a path of a file in a pod says which Secret holds it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from qd_cli.deploy.kubectl import Json
from qd_cli.deploy.names import ANALYTICS, GATEWAY, SECRETS_FOLDER
from qd_cli.deploy.plan import kind_of, name_of
from qd_cli.errors import KubernetesFailed

_CLUSTER_DOMAIN: Final = ("svc", "cluster", "local")
_NAME_AND_NAMESPACE: Final = 2


@dataclass(frozen=True, slots=True)
class Service:
    """A Service of the cluster."""

    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A Secret, and its key that a pod has as a file."""

    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class Workload:
    """What the pods of a Deployment are set to.

    Attributes
    ----------
    settings : mapping of str to str
        Their environment, but for secrets.
    files : mapping of str to SecretFile
        Paths of files that come from Secrets.
    """

    settings: Mapping[str, str]
    files: Mapping[str, SecretFile] = field(default_factory=dict)


def workloads(objects: Sequence[Json]) -> dict[str, Workload]:
    """The Deployments among objects, by name; ConfigMaps among them are looked up."""
    data = {
        name_of(each): each.get("data") or {} for each in objects if kind_of(each) == "ConfigMap"
    }
    return {
        name_of(each): Workload(_environment(each, data), _files(each))
        for each in objects
        if kind_of(each) == "Deployment"
    }


def _environment(deployment: Json, data: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        name = (source.get("configMapRef") or {}).get("name", "")
        found.update(data.get(name, {}))
    for entry in container.get("env") or ():
        if "value" in entry:
            found[entry["name"]] = entry["value"]
        elif reference := (entry.get("valueFrom") or {}).get("configMapKeyRef"):
            values = data.get(reference["name"], {})
            if reference["key"] in values:
                found[entry["name"]] = values[reference["key"]]
    return found


def _files(deployment: Json) -> dict[str, SecretFile]:
    spec = deployment["spec"]["template"]["spec"]
    volumes = {
        each["name"]: each["secret"] for each in spec.get("volumes") or () if "secret" in each
    }
    found: dict[str, SecretFile] = {}
    for mount in spec["containers"][0].get("volumeMounts") or ():
        if (source := volumes.get(mount["name"])) is None:
            continue
        for item in source.get("items") or ():
            path = f"{mount['mountPath'].rstrip('/')}/{item['path']}"
            found[path] = SecretFile(source["secretName"], item["key"])
    return found


def file_of(path: str, workload: Workload) -> SecretFile:
    """The Secret that a pod has a file from; by the manifests' layout where it is not told.

    Raises
    ------
    KubernetesFailed
        It is from none.
    """
    if path in workload.files:
        return workload.files[path]
    folder, _, key = path.removeprefix(f"{SECRETS_FOLDER}/").partition("/")
    if not path.startswith(f"{SECRETS_FOLDER}/") or not key:
        raise KubernetesFailed(
            f"the deployment's pods read {path}, which is of no Secret: only files in "
            f"{SECRETS_FOLDER}/SECRET/ can be used from this machine; use `qd shell`"
        )
    return SecretFile(folder, key)


def require(found: Mapping[str, Workload], where: object) -> tuple[Workload, Workload]:
    """The gateway and analytics.

    Raises
    ------
    KubernetesFailed
        They are not there.
    """
    try:
        return found[GATEWAY], found[ANALYTICS]
    except KeyError as missing:
        raise KubernetesFailed(
            f"there is no {missing.args[0]} at {where}: deploy with `qd deploy`, or choose another "
            "with QD_DEPLOYMENT=CONTEXT/NAMESPACE; QD_DEPLOYMENT=none uses none"
        ) from None


def service_of(host: str, namespace: str) -> Service | None:
    """The Service that a name inside the cluster means; None for other hosts.

    ``name``, ``name.namespace.svc`` and ``name.namespace.svc.cluster.local`` are names of Services.
    """
    labels = host.rstrip(".").split(".")
    if len(labels) == 1 and labels[0] != "localhost" and not host.isdigit() and ":" not in host:
        return Service(host, namespace)
    ends = [_CLUSTER_DOMAIN[:count] for count in range(1, len(_CLUSTER_DOMAIN) + 1)]
    if tuple(labels[_NAME_AND_NAMESPACE:]) in ends:
        return Service(labels[0], labels[1])
    return None


def perhaps_service(host: str) -> Service | None:
    """The Service that ``name.namespace`` would mean, if there is one."""
    labels = host.split(".")
    if len(labels) != _NAME_AND_NAMESPACE or not all(labels):
        return None
    return Service(*labels)


def split(address: str) -> tuple[str, int]:
    """Host and port of an address.

    Raises
    ------
    KubernetesFailed
        It is none.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise KubernetesFailed(f"the deployment says {address!r}; expected host:port")
    return host.strip("[]"), int(port)


def secret_text(secret: Json, key: str) -> str:
    """What a Secret holds under a key.

    Raises
    ------
    KubernetesFailed
        It has no such key, or no text.
    """
    try:
        return base64.b64decode((secret.get("data") or {})[key]).decode().strip()
    except (KeyError, binascii.Error, UnicodeDecodeError):
        raise KubernetesFailed(
            f"Secret {name_of(secret)} has no key {key} with text: see docs/deploy.md"
        ) from None
