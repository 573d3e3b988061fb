"""What is to be done for a deployment, decided by pure functions over rendered and live objects."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qd_cli.deploy import remembered, secrets
from qd_cli.deploy.choices import checked_namespace, read_changes
from qd_cli.deploy.contexts import Chosen, Kind, choose_context
from qd_cli.deploy.images import built_name, engine, load_command
from qd_cli.deploy.log_lines import Fresh, lines_of, readable, shown
from qd_cli.deploy.manifests import OnTop, examples_in, kustomization, overlay_folder
from qd_cli.deploy.plan import (
    annotation,
    jobs_to_replace,
    secrets_used,
    stages_of,
    surplus,
    with_mark,
    with_marks,
)
from qd_cli.deploy.pods import claims_of, import_job, shell_pod, volume_paths
from qd_cli.deploy.reaching import (
    SecretFile,
    Service,
    file_of,
    perhaps_service,
    service_of,
    workloads,
)
from qd_cli.deploy.refusals import Place, explain
from qd_cli.deploy.remembered import Deployment
from qd_cli.errors import (
    CliError,
    KubernetesFailed,
    KubernetesUnreachable,
    KubernetesUnusable,
    RequestRefused,
    StateBroken,
)
from support.manifests import rendered

Json = dict[str, Any]
EMBEDDED = list(rendered("embedded").objects)
PLACE = Place("kind-qd", "qd")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def named(kind: str, name: str) -> Json:
    return next(
        each for each in EMBEDDED if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )


def test_data_first_then_jobs_then_services() -> None:
    stages = stages_of(EMBEDDED)
    assert [each["kind"] for each in stages.namespaces] == ["Namespace"]
    assert {each["metadata"]["name"] for each in stages.jobs} == {"qd-migrate", "qd-topics"}
    assert {each["kind"] for each in stages.services} == {"Deployment"}
    assert {"StatefulSet", "Service", "ConfigMap"} <= {each["kind"] for each in stages.foundations}
    assert len(stages.objects) == len(EMBEDDED)


def test_the_secrets_that_pods_cannot_do_without() -> None:
    used = secrets_used(EMBEDDED)
    roles = ("admin", "gateway", "importer", "owner", "symdb")
    assert set(used) == {f"qd-database-{role}" for role in roles}
    assert used["qd-database-admin"].keys == {"password", "dsn"}
    secrets.require_secrets(used, (), secrets.makeable(EMBEDDED), EMBEDDED)
    with pytest.raises(RequestRefused, match=r"qd-database-symdb \(dsn"):
        secrets.require_secrets(used, [name for name in used if "symdb" not in name], (), EMBEDDED)


def test_passwords_are_new_each_time_and_shown_nowhere() -> None:
    one, two = (secrets.database_secrets({secrets.OWNER})[0] for _ in range(2))
    password = one.body["stringData"]["password"]
    assert len(password) > 40
    assert password != two.body["stringData"]["password"]
    dsn = one.body["stringData"]["dsn"]
    assert dsn == f"postgresql://qd_owner:{password}@qd-database:5432/qd"
    assert password not in repr(one)


def test_no_new_password_for_a_database_that_is_there() -> None:
    label = {"app.kubernetes.io/component": "database"}
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "data-0", "labels": label}}
    secrets.require_password({secrets.OWNER}, [claim])
    secrets.require_password({secrets.ADMIN}, [])
    with pytest.raises(RequestRefused, match="restore the Secret"):
        secrets.require_password({secrets.ADMIN}, [claim])


def test_jobs_that_changed_or_failed_are_made_again() -> None:
    job = with_mark(named("Job", "qd-migrate"))
    assert jobs_to_replace([job], []) == []
    assert jobs_to_replace([job], [job]) == []
    changed = with_mark({**job, "spec": {**job["spec"], "backoffLimit": 1}})
    assert annotation(changed, "qd.dev/rendered") != annotation(job, "qd.dev/rendered")
    assert jobs_to_replace([changed], [job]) == ["qd-migrate"]
    failed = {**job, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    assert jobs_to_replace([job], [failed]) == ["qd-migrate"]


def test_new_secrets_start_new_pods_of_the_services_that_mount_them() -> None:
    marks = {"qd-database-gateway": "abc", "qd-database-admin": "def"}
    marked = with_marks(EMBEDDED, marks)
    changed = [a["metadata"]["name"] for a, b in zip(marked, EMBEDDED, strict=True) if a != b]
    assert changed == ["qd-gateway"]
    (gateway,) = (each for each in marked if each["metadata"]["name"] in changed)
    metadata = gateway["spec"]["template"]["metadata"]
    assert metadata["annotations"]["qd.dev/secrets"] == "qd-database-gateway=abc"
    assert (
        metadata["labels"]
        == named("Deployment", "qd-gateway")["spec"]["template"]["metadata"]["labels"]
    )


def test_what_is_rendered_no_more_is_surplus_but_for_what_is_in_use_or_made_on_demand() -> None:
    def thing(kind: str, name: str, component: str = "x", **more: Any) -> Json:
        labels = {"app.kubernetes.io/component": component}
        return {"kind": kind, "metadata": {"name": name, "labels": labels}, **more}

    volumes = {"volumes": [{"configMap": {"name": "used"}}], "containers": []}
    there = [
        thing("StatefulSet", "qd-broker"),
        thing("Deployment", "qd-gateway"),
        thing("ConfigMap", "used"),
        thing("ConfigMap", "old"),
        thing("Job", "qd-import-1", "import"),
        thing("Secret", "qd-database-owner"),
        thing("PersistentVolumeClaim", "data-qd-broker-0"),
        thing("Pod", "qd-gateway-1", spec=volumes),
    ]
    found = surplus(there, [thing("Deployment", "qd-gateway")])
    assert found == [("StatefulSet", "qd-broker"), ("ConfigMap", "old")]


def test_what_is_put_on_top_of_an_overlay() -> None:
    changes = read_changes(["gateway.replicas=3", "gateway.QD_GATEWAY_TOKENS=required"])
    top = OnTop("other", "host:5000/a/qd@sha256:12", (Path("/k8s/components/tls"),), changes)
    assert kustomization(Path("/k8s/overlays/local"), Path("/tmp/x"), top) == {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "other",
        "resources": ["../../k8s/overlays/local"],
        "components": ["../../k8s/components/tls"],
        "images": [{"name": "qd", "newName": "host:5000/a/qd", "digest": "sha256:12"}],
        "replicas": [{"name": "qd-gateway", "count": 3}],
        "configMapGenerator": [
            {
                "name": "qd-gateway",
                "namespace": "qd",
                "behavior": "merge",
                "literals": ["QD_GATEWAY_TOKENS=required"],
            }
        ],
    }


@pytest.mark.parametrize(
    ("image", "name", "tag"),
    [("a/qd:1", "a/qd", "1"), ("host:5000/qd", "host:5000/qd", "latest"), ("qd:2", "qd", "2")],
)
def test_images(image: str, name: str, tag: str) -> None:
    found = kustomization(Path("/a"), Path("/b"), OnTop("qd", image))["images"]
    assert found == [{"name": "qd", "newName": name, "newTag": tag}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gateway", "expected PART.replicas=N"),
        ("gateway.replicas=-1", "a whole number up to 1000"),
        ("analytics.replicas=2", "gateway or symdb"),
        ("gateway.QD_GATEWAY_TOKEN=x", "did you mean QD_GATEWAY_TOKENS"),
        ("gateway.QD_DATABASE=postgresql://x", "is a secret"),
        ("database.QD_LOG_LEVEL=debug", "expected one of gateway, symdb"),
        ("QD_FLUVIO=nowhere", "expected host:port"),
    ],
)
def test_changes_that_make_no_sense(text: str, expected: str) -> None:
    with pytest.raises(RequestRefused, match=expected):
        read_changes([text])


def test_where_the_brokers_are_is_told_to_all_their_clients() -> None:
    assert read_changes(["QD_FLUVIO=sc:9003"]).settings == {"cluster": {"QD_FLUVIO": "sc:9003"}}


def test_names_and_overlays() -> None:
    assert checked_namespace("qd-2") == "qd-2"
    for wrong in ("Qd", "-a", "a" * 64, ""):
        with pytest.raises(RequestRefused, match="--namespace"):
            checked_namespace(wrong)
    assert overlay_folder("embedded").name == "embedded"
    with pytest.raises(RequestRefused, match="embedded, local, production"):
        overlay_folder("nothing")


def test_addresses_of_examples() -> None:
    assert examples_in("cidr: 192.0.2.0/24, sc.fluvio.example:9003, 10.0.0.1, example.com") == [
        "192.0.2.0",
        "sc.fluvio.example",
    ]


CONFIG: Json = {
    "current-context": "kind-qd",
    "contexts": [
        {"name": name, "context": {"cluster": name}}
        for name in ("kind-qd", "k3d-a", "docker-desktop", "minikube", "mine", "work")
    ],
    "clusters": [
        {
            "name": "mine",
            "cluster": {"extensions": [{"extension": {"provider": "minikube.sigs.k8s.io"}}]},
        }
    ],
}


@pytest.mark.parametrize(
    ("wanted", "kind", "cluster"),
    [
        (None, Kind.KIND, "qd"),
        ("k3d-a", Kind.K3D, "a"),
        ("docker-desktop", Kind.DESKTOP, "docker-desktop"),
        ("minikube", Kind.MINIKUBE, "minikube"),
        ("mine", Kind.MINIKUBE, "mine"),
        ("work", Kind.OTHER, "work"),
    ],
)
def test_contexts(wanted: str | None, kind: Kind, cluster: str) -> None:
    found = choose_context(CONFIG, wanted)
    assert (found.kind, found.cluster) == (kind, cluster)


@pytest.mark.parametrize(
    ("config", "wanted", "expected"),
    [
        ({}, None, "knows no cluster"),
        ({"contexts": None}, None, "kind create cluster"),
        ({**CONFIG, "current-context": ""}, None, "no current context"),
        (CONFIG, "nope", "no context named 'nope'"),
    ],
)
def test_no_context(config: Json, wanted: str | None, expected: str) -> None:
    with pytest.raises(KubernetesUnusable, match=expected):
        choose_context(config, wanted)


def test_how_a_cluster_takes_an_image() -> None:
    def command(kind: Kind) -> list[str] | None:
        return load_command(Chosen("c", kind, "qd"), "a.tar")

    assert command(Kind.KIND) == ["kind", "load", "image-archive", "a.tar", "--name", "qd"]
    assert command(Kind.K3D) == ["k3d", "image", "import", "a.tar", "--cluster", "qd"]
    assert command(Kind.MINIKUBE) == ["minikube", "image", "load", "a.tar", "--profile", "qd"]
    assert command(Kind.DESKTOP) is None
    with pytest.raises(RequestRefused, match="--image REF"):
        command(Kind.OTHER)


def test_engines() -> None:
    only_podman: Callable[[str], str | None] = {"podman": "/bin/podman"}.get
    assert engine(Kind.KIND, only_podman) == "podman"
    with pytest.raises(KubernetesUnusable, match="docker"):
        engine(Kind.DESKTOP, only_podman)
    assert built_name("sha256:0123456789abcdef\n").endswith("-0123456789ab")


REFUSALS: list[tuple[str, type[CliError], str]] = [
    ("Unable to connect to the server: dial tcp: no route", KubernetesUnreachable, "no route"),
    (
        "The connection to the server 127.0.0.1:6443 was refused - did you specify it?",
        KubernetesUnreachable,
        "does not answer",
    ),
    (
        "error: You must be logged in to the server (Unauthorized)",
        KubernetesUnusable,
        "log in to it",
    ),
    (
        'Error from server (Forbidden): secrets is forbidden: User "anna" cannot create resource '
        '"secrets" in API group "" in the namespace "qd"',
        KubernetesFailed,
        "anna may not create secrets in namespace qd .* role `admin`",
    ),
    (
        'Error from server (Forbidden): namespaces is forbidden: User "anna" cannot create '
        'resource "namespaces" in API group "" at the cluster scope',
        KubernetesFailed,
        "in the whole cluster",
    ),
    (
        'error: Apply failed with 1 conflict: conflict with "kubectl-edit" using apps/v1: '
        ".spec.replicas\nPlease review the fields above",
        KubernetesFailed,
        r"kubectl-edit changed .*\.spec\.replicas.*--force",
    ),
    (
        'error: resource mapping not found for name: "qd": no matches for kind "PodMonitor" in '
        'version "monitoring.coreos.com/v1"',
        KubernetesFailed,
        "knows no PodMonitor",
    ),
    (
        'Error from server (Invalid): StatefulSet.apps "qd-broker" is invalid: spec: Forbidden: '
        "updates to statefulset spec for fields other than 'replicas' are forbidden",
        KubernetesFailed,
        "--context kind-qd --namespace qd delete statefulset qd-broker --cascade=orphan",
    ),
    (
        'Error from server (Forbidden): pods "x" is forbidden: exceeded quota: few, requested: 1',
        KubernetesFailed,
        "quota is used up: few",
    ),
    (
        'Error from server: admission webhook "p" denied the request: no latest',
        KubernetesFailed,
        "refuses it .p.: no latest",
    ),
    ("error: something new", KubernetesFailed, "kubectl failed: error: something new"),
    ("", KubernetesFailed, "did not say why"),
]


@pytest.mark.parametrize(("stderr", "kind", "expected"), REFUSALS)
def test_complaints_of_kubectl(stderr: str, kind: type[CliError], expected: str) -> None:
    with pytest.raises(kind, match=expected):
        raise explain(stderr, PLACE)


def test_no_error_repeats_a_secret() -> None:
    assert "hunter2" not in str(explain("error: bad value hunter2", PLACE, ["hunter2"]))


def test_what_pods_are_set_to_says_how_a_deployment_is_reached() -> None:
    found = workloads(EMBEDDED)
    gateway, analytics = found["qd-gateway"], found["qd-analytics"]
    assert analytics.settings["QD_FLUVIO"] == "qd-broker:9003"
    assert analytics.settings["QD_SYMDB"] == "qd-symdb:50051"
    dsn = gateway.settings["QD_DATABASE_FILE"]
    assert file_of(dsn, gateway) == SecretFile("qd-database-gateway", "dsn")
    assert file_of("/run/qd/other/key", gateway) == SecretFile("other", "key")
    with pytest.raises(KubernetesFailed, match="of no Secret"):
        file_of("/etc/key", gateway)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("qd-broker", Service("qd-broker", "qd")),
        ("sc.fluvio.svc", Service("sc", "fluvio")),
        ("sc.fluvio.svc.cluster.local", Service("sc", "fluvio")),
        ("db.example.com", None),
        ("10.0.0.1", None),
        ("::1", None),
        ("localhost", None),
    ],
)
def test_names_of_services(host: str, expected: Service | None) -> None:
    assert service_of(host, "qd") == expected


def test_names_that_may_be_of_services() -> None:
    assert perhaps_service("sc.fluvio") == Service("sc", "fluvio")
    assert perhaps_service("a.b.c") is None


def test_the_shells_pod_has_the_ways_and_limits_of_the_others() -> None:
    pod = shell_pod(
        "qd-shell-1", named("Deployment", "qd-gateway"), named("Deployment", "qd-analytics")
    )
    labels, spec = pod["metadata"]["labels"], pod["spec"]
    assert labels["app.kubernetes.io/component"] == "shell"
    assert {f"qd.dev/{what}-client" for what in ("fluvio", "database", "symdb")} <= set(labels)
    (container,) = spec["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["QD_DATABASE_FILE"] == "/run/qd/qd-database-owner/dsn"
    assert "readinessProbe" not in container
    analytics = named("Deployment", "qd-analytics")["spec"]["template"]["spec"]
    assert spec["securityContext"] == analytics["securityContext"]
    assert container["securityContext"] == analytics["containers"][0]["securityContext"]
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {each["name"] for each in spec["volumes"]}


def test_the_imports_job() -> None:
    (job,) = (
        each
        for each in import_job(
            rendered("import-volume").objects, ["/data/a.zip"], ["--parallel=4"], "mine"
        )
        if each["kind"] == "Job"
    )
    spec = job["spec"]["template"]["spec"]
    assert spec["containers"][0]["args"][0] == "import"
    assert spec["containers"][0]["args"][-2:] == ["--parallel=4", "/data/a.zip"]
    assert "--parallel=2" not in spec["containers"][0]["args"]
    assert claims_of([job]) == ["mine"]
    assert volume_paths(["a/b.csv", "/data/c", "/"]) == ["/data/a/b.csv", "/data/c", "/data"]
    with pytest.raises(RequestRefused, match="without"):
        volume_paths(["../etc"])


def test_log_lines_are_in_order_of_time_and_given_once() -> None:
    text = (
        "[pod/qd-b-1/gateway] 2026-01-01T00:00:02Z two\n"
        '[pod/qd-a-1/symdb] 2026-01-01T00:00:01Z {"time": "t", "event": "up", "port": 1}\n'
        "of several lines\n"
    )
    fresh = Fresh()
    found = list(fresh.of(lines_of(text)))
    assert [shown(line, raw=False) for line in found] == [
        'symdb      | {"time": "t", "event": "up", "port": 1}\nof several lines',
        "gateway    | two",
    ]
    assert fresh.newest == "2026-01-01T00:00:02Z"
    assert not list(fresh.of(lines_of(text)))
    assert (
        readable('{"time": "t", "level": "info", "event": "up", "port": 1}') == "t info up port=1"
    )
    assert readable("{no json") == "{no json"


def test_a_deployment_is_remembered_and_forgotten(tmp_path: Path) -> None:
    place = Deployment("arn:aws:eks:1:cluster/a", "qd")
    folder = tmp_path / "state"
    assert remembered.recall(folder) is None
    remembered.remember(folder, place)
    assert remembered.recall(folder) == place
    assert remembered.chosen(folder, {}) is None
    assert remembered.fallback(folder, {}) == place
    assert remembered.fallback(folder, {"QD_DEPLOYMENT": "none"}) is None
    assert remembered.chosen(folder, {"QD_DEPLOYMENT": "remembered"}) == place
    assert remembered.chosen(folder, {"QD_DEPLOYMENT": str(place)}) == place
    with pytest.raises(RequestRefused, match="CONTEXT/NAMESPACE"):
        remembered.chosen(folder, {"QD_DEPLOYMENT": "x"})
    remembered.forget(folder, Deployment("other", "qd"))
    remembered.forget(folder, place)
    assert remembered.recall(folder) is None
    with pytest.raises(RequestRefused, match="no deployment is remembered"):
        remembered.chosen(folder, {"QD_DEPLOYMENT": "remembered"})
    (folder / "deployment.json").write_text("{}")
    with pytest.raises(StateBroken, match="deploy again"):
        remembered.recall(folder)
