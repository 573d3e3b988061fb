"""What goes on while pods come and go: replicas, budgets, spreading, scaling, rollouts."""

from __future__ import annotations

from typing import Final

import pytest
import yaml

from qd_gateway.core.slots import SLOTS
from qd_gateway.streams.sizes import PIECES_AT_ONCE
from qd_schemas.settings import table
from support.manifests import K8S, OVERLAYS, Json, Rendered, is_selected, rendered

PRODUCTION: Final = [name for name in OVERLAYS if name.startswith("production")]
AUTOSCALED: Final = [*PRODUCTION, "embedded with all"]
ALONE: Final = {"analytics"}
"""Deployments of which one pod at most may run."""


def least(found: Rendered, name: str) -> int:
    """How many pods of a Deployment there are at least."""
    spec: Json = found.get("Deployment", name)["spec"]
    for each in found.of("HorizontalPodAutoscaler"):
        if each["spec"]["scaleTargetRef"]["name"] == name:
            return int(each["spec"]["minReplicas"])
    return int(spec["replicas"])


@pytest.mark.parametrize("variant", PRODUCTION)
def test_a_budget_leaves_at_least_one(variant: str) -> None:
    found = rendered(variant)
    budgets = {each["metadata"]["name"]: each["spec"] for each in found.of("PodDisruptionBudget")}
    several = {each["metadata"]["name"] for each in found.of("Deployment")} - {"qd-analytics"}
    assert set(budgets) == several
    for name, spec in budgets.items():
        assert least(found, name) - spec["maxUnavailable"] >= 1
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow", "else no node could be drained"
        chosen = [pod.name for pod in found.pods() if is_selected(spec["selector"], pod.labels)]
        assert chosen == [name]


@pytest.mark.parametrize("variant", PRODUCTION)
def test_pods_of_one_part_are_spread(variant: str) -> None:
    found = rendered(variant)
    for pod in found.services():
        if pod.component in ALONE:
            continue
        spread = {each["topologyKey"]: each for each in pod.spec["topologySpreadConstraints"]}
        assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        assert all(each["nodeTaintsPolicy"] == "Honor" for each in spread.values())
        (apart,) = pod.spec["affinity"]["podAntiAffinity"][
            "preferredDuringSchedulingIgnoredDuringExecution"
        ]
        for each in (*spread.values(), apart["podAffinityTerm"]):
            chosen = [one for one in found.pods() if is_selected(each["labelSelector"], one.labels)]
            assert chosen == [pod]


@pytest.mark.parametrize("variant", PRODUCTION)
def test_the_database_and_the_brokers_are_elsewhere(variant: str) -> None:
    found = rendered(variant)
    assert not found.of("StatefulSet", "PersistentVolumeClaim")
    (gateway,) = found.pod("gateway").containers
    assert gateway.env["QD_FLUVIO"].partition(":")[0] not in ("qd-broker", "localhost")


@pytest.mark.parametrize("variant", OVERLAYS)
def test_a_rollout_leaves_no_moment_without_a_pod(variant: str) -> None:
    for each in rendered(variant).of("Deployment"):
        strategy = each["spec"]["strategy"]
        component = each["metadata"]["name"].removeprefix("qd-")
        if component in ALONE:
            assert each["spec"]["replicas"] == 1
            assert strategy == {"type": "Recreate"}, "two would wait for each other's id"
        else:
            assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("variant", OVERLAYS)
def test_what_is_stored_outlasts_its_pods(variant: str) -> None:
    for each in rendered(variant).of("StatefulSet"):
        kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
        assert each["spec"]["persistentVolumeClaimRetentionPolicy"] == kept
        assert each["spec"]["replicas"] == 1


@pytest.mark.parametrize("variant", AUTOSCALED)
def test_gateways_are_scaled_by_their_streams(variant: str) -> None:
    found = rendered(variant)
    (scaler,) = found.of("HorizontalPodAutoscaler")
    spec = scaler["spec"]
    target = found.get("Deployment", spec["scaleTargetRef"]["name"])
    assert target["metadata"]["name"] == "qd-gateway"
    assert "replicas" not in target["spec"], "each apply would set it back"
    (metric,) = spec["metrics"]
    assert metric["pods"]["metric"]["name"] == "qd_gateway_streams_running"
    aim = int(metric["pods"]["target"]["averageValue"])
    assert aim < table.GATEWAY_STREAMS_MAX.usual, "before any is refused"
    assert 2 <= spec["minReplicas"] < spec["maxReplicas"] <= SLOTS
    connections = spec["maxReplicas"] * (PIECES_AT_ONCE + 1)
    assert connections <= 80, "of the 100 that a database of PostgreSQL's defaults has"


@pytest.mark.parametrize("variant", AUTOSCALED)
def test_gateways_become_fewer_slowly(variant: str) -> None:
    (scaler,) = rendered(variant).of("HorizontalPodAutoscaler")
    behaviour = scaler["spec"]["behavior"]
    (down,), (up,) = (behaviour[way]["policies"] for way in ("scaleDown", "scaleUp"))
    assert down["value"] == 1
    # The clients of the one before have found their next gateway long before.
    assert down["periodSeconds"] >= 10 * table.LEASE_MS.usual / 1_000
    windows = [behaviour[way]["stabilizationWindowSeconds"] for way in ("scaleDown", "scaleUp")]
    assert windows[0] > windows[1]
    assert up["value"] > down["value"]


def test_the_adapters_rule_gives_the_autoscaler_its_metric() -> None:
    text = (K8S / "components" / "autoscaling" / "prometheus-adapter.yaml").read_text()
    (rule,) = yaml.safe_load(text)["rules"]["custom"]
    (scaler,) = rendered("production").of("HorizontalPodAutoscaler")
    name = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert rule["name"]["matches"] == name
    assert rule["seriesQuery"].startswith(name + "{")
