"""What is rendered: every file has its use, every object its labels, every image its version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from support.manifests import (
    COMPONENT,
    K8S,
    KUSTOMIZATION,
    NAME,
    OVERLAYS,
    VARIANTS,
    Json,
    is_selected,
    rendered,
)

PROJECT = tomllib.loads((K8S.parent / "pyproject.toml").read_text())["project"]
NOT_APPLIED = {"components/autoscaling/prometheus-adapter.yaml"}
"""Files that are for others to use."""
ON_DEMAND = [{NAME: "qd", COMPONENT: "shell"}, {NAME: "qd", COMPONENT: "import"}]
"""Labels of pods that a command makes."""
NAMESPACED = "fluvio-policy"
"""The variant that is for another namespace than qd's."""


def test_every_file_is_used() -> None:
    files = {
        path.relative_to(K8S).as_posix()
        for path in K8S.rglob("*")
        if path.is_file() and "image" not in path.relative_to(K8S).parts
    }
    roots = {Path(name).parent for name in files if name.endswith(KUSTOMIZATION)}
    used = {f"{root.as_posix()}/{KUSTOMIZATION}" for root in roots} | NOT_APPLIED
    for root in roots:
        text = (K8S / root / KUSTOMIZATION).read_text()
        used |= {f"{root.as_posix()}/{name}" for name in re.findall(r"[\w.]+\.(?!/)\w+", text)}
    assert not files - used


def test_every_overlay_component_and_job_is_tried() -> None:
    tried = {below for below, _ in VARIANTS.values()}
    tried |= {f"components/{each}" for _, added in VARIANTS.values() for each in added}
    for folder in ("overlays", "components", "jobs"):
        for root in (path.parent for path in (K8S / folder).rglob(KUSTOMIZATION)):
            name = root.relative_to(K8S).as_posix()
            uses = [f"../{name}" in path.read_text() for path in K8S.rglob(KUSTOMIZATION)]
            assert name in tried or any(uses), f"no test renders {name}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_object_says_what_it_is_part_of(variant: str) -> None:
    found = rendered(variant)
    for each in found.objects:
        name, labels = each["metadata"]["name"], each["metadata"]["labels"]
        assert name == "qd" or name.startswith("qd-"), name
        assert labels[NAME] == labels["app.kubernetes.io/part-of"] == "qd", name
        assert labels[COMPONENT], name
        if variant == NAMESPACED:
            assert "namespace" not in each["metadata"]
            continue
        assert labels["app.kubernetes.io/version"] == PROJECT["version"], name
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "qd", name
    for pod in found.pods():
        assert pod.labels[NAME] == pod.labels["app.kubernetes.io/part-of"] == "qd"
        if pod.component not in ("database", "broker"):
            assert pod.labels["app.kubernetes.io/version"] == PROJECT["version"]
        assert pod.name == f"qd-{pod.component}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_images_are_pinned(variant: str) -> None:
    for pod in rendered(variant).pods():
        for container in pod.containers:
            image = container.spec["image"]
            if pod.is_ours:
                assert image == f"qd:{PROJECT['version']}", pod.name
            else:
                assert re.fullmatch(r"timescale/timescaledb:\d+\.\d+\.\d+-pg\d+", image), pod.name
            assert container.spec["imagePullPolicy"] == "IfNotPresent", pod.name


@pytest.mark.parametrize("variant", OVERLAYS)
def test_the_namespace_takes_restricted_pods_only(variant: str) -> None:
    labels = rendered(variant).get("Namespace", "qd")["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


@pytest.mark.parametrize("variant", OVERLAYS)
def test_selectors_match(variant: str) -> None:
    found = rendered(variant)
    pods = found.pods()
    for each in found.of("Deployment", "StatefulSet"):
        (own,) = (pod for pod in pods if pod.name == each["metadata"]["name"])
        selector = each["spec"]["selector"]
        assert set(selector["matchLabels"]) == {NAME, COMPONENT}, "it can never be changed"
        assert [pod for pod in pods if is_selected(selector, pod.labels)] == [own]
    for each in found.of("Service"):
        labels = each["spec"]["selector"]
        assert len([pod for pod in pods if labels.items() <= pod.labels.items()]) == 1
    for each in found.of("PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        for selector in _selectors(each):
            labels = [pod.labels for pod in pods] + ON_DEMAND
            labels += [pod.labels for pod in rendered("import-bucket").pods()]
            assert any(is_selected(selector, own) for own in labels), each["metadata"]["name"]


def _selectors(found: Json) -> list[Json]:
    """The selectors of pods of this namespace, and of no other, in an object."""
    spec = found["spec"]
    own = [spec.get("selector") or spec.get("podSelector") or {}]
    peers = [
        peer["podSelector"]
        for rule in [*spec.get("ingress", ()), *spec.get("egress", ())]
        for peer in [*rule.get("from", ()), *rule.get("to", ())]
        if "podSelector" in peer and "namespaceSelector" not in peer
    ]
    return own + peers


@pytest.mark.parametrize("variant", OVERLAYS)
def test_references_lead_somewhere(variant: str) -> None:
    found = rendered(variant)
    services = {each["metadata"]["name"] for each in found.of("Service")}
    for each in found.of("StatefulSet"):
        assert each["spec"]["serviceName"] in services
    for pod in found.pods():
        mounted = {mount["name"] for each in pod.containers for mount in each.mounts.values()}
        claims = {
            claim["metadata"]["name"]
            for each in found.of("StatefulSet")
            for claim in each["spec"]["volumeClaimTemplates"]
            if each["metadata"]["name"] == pod.name
        }
        assert mounted == {*pod.volumes, *claims}, f"{pod.name}: what is mounted, is there and used"
        for volume in pod.volumes.values():
            if "configMap" in volume:
                found.get("ConfigMap", volume["configMap"]["name"])


@pytest.mark.parametrize("variant", OVERLAYS)
def test_a_release_changes_nothing_that_never_can(variant: str) -> None:
    """The volumes of a StatefulSet; nor does it restart the database, whose image it is not."""
    for each in rendered(variant).of("StatefulSet"):
        spec = each["spec"]
        for labelled in (spec["template"], *spec["volumeClaimTemplates"]):
            assert "app.kubernetes.io/version" not in labelled["metadata"]["labels"]
