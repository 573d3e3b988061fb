"""Each object is what its kind's published schema says, in several versions of Kubernetes.

The kinds of Prometheus' operator and of cert-manager are in no published schema of Kubernetes;
`test_custom_kinds` checks those fields that these manifests use, by hand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from support.kubernetes_schemas import VERSIONS, faults
from support.manifests import Json, all_objects, rendered

CUSTOM: Final[Mapping[tuple[str, str], Any]] = {
    ("monitoring.coreos.com/v1", "PodMonitor"): {
        "selector": {"matchExpressions": [{"key": str, "operator": str, "values": [str]}]},
        "podMetricsEndpoints": [
            {
                "port": str,
                "path": str,
                "interval": str,
                "scrapeTimeout": str,
                "relabelings": [{"action": str, "sourceLabels": [str], "targetLabel": str}],
            }
        ],
    },
    ("monitoring.coreos.com/v1", "PrometheusRule"): {
        "groups": [
            {
                "name": str,
                "rules": [
                    {
                        "alert": str,
                        "expr": str,
                        "for?": str,
                        "labels": {"severity": str},
                        "annotations": {"summary": str, "description": str},
                    }
                ],
            }
        ]
    },
    ("cert-manager.io/v1", "Certificate"): {
        "secretName": str,
        "issuerRef": {"group": str, "kind": str, "name": str},
        "commonName": str,
        "duration": str,
        "renewBefore": str,
        "privateKey": {"algorithm": str, "size": int, "rotationPolicy": str},
        "usages": [str],
        "dnsNames": [str],
        "ipAddresses?": [str],
    },
}
"""What the fields of kinds of others are; `?` marks one that may be missing."""


def _is_custom(found: Json) -> bool:
    return (found["apiVersion"], found["kind"]) in CUSTOM


@pytest.mark.parametrize("version", VERSIONS)
def test_each_object_is_valid(version: str) -> None:
    objects = [each for each in all_objects().values() if not _is_custom(each)]
    assert len(objects) > 50
    assert not [fault for each in objects for fault in faults(each, version)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec.update(replica=2),
        lambda spec: spec.update(replicas="two"),
        lambda spec: spec["template"]["spec"]["containers"][0]["livenessProbe"].update(every=3),
        lambda spec: spec.pop("selector"),
    ],
    ids=["unknown field", "wrong type", "unknown field deep inside", "missing field"],
)
def test_what_is_invalid_is_found(version: str, spoil: Callable[[Json], Any]) -> None:
    spoiled = copy.deepcopy(rendered("embedded").get("Deployment", "qd-gateway"))
    spoil(spoiled["spec"])
    assert faults(spoiled, version)


def test_custom_kinds() -> None:
    found = [each for each in all_objects().values() if _is_custom(each)]
    assert {(each["apiVersion"], each["kind"]) for each in found} == set(CUSTOM)
    for each in found:
        _match(each["spec"], CUSTOM[each["apiVersion"], each["kind"]], each["kind"])


def _match(found: Any, expected: Any, where: str) -> None:
    """Make sure that a value has the shape that is written down, and nothing else."""
    if isinstance(expected, dict):
        known = {name.removesuffix("?") for name in expected}
        needed = {name for name in expected if not name.endswith("?")}
        assert isinstance(found, dict), where
        assert needed <= set(found) <= known, f"{where}: {sorted(found)}"
        for name, value in found.items():
            _match(value, expected.get(name, expected.get(f"{name}?")), f"{where}.{name}")
    elif isinstance(expected, list):
        assert isinstance(found, list), where
        assert found, f"{where} is empty"
        for value in found:
            _match(value, expected[0], f"{where}[]")
    else:
        assert type(found) is expected, f"{where}: {found!r}"


def test_a_custom_kind_with_an_unknown_field_is_found() -> None:
    with pytest.raises(AssertionError, match="groups"):
        _match({"groups": [], "group": 1}, {"groups": [{"name": str}]}, "rule")
