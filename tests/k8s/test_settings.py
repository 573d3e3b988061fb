"""What pods are told agrees with what the services themselves know: settings, ports, commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pytest
from typer.testing import CliRunner

from qd_cli.app import make_app
from qd_cli.stack import qd_parts
from qd_gateway.streams.sizes import PIECES_AT_ONCE
from qd_schemas.enums import ServiceId
from qd_schemas.settings import table
from qd_schemas.settings.parts import Readable
from qd_schemas.specs import AnalyticsSettings, GatewaySettings, SymdbServiceSettings
from support.manifests import K8S, OVERLAYS, VARIANTS, Container, Pod, Rendered, quantity, rendered

SERVICES: Final[Mapping[str, tuple[ServiceId, type[Readable]]]] = {
    "gateway": (ServiceId.QDGW, GatewaySettings),
    "symdb": (ServiceId.SYMDB, SymdbServiceSettings),
    "analytics": (ServiceId.ANALYTICS, AnalyticsSettings),
}
METRICS: Final = {
    "gateway": "QD_GATEWAY_METRICS",
    "symdb": "QD_SYMDB_METRICS",
    "analytics": "QD_ANALYTICS_METRICS",
    "broker": "QD_BROKER_METRICS",
}
METRICS_PORT: Final = 9100
HELPERS: Final = {"certificates"}
OTHERS: Final = re.compile(
    r"PGSSL(MODE|ROOTCERT)|TMPDIR|AWS_(SHARED_CREDENTIALS_FILE|EC2_METADATA_DISABLED)"
)
"""Variables of libpq, Python and the AWS client, for this project's image."""
OF_DATABASE: Final = {
    *("POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD_FILE", "POSTGRES_INITDB_ARGS"),
    *("PGDATA", "NO_TS_TUNE", "TIMESCALEDB_TELEMETRY"),
}
"""Those of TimescaleDB's image."""


def containers(variant: str) -> list[tuple[Pod, Container]]:
    return [(pod, each) for pod in rendered(variant).pods() for each in pod.containers]


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variable_is_a_setting_that_is_right(variant: str) -> None:
    for pod, container in containers(variant):
        for name, value in container.env.items():
            if not pod.is_ours:
                assert name in OF_DATABASE
            elif not OTHERS.fullmatch(name):
                _check(pod, name, value)


def _check(pod: Pod, name: str, value: str) -> None:
    if name.removesuffix("_FILE") in table.OTHER_NAMES:
        return
    setting = table.BY_NAME[name]
    setting.kind.parse(value)
    if pod.component in SERVICES:
        service, _ = SERVICES[pod.component]
        assert service in setting.services, f"{name} is none of {pod.component}'s"


@pytest.mark.parametrize("variant", OVERLAYS)
@pytest.mark.parametrize("component", SERVICES)
def test_a_service_can_start_with_what_it_is_told(variant: str, component: str) -> None:
    pod = rendered(variant).pod(component)
    (container,) = pod.containers
    SERVICES[component][1].from_env(container.env)


@pytest.mark.parametrize("variant", OVERLAYS)
def test_metrics_are_served_at_the_named_port(variant: str) -> None:
    for pod in rendered(variant).services():
        (container,) = pod.containers
        address = table.BY_NAME[METRICS[pod.component]].kind.parse(
            container.env[METRICS[pod.component]]
        )
        assert address.host == "0.0.0.0", "probes come from the node"
        assert address.port == container.ports["metrics"] == METRICS_PORT


@pytest.mark.parametrize("variant", OVERLAYS)
def test_services_lead_to_ports_of_their_names(variant: str) -> None:
    found = rendered(variant)
    for service in found.of("Service"):
        selector = service["spec"]["selector"]
        (pod,) = (each for each in found.pods() if selector.items() <= each.labels.items())
        for port in service["spec"]["ports"]:
            assert port["name"] == port["targetPort"]
            assert port["port"] == pod.ports[port["name"]]
        assert {port["name"] for port in service["spec"]["ports"]} == set(pod.ports) - {"metrics"}


@pytest.mark.parametrize("variant", OVERLAYS)
def test_services_listen_where_others_look_for_them(variant: str) -> None:
    found = rendered(variant)
    listening = table.SYMDB.kind.parse(found.pod("symdb").containers[0].env["QD_SYMDB"])
    assert listening.port == found.pod("symdb").ports["grpc"]
    asked = table.SYMDB.kind.parse(found.pod("analytics").containers[0].env["QD_SYMDB"])
    assert (asked.host, asked.port) == _service(found, "qd-symdb", "grpc")
    clusters = {
        each.env["QD_FLUVIO"]
        for pod in found.pods()
        for each in pod.containers
        if "QD_FLUVIO" in each.env
    }
    assert len(clusters) == 1, "all clients speak to one cluster"
    if variant.startswith("embedded"):
        host, port = _service(found, "qd-broker", "sc")
        assert clusters == {f"{host}:{port}"}


def _service(found: Rendered, name: str, port: str) -> tuple[str, int]:
    ports = found.get("Service", name)["spec"]["ports"]
    return name, next(each["port"] for each in ports if each["name"] == port)


def test_the_broker_listens_and_is_told_of_where_its_service_is() -> None:
    for variant in ("embedded", "embedded with all"):
        found = rendered(variant)
        (container,) = found.pod("broker").containers
        words = dict(word[2:].split("=") for word in container.spec["args"][1:])
        assert int(words["port"]) == container.ports["sc"]
        assert int(words["spu-port"]) == container.ports["spu"]
        assert words["host"] == "0.0.0.0"
        assert words["advertise"] == found.get("Service", "qd-broker")["metadata"]["name"]
        assert words["data"] in container.mounts


def test_each_command_is_one_of_qd() -> None:
    app = make_app()
    parts = {part.name for part in qd_parts()}
    found = [(pod, each) for variant in VARIANTS for pod, each in containers(variant)]
    for words in {tuple(each.spec["args"]) for pod, each in found if pod.is_ours}:
        # Help is given once all words before it have been understood.
        said = CliRunner().invoke(app, [*words, "--help"])
        assert said.exit_code == 0, f"qd {' '.join(words)}: {said.output}"
    for pod, container in found:
        if pod.is_ours and container.spec["args"][0] == "run":
            assert container.spec["args"][1] in parts
            assert container.spec["args"][1] == pod.component == container.name
        if container.name not in HELPERS:
            assert "command" not in container.spec, "the image's entrypoint is qd, or a database"


@pytest.mark.parametrize("variant", ["embedded", "local"])
def test_the_database_fits_its_limits(variant: str) -> None:
    found = rendered(variant)
    pod = found.pod("database")
    container = pod.main
    limit = quantity(container.spec["resources"]["limits"]["memory"])
    settings = _of_database(found, pod)
    shared, each = (_bytes(settings[name]) for name in ("shared_buffers", "work_mem"))
    connections = int(settings["max_connections"])
    # Each connection is a process of some 4 MB; few sort at the same time.
    most = (
        shared + 4 * 2**20 * connections / 2 + each * 8 + _bytes(settings["maintenance_work_mem"])
    )
    assert most < limit
    assert _bytes(settings["effective_cache_size"]) < limit
    # Two gateways while one takes over, each with its state; symdb, an import, people.
    assert connections > 2 * (PIECES_AT_ONCE + 1) + 20
    claim = found.get("StatefulSet", "qd-database")["spec"]["volumeClaimTemplates"][0]
    storage = quantity(claim["spec"]["resources"]["requests"]["storage"])
    assert _bytes(settings["max_wal_size"]) < storage / 10


def _of_database(found: Rendered, pod: Pod) -> dict[str, str]:
    name = pod.volumes["settings"]["configMap"]["name"]
    text: str = found.get("ConfigMap", name)["data"]["postgresql.conf"]
    lines = [line.split("=", 1) for line in text.splitlines() if "=" in line.partition("#")[0]]
    return {key.strip(): value.strip().strip("'") for key, value in lines}


def _bytes(text: str) -> float:
    return quantity(text.replace("MB", "Mi").replace("GB", "Gi"))


@pytest.mark.parametrize("variant", ["embedded", "embedded with all", "local with all"])
def test_the_files_that_the_database_is_given_are_there(variant: str) -> None:
    found = rendered(variant)
    pod = found.pod("database")
    container = pod.main
    files = set(found.get("ConfigMap", pod.volumes["settings"]["configMap"]["name"])["data"])
    named = re.findall(r"/etc/qd/([\w.]+)", " ".join(container.spec["args"]))
    named += [_of_database(found, pod)["hba_file"].removeprefix("/etc/qd/")]
    assert set(named) <= files
    assert "/etc/qd" in container.mounts
    assert container.env["PGDATA"].startswith("/var/lib/postgresql/")


def test_what_an_overlay_says_of_its_brokers_goes_before_its_components() -> None:
    overlay = (K8S / "overlays" / "production" / "cluster.env").read_text()
    said = dict(line.split("=") for line in overlay.splitlines() if not line.startswith("#"))
    for variant in ("production", "production with all"):
        (container,) = rendered(variant).pod("gateway").containers
        assert said.items() <= dict(container.env).items()
