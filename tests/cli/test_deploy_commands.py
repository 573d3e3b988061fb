"""The commands for Kubernetes with a stand-in kubectl: what it is asked, and what comes of it."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from qd_cli.deploy.contexts import Chosen, Kind
from qd_cli.deploy.images import build_and_load
from qd_cli.deploy.remembered import Deployment, recall, remember
from qd_cli.errors import KubernetesFailed
from support.commands import Qd
from support.manifests import rendered
from support.processes import running

Json = dict[str, Any]
STANDIN = Path(__file__).resolve().parent / "standins" / "kubectl.py"
DATA = Path(__file__).resolve().parents[1] / "data" / "kubernetes"
CONTEXTS = {"current-context": "kind-qd", "contexts": [{"name": "kind-qd", "context": {}}]}
PLACE = Deployment("kind-qd", "qd")
LOOK = "deployments,statefulsets,jobs,replicasets,pods,persistentvolumeclaims,events"


class Standin:
    """The stand-in, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._answers: list[tuple[list[str], Json]] = []
        self.on("config", out=json.dumps(CONTEXTS))
        self.on("version", out="{}")
        self.on("apply")

    def on(self, *words: str, **answer: Any) -> None:
        """Answer so to calls with these words; what is said later goes first."""
        self._answers.insert(0, (list(words), answer))
        (self._folder / "answers.json").write_text(json.dumps(self._answers))

    def has(self, *words: str, items: list[Json] | None = None) -> None:
        """Answer with a list of objects."""
        self.on("get", *words, out=json.dumps({"items": items or []}))

    @property
    def asked(self) -> list[Json]:
        text = (self._folder / "asked.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def calls(self, word: str) -> list[Json]:
        return [call for call in self.asked if word in call["arguments"]]

    def objects(self, word: str) -> list[list[Json]]:
        """The objects that each call with this word was given."""
        return [json.loads(call["stdin"])["items"] for call in self.calls(word)]


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standin:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "kubectl"
    program.write_text(f"#!{sys.executable} -SE\n{STANDIN.read_text()}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("STANDIN", str(folder))
    return Standin(folder)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("QD_FLUVIO", "QD_DATABASE", "QD_SYMDB", "QD_FLUVIO_CLIENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QD_STATE", str(tmp_path / "state"))
    # What commands set for their own process goes with the test.
    monkeypatch.setenv("QD_DEPLOYMENT", "")
    return tmp_path / "state"


def embedded() -> list[Json]:
    return copy.deepcopy(list(rendered("embedded").objects))


def documents(objects: Sequence[Json]) -> str:
    """Objects as Kustomize prints them, in the YAML that is quickest to make."""
    return "\n---\n".join(map(json.dumps, objects))


def ready(objects: list[Json]) -> list[Json]:
    """Workloads as they are once all is well."""
    done: Json = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    done |= {"availableReplicas": 1, "updateRevision": "a", "currentRevision": "a"}
    complete = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
    found = [each for each in objects if each["kind"] in ("Deployment", "StatefulSet", "Job")]
    for each in found:
        each["metadata"] |= {"generation": 1, "uid": each["metadata"]["name"]}
        each["status"] = complete if each["kind"] == "Job" else done
    return found


@pytest.fixture
def deployable(kubectl: Standin) -> Standin:
    """A cluster with nothing in it, on which all becomes ready at once."""
    objects = embedded()
    kubectl.on("kustomize", out=documents(objects))
    kubectl.on("get", "secrets", "--output=name", out="secret/other\n")
    kubectl.on("get", "secrets", "--no-headers", out="qd-database-gateway uid-1\n")
    kubectl.on("create", "--filename=-")
    kubectl.has("persistentvolumeclaims")
    kubectl.has("jobs")
    kubectl.has(LOOK, items=ready(objects))
    kinds = (
        "deployments,statefulsets,jobs,cronjobs,services,configmaps,networkpolicies,"
        "poddisruptionbudgets,horizontalpodautoscalers,serviceaccounts,roles,rolebindings,"
        "replicasets,pods"
    )
    old = {"kind": "ConfigMap", "metadata": {"name": "qd-cluster-old"}}
    kubectl.has(kinds, items=[*ready(embedded()), old])
    kubectl.on("delete", "configmaps")
    return kubectl


DEPLOY = ("deploy", "--overlay", "embedded", "--image", "registry.test/qd:1")


def test_deploying(bare_qd: Qd, deployable: Standin, state: Path) -> None:
    done = bare_qd(*DEPLOY)
    assert done.code == 0, done.err
    namespaces, foundations, jobs, services = deployable.objects("apply")
    assert [each["kind"] for each in namespaces] == ["Namespace"]
    assert {"StatefulSet", "Service"} <= {each["kind"] for each in foundations}
    assert {each["kind"] for each in jobs} == {"Job"}
    assert {each["kind"] for each in services} == {"Deployment"}
    for call in deployable.calls("apply"):
        assert {"--server-side", "--field-manager=qd"} <= set(call["arguments"])
        assert call["arguments"][:2] == ["--context=kind-qd", "--namespace=qd"]
    (removed,) = deployable.calls("delete")
    assert {"configmaps", "qd-cluster-old"} <= set(removed["arguments"])
    assert recall(state) == PLACE
    assert "ready after" in done.err
    (gateway,) = (each for each in services if each["metadata"]["name"] == "qd-gateway")
    mark = gateway["spec"]["template"]["metadata"]["annotations"]["qd.dev/secrets"]
    assert mark == "qd-database-gateway=uid-1"  # another Secret of that name starts new pods
    (made,) = deployable.objects("create")
    passwords = {each["stringData"]["password"] for each in made}
    assert len(passwords) == 5
    arguments = json.dumps([call["arguments"] for call in deployable.asked])
    kept = "".join(file.read_text() for file in state.iterdir())
    for text in (done.out, done.err, arguments, kept):
        assert not any(password in text for password in passwords)


def test_certificates_are_made_and_start_new_pods(bare_qd: Qd, deployable: Standin) -> None:
    objects = rendered("embedded with all").objects
    deployable.on("kustomize", out=documents(objects))
    deployable.has("secrets", "qd-tls-ca")
    done = bare_qd(*DEPLOY, "--tls")
    assert done.code == 1
    assert "has cert-manager make the certificates" in done.err
    own = [each for each in objects if each["kind"] != "Certificate"]
    deployable.on("kustomize", out=documents(own))
    tokens = "\n".join(f"secret/qd-{name}" for name in ("analytics-token", "bucket"))
    deployable.on("get", "secrets", "--output=name", out=tokens)
    assert bare_qd(*DEPLOY, "--tls").code == 0
    made = next(each for each in deployable.objects("apply") if each[0]["kind"] == "Secret")
    assert {each["metadata"]["name"] for each in made} == {
        f"qd-tls-{name}" for name in ("ca", "symdb", "database", "broker", "client")
    }
    gateway = deployable.objects("apply")[-1]
    marks = [each["spec"]["template"]["metadata"].get("annotations", {}) for each in gateway]
    assert any("qd-tls-client=" in each.get("qd.dev/secrets", "") for each in marks)


def test_a_service_that_does_not_become_ready(bare_qd: Qd, deployable: Standin) -> None:
    broken = (DATA / "broken.json").read_text().replace("badname", "gateway")
    others = [each for each in ready(embedded()) if each["metadata"]["name"] != "qd-gateway"]
    deployable.has(LOOK, items=[*others, *json.loads(broken)["items"]])
    done = bare_qd(*DEPLOY, "--json")
    assert done.code == 1
    assert "qd: gateway did not become ready\n- pod qd-gateway-" in done.err
    assert "what to do: correct the name 'Not An Image'" in done.err
    events = [json.loads(line) for line in done.lines]
    parts = {event["part"]: event for event in events if event["event"] == "part"}
    assert parts["migrate"]["state"] == "done"
    assert parts["gateway"]["problems"]


def test_a_failed_job_with_its_last_lines(bare_qd: Qd, deployable: Standin) -> None:
    broken = json.loads((DATA / "broken.json").read_text())["items"]
    failing = json.loads(json.dumps(broken).replace("failing", "topics"))
    others = [each for each in ready(embedded()) if each["metadata"]["name"] != "qd-topics"]
    deployable.has(LOOK, items=[*others, *failing])
    deployable.on("logs", out="topic differs\n")
    done = bare_qd(*DEPLOY)
    assert done.code == 1
    assert "qd: topics failed" in done.err
    assert "  | topic differs" in done.err
    assert "what to do:" in done.err
    applied = {each["kind"] for objects in deployable.objects("apply") for each in objects}
    assert "Deployment" not in applied  # no service is started on what is not prepared


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("deploy",), "which overlay?"),
        (("deploy", "--overlay", "embedded", "--context", "b"), "no context named 'b'"),
        (("deploy", "--overlay", "embedded", "--set", "x"), "--set is 'x'"),
        (("deploy", "logs"), "there is no pod of qd"),
        (("deploy", "import", "a", "s3://b"), "not both at once"),
        (("deploy", "import", "s3://b", "--claim", "c"), "--claim is for paths"),
        (("deploy", "import", "a"), "nothing is deployed"),
        (("shell",), "nothing is deployed"),
        (("--cluster", "topics", "list"), "no deployment is remembered"),
    ],
)
def test_what_makes_no_sense(
    bare_qd: Qd, kubectl: Standin, arguments: tuple[str, ...], expected: str
) -> None:
    kubectl.has("pods")
    kubectl.has("deployments")
    kubectl.has("deployments,configmaps")
    done = bare_qd(*arguments)
    assert done.code == 1
    assert expected in done.err


def test_an_import_from_a_volume_that_is_not_there(bare_qd: Qd, kubectl: Standin) -> None:
    kubectl.has("deployments,configmaps", items=ready(embedded()))
    kubectl.on("kustomize", out=documents(rendered("import-volume").objects))
    kubectl.on("get", "persistentvolumeclaim")
    done = bare_qd("deploy", "import", "a.zip", "--claim", "mine")
    assert (done.code, "there is no volume claim mine in namespace qd" in done.err) == (1, True)
    assert not kubectl.calls("apply")
    kubectl.on("get", "persistentvolumeclaim", out='{"metadata": {"name": "mine"}}')
    assert bare_qd("deploy", "import", "a.zip", "--claim", "mine", "--detach").code == 0
    assert kubectl.calls("apply")


def test_without_kubectl(bare_qd: Qd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    done = bare_qd("deploy", "status")
    assert (done.code, "kubectl is not in PATH: install it" in done.err) == (1, True)


def test_status(bare_qd: Qd, kubectl: Standin) -> None:
    kubectl.has(LOOK, items=ready(embedded()))
    done = bare_qd("deploy", "status")
    assert done.code == 0
    assert done.lines[0].split()[:3] == ["PART", "STATE", "READY"]
    assert {line.split()[0] for line in done.lines[1:]} >= {"gateway", "database", "migrate"}
    kubectl.has(LOOK)
    assert bare_qd("deploy", "status").code == 4
    kubectl.has(LOOK, items=json.loads((DATA / "broken.json").read_text())["items"])
    kubectl.on("logs", out="no database here\n")
    broken = bare_qd("deploy", "status")
    assert broken.code == 3
    assert "  | no database here" in broken.err


def test_removing_keeps_the_data(bare_qd: Qd, kubectl: Standin, state: Path) -> None:
    remember(state, PLACE)
    claim = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-qd-database-0"},
        "spec": {"resources": {"requests": {"storage": "20Gi"}}},
    }
    kubectl.has("persistentvolumeclaims,secrets", items=[claim])
    kubectl.on("api-resources", out="deployments.apps\nissuers.cert-manager.io\n")
    kubectl.on("delete", out="deployment.apps/qd-gateway\n")
    kept = bare_qd("undeploy")
    assert kept.code == 0
    assert "kept volumes data-qd-database-0 (20Gi)" in kept.err
    removed = " ".join(" ".join(call["arguments"]) for call in kubectl.calls("delete"))
    assert "issuers.cert-manager.io" in removed
    assert "secrets" not in removed
    assert "persistentvolumeclaims" not in removed
    asked = bare_qd("undeploy", "--data")
    assert (asked.code, "give --yes" in asked.err) == (1, True)
    namespace = {"kind": "Namespace", "metadata": {"labels": {"app.kubernetes.io/name": "qd"}}}
    kubectl.on("get", "namespace", out=json.dumps(namespace))
    kubectl.has(
        "deployments,statefulsets,jobs,pods,services,persistentvolumeclaims,secrets", items=[]
    )
    assert recall(state) == PLACE
    assert bare_qd("undeploy", "--data", "--yes").code == 0
    assert kubectl.calls("delete")[-1]["arguments"][-2:] == ["namespace", "qd"]
    assert recall(state) is None


def test_a_shells_pod_goes_with_it_and_its_exit_code_is_the_commands(
    bare_qd: Qd, kubectl: Standin
) -> None:
    kubectl.has("deployments", items=ready(embedded()))
    for word in ("create", "wait", "delete"):
        kubectl.on(word)
    kubectl.on("exec", code=7)
    assert bare_qd("shell", "--", "qd", "topics", "list").code == 7
    ((pod,),) = kubectl.objects("create")
    name = pod["metadata"]["name"]
    (call,) = kubectl.calls("exec")
    assert call["arguments"][-5:] == ["--stdin", "--", "qd", "topics", "list"]
    assert name in call["arguments"]
    assert name in kubectl.calls("delete")[0]["arguments"]


def test_a_command_on_this_machine_reaches_the_brokers_through_a_tunnel(
    bare_qd: Qd, kubectl: Standin, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ("--data", str(tmp_path / "data"))
    with running("qd_fluvio.broker", *data, "--advertise", "qd-broker", folder=tmp_path) as broker:
        sc, spu = (str(broker[name]).rpartition(":")[2] for name in ("endpoint", "spu"))
        objects = embedded()
        for each in objects:
            if each["metadata"]["name"].startswith("qd-cluster"):
                each["data"]["QD_FLUVIO"] = f"qd-broker:{sc}"
        remember(state, PLACE)
        kubectl.has("deployments,configmaps", items=objects)
        for port in (sc, spu):
            text = f"Forwarding from 127.0.0.1:{port} -> {port}\n"
            kubectl.on("port-forward", f":{port}", out=text, stay=True)
        assert bare_qd("topics", "create", "notes").code == 0
        assert [each["name"] for each in bare_qd.json("topics", "list")] == ["notes"]
        asked = [call["arguments"][-2:] for call in kubectl.calls("port-forward")]
        assert asked[:2] == [["service/qd-broker", f":{sc}"], ["service/qd-broker", f":{spu}"]]
        monkeypatch.setenv("QD_FLUVIO_CLIENT", "official")
        monkeypatch.setenv("QD_DEPLOYMENT", "kind-qd/other")
        refused = bare_qd("topics", "list")
        assert (refused.code, "unset it, or use `qd shell`" in refused.err) == (1, True)


async def test_the_image_is_built_named_by_its_content_and_handed_to_the_cluster(
    kubectl: Standin, tmp_path: Path
) -> None:
    for name in ("docker", "kind"):
        (tmp_path / "bin" / name).symlink_to("kubectl")
    kubectl.on("image", "inspect", out="sha256:0123456789abcdef\n")
    for word in ("build", "tag", "save", "load"):
        kubectl.on(word)
    said: list[str] = []
    image = await build_and_load(Chosen("kind-qd", Kind.KIND, "qd"), said.append)
    assert image.startswith("localhost/qd:")
    assert image.endswith("-0123456789ab")
    steps = [call["arguments"] for call in kubectl.asked]
    assert [step[0] for step in steps] == ["build", "image", "tag", "save", "load"]
    assert steps[0][1] == "--file"
    assert steps[3][-1] == image
    assert steps[4][-2:] == ["--name", "qd"]
    assert said == ["building the image with docker", f"handing {image} to the cluster with kind"]
    kubectl.on("build", err="STEP 3\nno space left on device\n", code=1)
    with pytest.raises(KubernetesFailed, match="cannot be built:\nSTEP 3\nno space left"):
        await build_and_load(Chosen("kind-qd", Kind.KIND, "qd"), said.append)


def test_no_tunnel(bare_qd: Qd, kubectl: Standin, state: Path) -> None:
    remember(state, Deployment("kind-qd", "third"))
    kubectl.has("deployments,configmaps", items=embedded())
    kubectl.on("port-forward", err="error: pod is not running. Current status=Pending\n", code=1)
    done = bare_qd("symbols")
    assert done.code == 1
    assert "Current status=Pending: `qd deploy status`" in done.err
