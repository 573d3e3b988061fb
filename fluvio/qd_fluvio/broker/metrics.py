"""What the broker shows to Prometheus, and whether it is ready. It serves and decides nothing.

Numbers are read off the broker when they are asked for, by the thread of whoever asks: so each
is one that may be a moment old, and none costs a client anything.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from qd_fluvio.broker.catalog import Catalog
from qd_fluvio.broker.hub import Hub
from qd_fluvio.telemetry import Health

_PREFIX: Final = "qd_broker_"
_PORTS: Final = "ports"


class BrokerMetrics(Collector):
    """All metrics of one broker, in a registry of their own, and its health."""

    def __init__(self) -> None:
        self.health = Health({_PORTS: "not open yet"})
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._shown: tuple[Hub, Catalog, Path] | None = None
        self.registry.register(self)

    def serving(self, hub: Hub, catalog: Catalog, data: Path) -> None:
        """Note that clients can connect, and what the numbers are read off."""
        self._shown = hub, catalog, data
        self.health.good(_PORTS)

    def stopped(self) -> None:
        """Note that clients can connect no more."""
        self._shown = None
        self.health.bad(_PORTS, "closed")

    def collect(self) -> Iterable[Metric]:
        """What Prometheus asks for."""
        if self._shown is not None:
            hub, catalog, data = self._shown
            yield from _of_hub(hub)
            yield from _of_catalog(catalog)
            yield from _of_disk(data)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value)


def _of_hub(hub: Hub) -> Iterator[Metric]:
    yield _gauge("connections", "Open connections to both ports.", hub.members)
    yield _gauge("connections_max", "As many may be open.", hub.limits.connections_max)
    yield _gauge("held_bytes", "Memory for requests and answers.", hub.held_bytes)
    yield _gauge("held_bytes_max", "Beyond it requests wait.", hub.limits.memory_bytes_max)
    yield CounterMetricFamily(_PREFIX + "sent_bytes", "Bytes of answers sent.", hub.sent_bytes)


def _of_catalog(catalog: Catalog) -> Iterator[Metric]:
    topics = catalog.topics()
    logs = [log for topic in topics for log in topic.logs]
    yield _gauge("topics", "Topics.", len(topics))
    yield _gauge("partitions", "Partitions of all topics.", len(logs))
    broken = sum(log.is_broken for log in logs)
    yield _gauge("partitions_broken", "Partitions that take no records until a restart.", broken)
    stored = sum(log.size_bytes for log in logs)
    yield _gauge("stored_bytes", "Bytes of records on the disk.", stored)


def _of_disk(data: Path) -> Iterator[Metric]:
    usage = shutil.disk_usage(data)
    yield _gauge("disk_bytes", "Size of the disk with the records.", usage.total)
    yield _gauge("disk_free_bytes", "What is free of it.", usage.free)
