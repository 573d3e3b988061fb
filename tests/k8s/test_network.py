"""Who may connect to whom: exactly what is written down here, for every port and every pod."""

from __future__ import annotations

from typing import Final

import pytest

from support.flows import Peer, may_connect, may_enter, may_leave
from support.manifests import COMPONENT, NAME, OVERLAYS, Json, Rendered, rendered

CLIENTS: Final = {
    "fluvio": {"qd.dev/fluvio-client": "true"},
    "database": {"qd.dev/database-client": "true"},
    "symdb": {"qd.dev/symdb-client": "true"},
}
SHELL: Final = Peer(
    "shell",
    {
        NAME: "qd",
        COMPONENT: "shell",
        **CLIENTS["fluvio"],
        **CLIENTS["database"],
        **CLIENTS["symdb"],
    },
    {},
)
STRANGERS: Final = (
    Peer("stranger", {}, {}),
    Peer("stranger with our labels", {NAME: "qd", COMPONENT: "other"}, {}),
    Peer("gateway of another namespace", {NAME: "qd", COMPONENT: "gateway"}, {}, "other"),
    Peer("client of another namespace", CLIENTS["fluvio"] | CLIENTS["database"], {}, "other"),
)
PROMETHEUS: Final = Peer("prometheus", {"app": "prometheus"}, {}, "monitoring")
DNS: Final = Peer("dns", {"k8s-app": "kube-dns"}, {}, "kube-system")
OTHER_DNS: Final = Peer("api server", {"component": "kube-apiserver"}, {}, "kube-system")
FLUVIO_SC: Final = Peer("fluvio-sc", {"app": "fluvio-sc"}, {}, "default")
FLUVIO_SPU: Final = Peer("spu", {"app": "spu"}, {}, "default")
OUTSIDE: Final = Peer("internet", {}, {}, "0.0.0.0/0")
EXTERNAL: Final = Peer("external", {}, {}, "192.0.2.0/24")

ON_FLUVIO: Final = {"gateway", "analytics", "topics", "shell"}
ON_DATABASE: Final = {"gateway", "symdb", "migrate", "import", "import from a bucket", "shell"}
ON_SYMDB: Final = {"analytics", "shell"}
SILENT: Final = {"database", "broker"}
"""Who connects to nobody, and so asks for no name."""


def policies(found: Rendered) -> list[Json]:
    beside = [
        {**each, "metadata": {**each["metadata"], "namespace": FLUVIO_SC.namespace}}
        for each in rendered("fluvio-policy").of("NetworkPolicy")
    ]
    return [*found.of("NetworkPolicy"), *beside]


def peers_of(found: Rendered) -> list[Peer]:
    """The pods of an overlay, and those that commands make."""
    own = [Peer(each.component, each.labels, each.ports) for each in found.pods()]
    (volume,), (bucket,) = (rendered(f"import-{kind}").pods() for kind in ("volume", "bucket"))
    made = [
        Peer("import", volume.labels, {}),
        Peer("import from a bucket", bucket.labels, {}),
        SHELL,
    ]
    return own + made


def expected(found: Rendered, target: Peer, port: str) -> set[str]:
    """Who may reach a port of a pod."""
    if port == "metrics":
        names = {each["metadata"]["name"] for each in found.of("NetworkPolicy")}
        return {"prometheus"} if "qd-metrics" in names else set()
    return {
        ("database", "postgres"): ON_DATABASE,
        ("symdb", "grpc"): ON_SYMDB,
        ("broker", "sc"): ON_FLUVIO,
        ("broker", "spu"): ON_FLUVIO,
    }[target.name, port]


@pytest.mark.parametrize("variant", OVERLAYS)
def test_each_port_is_open_to_whom_it_is_for(variant: str) -> None:
    found = rendered(variant)
    peers = peers_of(found)
    tried = 0
    for target in peers:
        for name, port in target.ports.items():
            reached = {
                source.name
                for source in (*peers, *STRANGERS, PROMETHEUS, DNS)
                if source is not target and may_connect(policies(found), source, target, port)
            }
            assert reached == expected(found, target, name), f"{target.name} {name}"
            tried += 1
    assert tried >= 4


@pytest.mark.parametrize("variant", OVERLAYS)
def test_each_end_alone_keeps_others_out(variant: str) -> None:
    """Neither stands on the other's policy: a pod may be labelled, or not be in our namespace."""
    found = rendered(variant)
    labelled = [Peer(name, labels, {}) for name, labels in CLIENTS.items()]
    opened = {"postgres": "database", "grpc": "symdb", "sc": "fluvio", "spu": "fluvio"}
    for target in peers_of(found):
        for name, port in target.ports.items():
            let_in = {
                each.name
                for each in (*labelled, *STRANGERS)
                if may_enter(policies(found), each, target, port)
            }
            let_out = {
                each.name for each in labelled if may_leave(policies(found), each, target, port)
            }
            assert let_in == let_out == {opened[name]} if name in opened else not let_in | let_out


@pytest.mark.parametrize("variant", OVERLAYS)
def test_no_other_port_is_open(variant: str) -> None:
    found = rendered(variant)
    peers = peers_of(found)
    used = {port for target in peers for port in target.ports.values()}
    for target in peers:
        for port in used.difference(target.ports.values()) | {22, 443, 9004, 9006, 50_052}:
            for source in (*peers, *STRANGERS, PROMETHEUS):
                is_open = may_connect(policies(found), source, target, port)
                assert not is_open, f"{source.name} to {target.name}:{port}"


@pytest.mark.parametrize("variant", OVERLAYS)
def test_only_who_connects_asks_for_names(variant: str) -> None:
    found = rendered(variant)
    for source in peers_of(found):
        for protocol in ("UDP", "TCP"):
            asks = may_connect(policies(found), source, DNS, 53, protocol)
            assert asks == (source.name not in SILENT), source.name
        assert not may_connect(policies(found), source, OTHER_DNS, 53, "UDP")
        assert not may_connect(policies(found), source, OTHER_DNS, 6443)


@pytest.mark.parametrize("variant", OVERLAYS)
def test_only_imports_of_buckets_reach_the_world(variant: str) -> None:
    found = rendered(variant)
    for source in peers_of(found):
        is_import = source.name == "import from a bucket"
        assert may_connect(policies(found), source, OUTSIDE, 443) == is_import, source.name
        assert not may_connect(policies(found), source, OUTSIDE, 5432)


def test_a_bucket_is_no_way_to_the_credentials_of_a_node() -> None:
    for found in map(rendered, OVERLAYS):
        rules = found.get("NetworkPolicy", "qd-bucket-clients")["spec"]["egress"]
        named = [
            (rule, peer["ipBlock"]) for rule in rules for peer in rule["to"] if "ipBlock" in peer
        ]
        for rule, block in named:
            if block["cidr"] in ("169.254.170.23/32", "fd00:ec2::23/128"):  # a pod's own
                assert [port["port"] for port in rule["ports"]] == [80]
                continue
            link_local = {"0.0.0.0/0": "169.254.0.0/16", "::/0": "fe80::/10"}
            assert link_local[block["cidr"]] in block["except"]


def test_ports_are_numbers() -> None:
    """Not every engine of policies knows the names of another pod's ports."""
    for found in map(rendered, OVERLAYS):
        for policy in found.of("NetworkPolicy"):
            spec = policy["spec"]
            for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
                assert all(isinstance(port["port"], int) for port in rule["ports"]), policy


@pytest.mark.parametrize("variant", ["local", "local with all"])
def test_fluvio_in_the_cluster_is_reached_by_its_clients_alone(variant: str) -> None:
    found = rendered(variant)
    sources = [*peers_of(found), *STRANGERS, PROMETHEUS]
    for target, port in ((FLUVIO_SC, 9003), (FLUVIO_SPU, 9005)):
        reached = {
            each.name for each in sources if may_connect(policies(found), each, target, port)
        }
        assert reached == ON_FLUVIO
    for source in sources:
        for target, port in ((FLUVIO_SC, 9004), (FLUVIO_SPU, 9006), (FLUVIO_SPU, 9003)):
            assert not may_connect(policies(found), source, target, port), source.name
    assert may_connect(policies(found), FLUVIO_SPU, FLUVIO_SC, 9004)
    assert may_connect(policies(found), FLUVIO_SPU, FLUVIO_SPU, 9006)


@pytest.mark.parametrize("variant", ["production", "production with all"])
def test_external_servers_are_reached_by_their_clients_alone(variant: str) -> None:
    found = rendered(variant)
    for port, clients in ((5432, ON_DATABASE), (9003, ON_FLUVIO), (9005, ON_FLUVIO)):
        reached = {
            each.name
            for each in peers_of(found)
            if may_connect(policies(found), each, EXTERNAL, port)
        }
        assert reached == clients, port


@pytest.mark.parametrize("variant", OVERLAYS)
def test_the_alert_service_has_no_way_to_the_database(variant: str) -> None:
    pod = rendered(variant).pod("analytics")
    assert "qd.dev/database-client" not in pod.labels
    assert not any("database" in name for _, name, _ in pod.secrets())
    assert not any("DATABASE" in name for each in pod.containers for name in each.env)
