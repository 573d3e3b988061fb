"""Alerts and the dashboard: each metric is one that the services have, each label its own."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

import pytest
from grpclib.const import Status

from qd_analytics.metrics import Metrics as AnalyticsMetrics
from qd_gateway.core.slots import SLOTS
from qd_gateway.metrics import GatewayMetrics
from qd_schemas.enums import EndReason, Reason
from qd_symdb.guard import Guard
from qd_symdb.listening import BoundedServer
from qd_symdb.metrics import Metrics as SymdbMetrics
from support.manifests import K8S, OVERLAYS, Json, is_selected, rendered
from support.processes import running
from support.queries import OF_TARGETS, asked, series_of, series_told

Series = Mapping[str, frozenset[str]]

OF_OTHERS: Final[Series] = {
    # The kubelet's.
    "kubelet_volume_stats_available_bytes": frozenset({"persistentvolumeclaim"}),
    "kubelet_volume_stats_capacity_bytes": frozenset({"persistentvolumeclaim"}),
    "container_memory_working_set_bytes": frozenset(),
    # kube-state-metrics'.
    "kube_statefulset_status_replicas_ready": frozenset({"statefulset"}),
    "kube_pod_container_status_restarts_total": frozenset(),
    "kube_pod_container_resource_limits": frozenset({"resource"}),
    "kube_job_status_failed": frozenset({"job_name"}),
    "kube_job_status_succeeded": frozenset({"job_name"}),
    # cert-manager's.
    "certmanager_certificate_expiration_timestamp_seconds": frozenset({"name"}),
}
"""Metrics of others, each with its labels beside those of all targets."""
WATCHED: Final = [name for name in OVERLAYS if name.endswith("with all")]
NEEDED: Final = {
    "QdGatewayDown",
    "QdStreamLag",
    "QdStreamErrors",
    "QdDatabaseDisk",
    "QdAnalyticsSilent",
    "QdSymdbDown",
    "QdAnalyticsDown",
    "QdDatabaseDown",
}


@pytest.fixture(scope="module")
def told_by_broker(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a broker's /metrics says; its numbers are there only while it runs."""
    folder = tmp_path_factory.mktemp("broker")
    words = ("--data", str(folder / "data"))
    env = {"QD_BROKER_METRICS": "127.0.0.1:0"}
    with running("qd_fluvio.broker", *words, folder=folder, env=env) as ready:
        url = f"http://{ready['metrics']}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            told = answer.read().decode()
    return str(told)


async def _listening(symdb: SymdbMetrics) -> None:
    """Make the series of symdb's server, which wants an event loop."""
    BoundedServer([], 1, symdb)


@pytest.fixture(scope="module")
def known(told_by_broker: str) -> Series:
    """All series that there can be."""
    symdb = SymdbMetrics()
    Guard([], 1, 1, symdb)
    asyncio.run(_listening(symdb))
    return {
        **OF_OTHERS,
        **series_of(GatewayMetrics().registry),
        **series_of(symdb.registry),
        **series_of(AnalyticsMetrics(lambda: [("XBTUSD", 1)]).registry),
        **series_told(told_by_broker),
    }


def rules() -> list[Json]:
    (found,) = rendered(WATCHED[0]).of("PrometheusRule")
    return [rule for group in found["spec"]["groups"] for rule in group["rules"]]


def dashboard() -> Json:
    text = rendered(WATCHED[0]).get("ConfigMap", "qd-dashboard")["data"]["qd.json"]
    found: Json = json.loads(text)
    return found


def panels() -> list[Json]:
    return [each for each in dashboard()["panels"] if each["type"] != "row"]


def queries() -> dict[str, str]:
    """Every query, by where it is."""
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            where = f"{panel['title']} {target['refId']}"
            assert where not in found
            found[where] = target["expr"].replace("$__rate_interval", "5m")
    return found


def faults(query: str, known: Series) -> list[str]:
    """The metrics and labels of a query that do not exist."""
    named = asked(query)
    wrong = [name for name in named.metrics if name not in known]
    there = [known[name] for name in named.metrics if name in known]
    labels = OF_TARGETS.union(*there)
    wrong += [label for label in named.labels if label not in labels]
    for name, matchers in named.metrics.items():
        wrong += [key for key in matchers if key not in OF_TARGETS | known.get(name, frozenset())]
    return wrong


def test_each_metric_and_label_exists(known: Series) -> None:
    found = {where: wrong for where, query in queries().items() if (wrong := faults(query, known))}
    assert not found


def test_metrics_of_others_are_all_used() -> None:
    used = {name for query in queries().values() for name in asked(query).metrics}
    assert set(OF_OTHERS) <= used


@pytest.mark.parametrize(
    "query",
    [
        "sum(qd_gateway_stream_running)",
        "sum by (outcom) (qd_gateway_stream_ends_total)",
        'rate(qd_gateway_rows_sent_total{sort="bars"}[5m])',
        "qd_gateway_rows_sent",
    ],
)
def test_what_does_not_exist_is_found(query: str, known: Series) -> None:
    assert faults(query, known)


def test_values_that_alerts_ask_for_exist(known: Series) -> None:
    outcomes = {each.name.lower() for each in (*Reason, *EndReason)} | {"aborted"}
    values = {
        ("qd_gateway_stream_ends_total", "outcome"): outcomes,
        ("qd_symdb_calls_total", "status"): {each.name for each in Status},
    }
    tried = set()
    for rule in rules():
        for name, matchers in asked(rule["expr"]).metrics.items():
            for key, text in matchers.items():
                if (name, key) in values:
                    assert set(text.split("|")) <= values[name, key]
                    tried.add((name, key))
    assert tried == set(values)


def test_the_alerts_that_are_asked_for_are_there() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    assert set(names) >= NEEDED


def test_alerts_of_the_guide_exist() -> None:
    guide = (K8S.parent / "docs" / "deploy.md").read_text()
    told = set(re.findall(r"\bQd[A-Z]\w+", guide))
    assert told
    assert told <= {rule["alert"] for rule in rules()}


def test_each_alert_says_what_to_do() -> None:
    for rule in rules():
        name = rule["alert"]
        assert re.fullmatch(r"(Qd[A-Z]\w+)", name)
        assert rule["labels"]["severity"] in ("critical", "warning")
        for text in rule["annotations"].values():
            assert len(text) > 10, name
            assert text.rstrip()[-1] in ".?", name
        named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        query = asked(rule["expr"])
        by = query.labels or OF_TARGETS.union(*(OF_OTHERS.get(m, ()) for m in query.metrics))
        assert named <= by, f"{name} tells of {named}, and has {by}"


def test_the_autoscalers_metric_exists(known: Series) -> None:
    (scaler,) = rendered("production").of("HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in known


def test_all_slots_are_the_number_that_the_alert_knows() -> None:
    (rule,) = (each for each in rules() if each["alert"] == "QdClientsUnserved")
    assert rule["expr"].endswith(f"< {SLOTS}")


def test_the_dashboard_is_whole() -> None:
    found = dashboard()
    ids = [each["id"] for each in found["panels"]]
    assert len(ids) == len(set(ids))
    variables = {each["name"] for each in found["templating"]["list"]}
    for panel in panels():
        assert panel["title"]
        assert panel["targets"]
        used = set(re.findall(r"\$\{?(\w+)", json.dumps(panel))) - {"__rate_interval"}
        assert used == variables, f"{panel['title']} uses {used}"
    places = [_place(each) for each in found["panels"]]
    for one, other in ((a, b) for i, a in enumerate(places) for b in places[i + 1 :]):
        assert not (one & other), "no two pictures lie on each other"


def _place(panel: Json) -> set[tuple[int, int]]:
    at: dict[str, Any] = panel["gridPos"]
    return {
        (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    }


@pytest.mark.parametrize("variant", WATCHED)
def test_every_pod_with_metrics_is_scraped(variant: str) -> None:
    found = rendered(variant)
    (monitor,) = found.of("PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    scraped = {
        pod.name for pod in found.pods() if is_selected(monitor["spec"]["selector"], pod.labels)
    }
    assert scraped == {pod.name for pod in found.pods() if endpoint["port"] in pod.ports}
    assert scraped


def test_every_metric_of_the_services_is_shown_or_watched(known: Series) -> None:
    used = {name for query in queries().values() for name in asked(query).metrics}
    bases = {re.sub(r"_(total|created|bucket|sum|count)$", "", name) for name in used}
    own = {re.sub(r"_(total|created|bucket|sum|count)$", "", name) for name in known}
    assert not {name for name in own if name.startswith("qd_")} - bases
