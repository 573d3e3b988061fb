"""What is wrong with a deployment, told from what a real cluster (1.34) said about broken parts."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qd_cli.deploy.explaining import START_SECONDS, explain_claim, explain_events, explain_pod
from qd_cli.deploy.observing import Part, Seen, State, part_of, parts_of, seen, stuck_pods
from qd_cli.deploy.waiting import Patience, causes_first

DATA = Path(__file__).resolve().parents[1] / "data" / "kubernetes"


def recorded(name: str) -> Seen:
    return seen(json.loads((DATA / f"{name}.json").read_text())["items"])


def parts(name: str) -> dict[str, Part]:
    return {part.name: part for part in parts_of(recorded(name))}


BROKEN = parts("broken")


def test_all_parts_are_seen_services_first() -> None:
    names = list(BROKEN)
    assert len(names) == 15
    assert names == [*sorted(names[:-2]), "failing", "working"]


@pytest.mark.parametrize(
    ("part", "what", "why", "todo"),
    [
        ("image", "cannot get its image", "connection refused", "deploy without --image"),
        ("registry", "cannot get its image", "no such host", "reach the registry"),
        ("badname", "an image that is no image", "couldn't parse", "'Not An Image'"),
        ("security", "may be made", "violates PodSecurity", "`restricted`"),
        ("memory", "took more memory than it may (32Mi)", "OOMKilled", "raise its memory limit"),
        ("crash", "ends again and again", "exit code 3", "its last lines"),
        ("mount", "cannot get its volumes", '"qd-nothing" not found', "make the Secret qd-nothing"),
        ("setting", "with its settings", '"qd-nothing" not found', "make the Secret qd-nothing"),
        ("room", "finds no node", "Insufficient cpu", "64 of cpu"),
        ("command", "cannot be started", "no such file or directory", "architecture"),
        ("failing", "job qd-failing failed", "BackoffLimitExceeded", "run it again"),
        ("volume", "finds no node", "unbound immediate", "its volume is not there yet"),
    ],
)
def test_what_is_wrong(part: str, what: str, why: str, todo: str) -> None:
    found = BROKEN[part]
    assert found.state in (State.STARTING, State.FAILED)
    problem = found.problems[0]
    assert what in problem.what
    assert why in problem.why
    assert todo in problem.todo


def test_what_is_well_has_no_problems() -> None:
    assert BROKEN["good"].state is State.READY
    assert BROKEN["working"].state is State.DONE
    assert not BROKEN["good"].problems
    assert not BROKEN["working"].problems


def test_a_failed_job_points_at_the_lines_of_its_last_pod() -> None:
    job, container = BROKEN["failing"].problems
    assert job.patience_seconds == 0
    assert (container.container, container.patience_seconds) == ("failing", None)
    assert container.pod.startswith("qd-failing-")
    assert "exit code 5" in container.why


def test_a_volume_says_why_it_is_not_there() -> None:
    _, volume = BROKEN["volume"].problems
    assert volume.what == "volume data-qd-volume-0 (1Gi) cannot be made"
    assert "storageclass" in volume.todo


def test_a_used_up_quota() -> None:
    (problem,) = parts("quota")["good"].problems
    assert "exceeded quota: few" in problem.why
    assert "quota is used up" in problem.todo


def test_what_is_not_there_is_missing() -> None:
    found = part_of(recorded("quota"), "Deployment", "qd-gateway")
    assert (found.name, found.state) == ("gateway", State.MISSING)


def a_pod(name: str) -> dict[str, Any]:
    items = json.loads((DATA / "broken.json").read_text())["items"]
    return next(
        copy.deepcopy(each)
        for each in items
        if each["kind"] == "Pod" and each["metadata"]["name"].startswith(f"qd-{name}-")
    )


def unhealthy(pod: dict[str, Any], last: str) -> list[dict[str, Any]]:
    message = 'Readiness probe failed: Get "http://10.0.0.1:9100/readyz": connection refused'
    about = {"uid": pod["metadata"]["uid"], "fieldPath": "spec.containers{probe}"}
    event = {"reason": "Unhealthy", "message": message, "involvedObject": about}
    return [{**event, "lastTimestamp": last}]


def test_a_probe_that_fails_is_a_problem_only_once_the_pod_had_its_time() -> None:
    pod = a_pod("probe")
    pod["status"]["startTime"] = "2026-01-01T00:00:00Z"
    assert not explain_pod(pod, unhealthy(pod, f"2026-01-01T00:00:{START_SECONDS - 1:02.0f}Z"))
    (problem,) = explain_pod(pod, unhealthy(pod, "2026-01-01T00:00:30Z"))
    assert "its readiness probe fails" in problem.what
    assert problem.container == "probe"
    others = [BROKEN["crash"], BROKEN["mount"]]
    probe = replace(BROKEN["probe"], problems=(problem,))
    assert causes_first([probe, *others])[-1] == problem


def test_a_pod_that_goes_is_no_problem() -> None:
    pod = a_pod("crash")
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not explain_pod(pod, [])


def test_an_evicted_pod() -> None:
    pod = a_pod("good")
    pod["status"] |= {"reason": "Evicted", "message": "The node was low on resource: memory."}
    (problem,) = explain_pod(pod, [])
    assert "was evicted" in problem.what
    assert "low on resource" in problem.why


@pytest.mark.parametrize(
    ("message", "todo"),
    [
        ("no persistent volumes available for this claim and no storage class is set", "default"),
        ("failed to provision volume: disk quota exceeded", "has room"),
    ],
)
def test_other_reasons_of_volumes(message: str, todo: str) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"resources": {"requests": {"storage": "20Gi"}}},
        "status": {"phase": "Pending"},
    }
    (problem,) = explain_claim(claim, [{"message": message}])
    assert todo in problem.todo
    assert not explain_claim({**claim, "status": {"phase": "Bound"}}, [{"message": message}])


def test_a_rule_of_the_cluster_that_refuses_pods() -> None:
    event = {
        "reason": "FailedCreate",
        "message": 'admission webhook "policy.example" denied the request: no',
        "involvedObject": {"name": "qd-gateway-1"},
    }
    (problem,) = explain_events([event])
    assert "a rule of the cluster" in problem.todo
    assert not explain_events([{**event, "reason": "SuccessfulCreate"}])


def test_a_stateful_set_that_waits_for_a_pod_that_never_becomes_ready() -> None:
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": "qd-broker-0",
            "uid": "p",
            "labels": {"controller-revision-hash": "old"},
            "ownerReferences": [{"uid": "s"}],
        },
        "spec": {"containers": []},
        "status": {"conditions": [{"type": "Ready", "status": "False"}]},
    }
    owner = {
        "kind": "StatefulSet",
        "metadata": {"name": "qd-broker", "uid": "s", "generation": 2},
        "status": {"updateRevision": "new", "observedGeneration": 2},
    }
    assert stuck_pods(seen([owner, pod])) == ["qd-broker-0"]
    status: dict[str, Any] = owner["status"]  # type: ignore[assignment]
    assert not stuck_pods(seen([{**owner, "status": status | {"observedGeneration": 1}}, pod]))
    assert not stuck_pods(seen([{**owner, "status": status | {"updateRevision": "old"}}, pod]))


def test_patience_with_a_problem_begins_when_it_comes_and_ends_when_it_goes() -> None:
    (problem,) = BROKEN["image"].problems
    assert problem.patience_seconds == 60
    patience = Patience()
    assert not patience.worn_out([problem], 100.0)
    assert not patience.worn_out([problem], 159.0)
    assert patience.worn_out([problem], 160.0) == [problem]
    assert not patience.worn_out([], 161.0)
    assert not patience.worn_out([problem], 162.0)
