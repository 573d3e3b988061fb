"""What the symbol master counts, for Prometheus, and whether it can answer. It serves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from qd_fluvio.telemetry import Health

_SECONDS: Final = (
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
)


class Metrics:
    """All counters of one service, and its health."""

    def __init__(self) -> None:
        self.health = Health({"database": "it was not reached yet"})
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._calls = Counter(
            "qd_symdb_calls", "Calls that ended.", ["method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "qd_symdb_call_seconds",
            "How long a call took that is not a stream.",
            ["method"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._changes = Counter("qd_symdb_changes", "Changes of symbols.", registry=registry)
        self._symbols = Gauge("qd_symdb_symbols", "Symbols with trades.", registry=registry)
        self._up = Gauge("qd_symdb_database_up", "Whether the database answers.", registry=registry)
        self._losses = Counter(
            "qd_symdb_database_failures", "Failed attempts to ask the database.", registry=registry
        )
        self._refused = Counter(
            "qd_symdb_connections_refused",
            "Connections closed because there were too many.",
            registry=registry,
        )

    def show(self, what: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when Prometheus asks."""
        Gauge(f"qd_symdb_{what}", text, registry=self.registry).set_function(value)

    def call(self, method: str, status: str, seconds: float | None) -> None:
        """Count a call; a stream has no time."""
        self._calls.labels(method, status).inc()
        if seconds is not None:
            self._seconds.labels(method).observe(seconds)

    def changed(self, changes: int, symbols: int) -> None:
        """Count changes."""
        self._changes.inc(changes)
        self._symbols.set(symbols)

    def database_found(self) -> None:
        """Note that the database answers."""
        self._up.set(True)
        self.health.good("database")

    def database_failed(self, why: str) -> None:
        """Note that the database does not answer, and count it."""
        self._up.set(False)
        self._losses.inc()
        self.health.bad("database", why)

    def refused(self) -> None:
        """Count a connection that was closed because there were too many."""
        self._refused.inc()
