"""What queries of Prometheus name, and what registries of metrics have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import promql_parser as promql
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

OF_TARGETS: Final = frozenset({"namespace", "pod", "container", "component", "job", "instance"})
"""Labels that scraping adds to each series."""
_SERIES: Final = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gauge": ("",),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What one query names."""

    metrics: dict[str, dict[str, str]] = field(default_factory=dict)
    """Each metric, with what is asked of its labels."""
    labels: set[str] = field(default_factory=set)
    """The labels that it groups or matches by."""


def asked(query: str) -> Asked:
    """What a query names; ValueError where it is none."""
    found = Asked()

    def see(node: promql.Expr) -> bool:
        if isinstance(node, promql.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql.VectorSelector):
            assert node.name is not None
            matchers = {each.name: each.value for each in node.matchers.matchers}
            found.metrics.setdefault(node.name, {}).update(matchers)
        elif isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            found.labels.update(node.modifier.labels)
        elif isinstance(node, promql.BinaryExpr):
            matching = node.modifier.matching if node.modifier else None
            found.labels.update(matching.labels if matching else ())
        return True

    promql.walk(promql.parse(query), see)
    return found


def series_of(registry: CollectorRegistry) -> dict[str, frozenset[str]]:
    """The series that a registry has or may have, each with its labels."""
    labels = {
        name: frozenset(getattr(collector, "_labelnames", ()))
        for collector, names in registry._collector_to_names.items()
        for name in names
    }
    found: dict[str, frozenset[str]] = {}
    for family in registry.collect():
        found |= _of_family(family, labels.get(family.name, frozenset()))
    return found


def series_told(text: str) -> dict[str, frozenset[str]]:
    """The series that a service told at /metrics, each with its labels."""
    found: dict[str, frozenset[str]] = {}
    for family in text_string_to_metric_families(text):
        found |= _of_family(family, frozenset())
    return found


def _of_family(family: Metric, labels: frozenset[str]) -> Mapping[str, frozenset[str]]:
    seen = {key for sample in family.samples for key in sample.labels}
    extra = {"le"} if family.type == "histogram" else set()
    return {
        family.name + ending: labels | seen | extra for ending in _SERIES.get(family.type, ("",))
    }
