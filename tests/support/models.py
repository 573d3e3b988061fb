"""Streams of trades for models, and a model that owes nothing to the ones that are shipped."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from qd_analytics.causal.states import Codes, State
from qd_analytics.models.protocol import Index, Levels
from qd_schemas.arrays import Rows
from support.trades import trade_rows

SHIPPED = [
    ("monthly-breakout",),
    ("weekly-breakout",),
    ("daily-breakout",),
    ("yearly-breakout",),
    ("volatility", "days=4", "calm_days=2", "times=0.5"),
]
"""Each shipped model, with settings that let it speak in short streams."""


@st.composite
def streams(draw: st.DrawFn) -> Rows:
    """Trades over months with gaps, few enough prices to hit every level exactly."""
    days = draw(st.lists(st.integers(0, 200), max_size=60))
    prices = draw(st.lists(st.sampled_from([9.0, 10.0, 10.5, 11.0, 12.0]), min_size=len(days)))
    times = np.datetime64("2023-10-20", "us") + np.sort(days) * np.timedelta64(24 * 3600, "s")
    return trade_rows(times.astype(np.int64).tolist(), prices[: len(days)])


def walk(seed: int, trades: int = 3_000, days: int = 400) -> Rows:
    """A random walk with many signals, its times in whole seconds."""
    chance = np.random.default_rng(seed)
    start = np.datetime64("2021-11-03", "us").astype(np.int64)
    times = start + np.sort(chance.integers(0, days * 86_400, trades)) * 1_000_000
    prices = 100 + np.cumsum(np.round(chance.normal(0.01, 0.5, trades), 2))
    return trade_rows(times.tolist(), np.round(np.abs(prices) + 1, 2).tolist())


@dataclass(frozen=True)
class Evaluated:
    """What `AboveMean` says of an array."""

    states: Codes
    means: list[float]
    starts: Index = field(default_factory=lambda: np.empty(0, dtype=np.intp))

    def levels(self, row: int) -> Levels:
        return (self.means[row],)

    def explain(self, row: int) -> str:
        return f"mean {self.means[row]}: {State(int(self.states[row])).label}"


class AboveMeanMarket:
    """The last prices of one market."""

    period = 0

    def __init__(self, count: int, saved: Mapping[str, Any] | None) -> None:
        self._last: deque[float] = deque(saved["last"] if saved else (), maxlen=count)
        self._mean = float("nan")

    def evaluate(self, rows: Rows) -> Evaluated:
        states, means = [], []
        for trade in rows.tolist():
            states.append(self.evaluate_trade(*trade))
            means.append(self._mean)
        return Evaluated(np.array(states, dtype=np.uint8), means)

    def evaluate_trade(self, sequence: int, time: int, price: float, volume: float) -> State:
        full = len(self._last) == self._last.maxlen
        self._mean = sum(self._last) / len(self._last) if full else float("nan")
        self._last.append(price)
        if not full:
            return State.NOT_EVALUATED
        return State.TRUE if price > self._mean else State.FALSE

    def levels(self) -> Levels:
        return (self._mean,)

    def to_json(self) -> Mapping[str, Any]:
        return {"last": list(self._last)}


@dataclass(frozen=True)
class AboveMean:
    """The price is above the mean of the last trades' prices: no calendar, no causal graph."""

    count: int
    id: int = 1_234
    name: str = "above-mean"
    version: int = 1
    level_names: tuple[str, ...] = ("mean",)

    def market(self, saved: Mapping[str, Any] | None = None) -> AboveMeanMarket:
        return AboveMeanMarket(self.count, saved)

    def explain(self, price: float, levels: Sequence[float]) -> str:
        return f"price {price} is held against the mean {levels[0]}"

    def needs_from(self, time: int) -> int | None:
        return None


def above_mean(count: int = 5) -> AboveMean:
    """The price is above the mean of the last trades' prices."""
    return AboveMean(count)
