"""A market's run: trades in, alerts of all its models to publish out, and where it stands. No I/O.

The contexts live here, so a run that broke off goes on from the next sequence. Alerts stay
pending until the topic has them for certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qd_analytics.errors import ModelFailed, TradesRefused
from qd_analytics.ledger import AlertLedger, PairKey
from qd_analytics.market_run import MarketRun
from qd_analytics.metrics import Metrics
from qd_analytics.models.loading import Chosen
from qd_schemas.arrays import Rows
from qd_schemas.messages import BreakoutAlert, ModelProgress


@dataclass(frozen=True, slots=True)
class Market:
    """A market as messages and people name it."""

    exchange_id: int
    symbol_id: int
    symbol: str


class ModelTracker:
    """One model on one market.

    Parameters
    ----------
    chosen : Chosen
        The model.
    market : Market
        What it watches.
    ledger : AlertLedger
        What is published already; shared by all.

    Attributes
    ----------
    pending : list of BreakoutAlert
        To be published, in this order; call `published` when the topic has them.
    told : int
        The last sequence whose progress is published.
    saved : int
        The last sequence that a checkpoint is of.
    failure : str
        Why the model ended here; empty while it goes on.
    """

    def __init__(self, chosen: Chosen, market: Market, ledger: AlertLedger) -> None:
        self.chosen = chosen
        self.market = market
        self.pending: list[BreakoutAlert] = []
        self.told = 0
        self.saved = 0
        self.failure = ""
        self._ledger = ledger
        self._run = MarketRun(chosen, market.exchange_id, market.symbol_id)
        self._is_unproven = False

    @property
    def pair(self) -> PairKey:
        """The model and the market."""
        return (self.chosen.model.id, self.market.exchange_id, self.market.symbol_id)

    @property
    def processed(self) -> int:
        """How many trades were evaluated: also the sequence of the last one."""
        return self._run.last_sequence

    @property
    def wanted(self) -> int:
        """The first trade to stream; after a restart the last one again, to know it by."""
        return self.processed if self._is_unproven else self.processed + 1

    @property
    def is_fresh(self) -> bool:
        """Whether it begins with the market's first trade."""
        return self.processed == 0

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        StateUnusable
            It is of another model, or damaged; nothing has changed then.
        """
        self._run.restore(state)
        self.saved = self.processed
        self._is_unproven = self.processed > 0

    def state(self) -> dict[str, Any]:
        """What `restore` takes; only while nothing is pending."""
        return self._run.to_json()

    def mark_now(self, end: int) -> int:
        """The mark of a checkpoint made now, where the alerts topic ends at `end` at least."""
        # A process before this one may have published alerts of trades yet to come.
        return self._ledger.since if self._ledger.highest(self.pair) > self.processed else end

    def progress(self) -> ModelProgress:
        """What can be told once nothing is pending."""
        return ModelProgress(
            symbol_id=self.market.symbol_id,
            exchange_id=self.market.exchange_id,
            model_id=self.chosen.model.id,
            sequence=self.processed,
        )

    def accept(self, rows: Rows) -> int:
        """Evaluate those of these trades that are new; see `MarketTracker.accept`."""
        if self.failure:
            return 0
        new = rows[self._known_of(rows) :]
        if not len(new):
            return 0
        try:
            judged = self._run.evaluate(new)
        except ModelFailed as error:
            self.failure = str(error)
            return 0
        self.pending += [alert for alert in judged.alerts if alert not in self._ledger]
        self.failure = judged.failure
        return len(judged.alerts)

    def published(self, count: int) -> None:
        """The first `count` pending alerts are on the topic for certain."""
        for alert in self.pending[:count]:
            self._ledger.published(alert)
        del self.pending[:count]

    def reconcile(self, ledger: AlertLedger) -> None:
        """After the topic was read back: drop what turned out to be on it."""
        self._ledger = ledger
        self.pending = [alert for alert in self.pending if alert not in ledger]

    def _known_of(self, rows: Rows) -> int:
        """How many of these trades were evaluated before; the last one must be as it was."""
        known = self.processed - int(rows["sequence"][0]) + 1
        if known <= 0:
            return 0
        if self._is_unproven and known <= len(rows):
            same = rows[known - 1]
            if (same["time"], same["price"]) != (self._run.last_time, self._run.last_price):
                raise TradesRefused(
                    f"{self.market.symbol}: trade {self.processed} is not the one that it was "
                    "before the restart: the database is another one, or was made anew"
                )
            self._is_unproven = False
        return min(known, len(rows))


class MarketTracker:
    """The state of one watched market, for all its models.

    Attributes
    ----------
    listed : int
        How many trades the market has, as symdb last said.
    failures : list of str
        Why models ended, since the last look.
    """

    def __init__(
        self,
        market: Market,
        models: Sequence[Chosen],
        ledger: AlertLedger,
        metrics: Metrics | None = None,
    ) -> None:
        self.market = market
        self._metrics = metrics or Metrics()
        self.models = [ModelTracker(chosen, market, ledger) for chosen in models]
        self.listed = 0
        self.failures: list[str] = []

    @property
    def live(self) -> list[ModelTracker]:
        """The models that have not ended."""
        return [model for model in self.models if not model.failure]

    @property
    def next_sequence(self) -> int:
        """The trade from which to go on."""
        return min((model.wanted for model in self.live), default=self.listed + 1)

    @property
    def processed(self) -> int:
        """How many trades all models have evaluated."""
        return min((model.processed for model in self.live), default=0)

    @property
    def pending(self) -> int:
        """How many alerts are to be published."""
        return sum(len(model.pending) for model in self.models)

    @property
    def behind(self) -> bool:
        """True while there is something to evaluate, to publish or to tell."""
        return bool(self.pending) or any(
            model.processed < self.listed or model.told < model.processed for model in self.live
        )

    @property
    def has_new(self) -> bool:
        """Whether there are trades to evaluate."""
        return any(model.processed < self.listed for model in self.live)

    def accept(self, rows: Rows) -> int:
        """Evaluate the next trades and add their alerts to what is pending.

        A model that fails ends; `failures` says why, and the others go on.

        Parameters
        ----------
        rows : TRADE array, shape (trades,)
            From the last array's end on (at first from `next_sequence` on), none left out.

        Returns
        -------
        int
            How many alerts these trades raise, those included that are published already.

        Raises
        ------
        TradesRefused
            For a gap, or trades that no model takes; begin the market again then.
        """
        if not len(rows):
            return 0
        first, last = int(rows["sequence"][0]), int(rows["sequence"][-1])
        if first > self.next_sequence or last - first != len(rows) - 1:
            raise TradesRefused(
                f"{self.market.symbol}: {len(rows)} trades have the sequences {first} to {last}; "
                f"expected them from {self.next_sequence} without a gap"
            )
        alerts = 0
        for model in self.live:
            began, before = self._metrics.clock(), model.processed
            raised = model.accept(rows)
            alerts += raised
            name = model.chosen.model.name
            self._metrics.evaluated(name, model.processed - before, raised, began)
            if model.failure:
                self.failures.append(model.failure)
        return alerts

    def reconcile(self, ledger: AlertLedger) -> None:
        """After the topic was read back: drop what turned out to be on it."""
        for model in self.models:
            model.reconcile(ledger)
