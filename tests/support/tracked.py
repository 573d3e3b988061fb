"""Trackers and watches without I/O: markets as lists of trades, topics as lists of alerts."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from qd_analytics.checkpoints import Checkpoint, CheckpointLog, Written, written
from qd_analytics.ledger import AlertLedger
from qd_analytics.models import Chosen, choose_all
from qd_analytics.tracker import Market, MarketTracker
from qd_analytics.watch import Watch
from qd_schemas.arrays import Rows
from qd_schemas.messages import BreakoutAlert
from support.reference import rises
from support.trades import as_trades, trade_rows


def market(seed: int, trades: int = 400) -> Rows:
    """A random walk over some months, with many rises."""
    chance = np.random.default_rng(seed)
    times = np.datetime64("2023-10-20", "us").astype(np.int64) + np.sort(
        chance.integers(0, 200 * 86_400, trades) * 1_000_000
    )
    return trade_rows(times.tolist(), (100 + np.cumsum(chance.normal(0.05, 1, trades))).tolist())


MONTHLY = choose_all("monthly-breakout")


def tracker(
    ledger: AlertLedger, symbol_id: int = 1, models: tuple[Chosen, ...] = MONTHLY
) -> MarketTracker:
    return MarketTracker(Market(1, symbol_id, f"M{symbol_id}"), models, ledger)


def pending(run: MarketTracker) -> list[BreakoutAlert]:
    return [alert for model in run.models for alert in model.pending]


def published(run: MarketTracker, count: int | None = None) -> None:
    """The first pending alerts of the only model are on the topic; all without a count."""
    (model,) = run.models
    model.published(len(model.pending) if count is None else count)


def sequences(alerts: Iterable[BreakoutAlert]) -> list[int]:
    return [alert.sequence for alert in alerts]


def expected(rows: Rows) -> list[int]:
    return [sequence for sequence, _, _ in rises(as_trades(rows))]


@dataclass(frozen=True)
class Info:
    symbol_id: int
    trades: int
    symbol: str = ""
    exchange_id: int = 1


class Watching(Watch):
    """A watch that is told of all markets at once."""

    def due_of(self, listed: Iterable[Info], now: float) -> list[MarketTracker]:
        for info in listed:
            self.changed(info)
        return self.due(now)


def watch(symbols: tuple[str, ...] = (), at_once: int = 4, models: str = "") -> Watching:
    chosen = choose_all(models or "monthly-breakout")
    return Watching(chosen, symbols, at_once, random.Random(1))


def done(watched: Watch, run: MarketTracker) -> None:
    """The run came to its end, and its progress is told."""
    for model in run.models:
        model.told = model.processed
    watched.finished(run)


def infos(*trades: int) -> list[Info]:
    return [Info(n, count, f"M{n}") for n, count in enumerate(trades, 1)]


def names(due: list[MarketTracker]) -> list[str]:
    return [run.market.symbol for run in due]


def checkpoint(run: MarketTracker, log: CheckpointLog, end: int = 0) -> list[Written]:
    """Save a run; gives the records."""
    records = []
    for model in run.models:
        saved = Checkpoint(
            model.pair,
            run.market.symbol,
            log.revision(model.pair),
            model.mark_now(end),
            model.state(),
        )
        records.append(written(saved))
        log.add(records[-1])
        model.saved = model.processed
    return records
