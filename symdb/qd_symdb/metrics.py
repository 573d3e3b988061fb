"""What the symbol master counts, and where Prometheus reads it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)

from qd_schemas.specs import SymdbSettings
from qd_symdb.errors import CannotListen

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
    """All counters of one service."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
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
            "qd_symdb_connections_refused", "Connections over the limit.", registry=registry
        )

    def show(self, what: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when Prometheus asks."""
        Gauge(f"qd_symdb_{what}", text, registry=self._registry).set_function(value)

    def call(self, method: str, status: str, seconds: float | None) -> None:
        """Count a call; a stream has no time."""
        self._calls.labels(method, status).inc()
        if seconds is not None:
            self._seconds.labels(method).observe(seconds)

    def changed(self, changes: int, symbols: int) -> None:
        """Count changes."""
        self._changes.inc(changes)
        self._symbols.set(symbols)

    def database(self, *, up: bool) -> None:
        """Note that the database answers, or count that it does not."""
        self._up.set(up)
        if not up:
            self._losses.inc()

    def refused(self) -> None:
        """Count a refused connection."""
        self._refused.inc()

    @contextlib.contextmanager
    def served(self, where: SymdbSettings | None) -> Iterator[str]:
        """Serve them over HTTP while the block runs; gives ``host:port``, empty for nowhere.

        Raises
        ------
        CannotListen
            The address is taken, or not this machine's.
        """
        if where is None:
            yield ""
            return
        try:
            server, thread = start_http_server(where.port, where.host, self._registry)
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {where.endpoint} ({error.strerror}); "
                "expected a free port of this machine in QD_SYMDB_METRICS, or port 0"
            ) from error
        try:
            yield SymdbSettings(where.host, server.server_port).endpoint
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
