"""What every pod keeps to: no rights, bounds on all it takes, probes that mean something."""

from __future__ import annotations

import re
from typing import Final

import pytest

from qd_analytics.service import SAVE_SECONDS_MAX
from qd_client.limits import TIDY_SECONDS_MAX
from qd_fluvio.broker.settings import TLS_GOODBYE_S_MAX
from qd_fluvio.limits import DEFAULT_LIMITS
from qd_fluvio.service import CANCEL_AGAIN_SECONDS
from qd_fluvio.telemetry import LOOP_SECONDS_MAX
from qd_gateway.core.limits import STOP_SECONDS_MAX
from qd_symdb.limits import CLOSE_SECONDS_MAX, DRAIN_SECONDS_MAX
from support.manifests import K8S, OVERLAYS, VARIANTS, Container, Pod, quantity, rendered

UID: Final = {"database": 70}
"""Users of images that are not ours."""
UID_OURS: Final = 10_001
HELPERS: Final = {"certificates"}
"""Containers that serve nobody: without one, its pod goes on."""
RESTRICTED_VOLUMES: Final = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
IMPORT_SECONDS: Final = 10.0  # a bucket that does not answer
CHECKPOINT_SECONDS: Final = 60.0  # of a database, on a slow disk
DEADLINES: Final = {
    "gateway": STOP_SECONDS_MAX + DEFAULT_LIMITS.close_seconds,
    "symdb": DRAIN_SECONDS_MAX + CLOSE_SECONDS_MAX,
    "analytics": SAVE_SECONDS_MAX + 2 * TIDY_SECONDS_MAX + DEFAULT_LIMITS.close_seconds,
    "broker": TLS_GOODBYE_S_MAX,
    "database": CHECKPOINT_SECONDS,
    "migrate": DEFAULT_LIMITS.close_seconds,
    "topics": DEFAULT_LIMITS.close_seconds,
    "import": IMPORT_SECONDS,
}
"""How long each part takes at most to end, by its own limits."""


def pods(variant: str) -> list[Pod]:
    return rendered(variant).pods()


def containers(variant: str) -> list[tuple[Pod, Container]]:
    return [(pod, each) for pod in pods(variant) for each in pod.containers]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_pod_has_no_rights(variant: str) -> None:
    for pod in pods(variant):
        uid = UID.get(pod.component, UID_OURS)
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == uid
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False, "QD_SYMDB_PORT and such are no settings"
        account = "qd-import" if pod.component == "import" else "qd"
        assert pod.spec["serviceAccountName"] == account
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod.spec)
        for volume in pod.volumes.values():
            assert (set(volume) - {"name"}) <= RESTRICTED_VOLUMES
    for _, container in containers(variant):
        assert container.spec["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all("hostPort" not in port for port in container.spec.get("ports", ()))


@pytest.mark.parametrize("variant", OVERLAYS)
def test_accounts_have_no_rights(variant: str) -> None:
    found = rendered(variant)
    accounts = {each["metadata"]["name"]: each for each in found.of("ServiceAccount")}
    assert set(accounts) == {"qd", "qd-import"}
    assert all(each["automountServiceAccountToken"] is False for each in accounts.values())
    assert not found.of("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_container_is_bounded(variant: str) -> None:
    for pod, container in containers(variant):
        resources = container.spec["resources"]
        for what in ("cpu", "memory"):
            asked, most = (quantity(resources[kind][what]) for kind in ("requests", "limits"))
            assert 0 < asked <= most, f"{pod.name} {container.name} {what}"
        memory = quantity(resources["limits"]["memory"])
        disks = [volume["emptyDir"] for volume in pod.volumes.values() if "emptyDir" in volume]
        assert all("sizeLimit" in disk for disk in disks), pod.name
        in_memory = sum(quantity(d["sizeLimit"]) for d in disks if d.get("medium") == "Memory")
        if container.name in HELPERS:
            continue
        assert in_memory <= memory / 4, f"{pod.name}: files in memory count as the container's"
        on_disk = sum(quantity(d["sizeLimit"]) for d in disks if d.get("medium") != "Memory")
        allowed = resources["limits"].get("ephemeral-storage", 0)
        assert on_disk <= quantity(allowed), f"{pod.name}: its files are more than it may have"


def test_the_guide_tells_the_same_bounds() -> None:
    guide = (K8S.parent / "docs" / "deploy.md").read_text()
    for pod in pods("embedded"):
        if pod.kind == "Job":
            continue
        row = re.search(rf"^\| {pod.component}\b.* \| (\d+ \wiB) \| (\d+ \wiB) \|$", guide, re.M)
        assert row, pod.component
        resources = pod.main.spec["resources"]
        for text, kind in zip(row.groups(), ("requests", "limits"), strict=True):
            told = quantity(text.replace(" ", "").removesuffix("B"))
            assert told == quantity(resources[kind]["memory"]), pod.component


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_container_can_write_to_tmp(variant: str) -> None:
    for pod, container in containers(variant):
        if container.name not in HELPERS:
            mount = container.mounts["/tmp"]
            assert "emptyDir" in pod.volumes[mount["name"]]
        for path, each in container.mounts.items():
            if path.startswith(("/run/qd", "/etc", "/data")):
                assert each["readOnly"] is True, f"{pod.name} {path}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_who_runs_on_is_probed(variant: str) -> None:
    for pod, container in containers(variant):
        probes = {"startupProbe", "readinessProbe", "livenessProbe"}
        if container.runs_once or container.name in HELPERS:
            assert not probes & set(container.spec), "a Job's end says how it went"
            assert not container.ports
            continue
        assert probes <= set(container.spec), pod.name
        for probe in probes:
            assert container.spec[probe]["timeoutSeconds"] >= 3, "a busy node is no dead service"


@pytest.mark.parametrize("variant", VARIANTS)
def test_probes_of_services_mean_something(variant: str) -> None:
    for pod in rendered(variant).services():
        (container,) = pod.containers
        paths = {
            "startupProbe": "/livez",
            "readinessProbe": "/readyz",
            # Not /readyz: without a database no restart of a gateway helps.
            "livenessProbe": "/livez",
        }
        for probe, path in paths.items():
            assert container.spec[probe]["httpGet"] == {"path": path, "port": "metrics"}, pod.name
        start, live = container.spec["startupProbe"], container.spec["livenessProbe"]
        assert start["periodSeconds"] * start["failureThreshold"] >= 60, "a slow node starts slowly"
        # /livez says no after so long without a turn; a restart comes only some time after.
        patience = live["periodSeconds"] * (live["failureThreshold"] - 1)
        assert patience >= 2 * LOOP_SECONDS_MAX


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_database_is_probed_where_clients_connect(variant: str) -> None:
    for pod in pods(variant):
        if pod.component != "database":
            continue
        container = pod.main
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            command = " ".join(container.spec[probe]["exec"]["command"])
            # While the image makes a new database, that answers on its socket already.
            assert "pg_isready -q -h 127.0.0.1 -U postgres" in command


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_pod_has_time_to_end(variant: str) -> None:
    for pod in pods(variant):
        waits = [
            each.spec["lifecycle"]["preStop"]["sleep"]["seconds"]
            for each in pod.containers
            if "lifecycle" in each.spec
        ]
        deadline = DEADLINES[pod.component] + CANCEL_AGAIN_SECONDS + max(waits, default=0)
        assert pod.spec["terminationGracePeriodSeconds"] > 1.5 * deadline, pod.name


@pytest.mark.parametrize("variant", VARIANTS)
def test_who_gets_new_connections_waits_before_it_ends(variant: str) -> None:
    for pod in rendered(variant).services():
        is_served = any(
            each["spec"]["selector"].items() <= pod.labels.items()
            for each in rendered(variant).of("Service")
        )
        # One alone ends at once: nobody would take its connections, and its disk is waited for.
        is_alone = pod.kind == "StatefulSet"
        has_wait = "lifecycle" in pod.containers[0].spec
        assert has_wait == (is_served and not is_alone), pod.name


@pytest.mark.parametrize("variant", VARIANTS)
def test_jobs_end(variant: str) -> None:
    for job in rendered(variant).of("Job"):
        spec = job["spec"]
        assert spec["template"]["spec"]["restartPolicy"] == "Never", "each try keeps its log"
        assert 0 < spec["backoffLimit"] <= 20
        ignored, failed = spec["podFailurePolicy"]["rules"]
        assert ignored["action"] == "Ignore"
        assert failed["action"] == "FailJob"
        assert {1, 2, 70} <= set(failed["onExitCodes"]["values"])
        assert 75 not in failed["onExitCodes"]["values"], "that one says: try again"
