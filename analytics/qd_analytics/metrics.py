"""What the alert service counts and times, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_SECONDS: Final = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)


class _Lag(Collector):
    """Trades that are stored and not evaluated yet, by market; looked up when asked for."""

    def __init__(self, lags: Callable[[], Iterable[tuple[str, int]]]) -> None:
        self._lags = lags

    def collect(self) -> Iterable[Metric]:
        """One gauge a market."""
        family = GaugeMetricFamily(
            "qd_analytics_lag_trades",
            "Trades of a market that are stored and not evaluated yet.",
            labels=["market"],
        )
        for market, lag in self._lags():
            family.add_metric([market], lag)
        yield family


class Metrics:
    """All counters of one service.

    Parameters
    ----------
    lags : callable, optional
        How far behind each market is, by name; called in the thread of the HTTP server.
    """

    def __init__(self, lags: Callable[[], Iterable[tuple[str, int]]] = tuple) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Lag(lags))
        self._trades = Counter(
            "qd_analytics_trades", "Trades evaluated.", ["model"], registry=registry
        )
        self._alerts = Counter(
            "qd_analytics_alerts",
            "Alerts that trades raised, those published before included.",
            ["model"],
            registry=registry,
        )
        self._published = Counter(
            "qd_analytics_alerts_published", "Alerts put on the topic.", registry=registry
        )
        self._seconds = Histogram(
            "qd_analytics_evaluation_seconds",
            "How long an array of trades took a model.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._errors = Counter(
            "qd_analytics_errors",
            "Failures: of a model (it ends on that market), a market's run, a session.",
            ["kind"],
            registry=registry,
        )
        self._markets = Gauge("qd_analytics_markets", "Markets watched.", registry=registry)
        self._saved = Counter("qd_analytics_checkpoints", "Checkpoints written.", registry=registry)
        for kind in ("model", "market", "session", "checkpoint"):
            self._errors.labels(kind)

    def evaluated(self, model: str, trades: int, alerts: int, began: float) -> None:
        """Count an array of trades that a model began with at a moment of `clock`."""
        self._trades.labels(model).inc(trades)
        self._alerts.labels(model).inc(alerts)
        self._seconds.labels(model).observe(self.clock() - began)

    clock = staticmethod(time.perf_counter)

    def published(self, alerts: int) -> None:
        """Count alerts that are on the topic now."""
        self._published.inc(alerts)

    def failed(self, kind: str) -> None:
        """Count a failure of a model, market, session or checkpoint."""
        self._errors.labels(kind).inc()

    def watches(self, markets: int) -> None:
        """Note how many markets are watched."""
        self._markets.set(markets)

    def saved(self, checkpoints: int) -> None:
        """Count checkpoints."""
        self._saved.inc(checkpoints)
