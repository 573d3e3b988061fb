"""Which markets are watched, how far each is, and which is to be run next. No I/O.

The trackers outlive the connections: after a loss each goes on from its next sequence.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from qd_analytics.backoff import Backoff
from qd_analytics.checkpoints import Checkpoint, CheckpointLog
from qd_analytics.errors import StateUnusable
from qd_analytics.ledger import AlertLedger
from qd_analytics.metrics import Metrics
from qd_analytics.models.loading import Chosen
from qd_analytics.tracker import Market, MarketTracker, ModelTracker

_log = logging.getLogger("qd_analytics")


class MarketInfo(Protocol):
    """What symdb says of a market."""

    @property
    def exchange_id(self) -> int:
        """Its exchange."""
        ...

    @property
    def symbol_id(self) -> int:
        """Its id there."""
        ...

    @property
    def symbol(self) -> str:
        """Its name."""
        ...

    @property
    def trades(self) -> int:
        """How many trades there are: the sequence of the last one."""
        ...


@dataclass(slots=True)
class _Watched:
    tracker: MarketTracker
    backoff: Backoff
    not_before: float = 0.0
    running: bool = False


class Watch:
    """The watched markets.

    Parameters
    ----------
    models : sequence of Chosen
        What watches each of them.
    symbols : collection of str
        Which markets are watched; none means all.
    at_once : int
        How many run at the same time.
    chance : random.Random
        Spreads the retries.
    metrics : Metrics, optional
        Where trades are counted.

    Attributes
    ----------
    ledger : AlertLedger
        The alerts that are published.
    checkpoints : CheckpointLog
        From where markets go on that are seen for the first time.
    """

    def __init__(
        self,
        models: Sequence[Chosen],
        symbols: Collection[str],
        at_once: int,
        chance: random.Random,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self.ledger = AlertLedger()
        self.checkpoints = CheckpointLog()
        self._models = models
        self._symbols = frozenset(symbols)
        self._at_once = at_once
        self._chance = chance
        self._listed: dict[int, MarketInfo] = {}
        self._watched: dict[int, _Watched] = {}

    def __iter__(self) -> Iterator[MarketTracker]:
        return iter([watched.tracker for watched in self._watched.values()])

    @property
    def markets(self) -> int:
        """How many are watched."""
        return len(self._listed)

    def changed(self, market: MarketInfo) -> None:
        """Take note of a market that is new, or has changed."""
        if not self._symbols or market.symbol in self._symbols:
            self._listed[market.symbol_id] = market
        else:
            self._listed.pop(market.symbol_id, None)  # it has another name now

    def removed(self, market: MarketInfo) -> None:
        """Take note of a market that is no more."""
        self._listed.pop(market.symbol_id, None)

    def due(self, now: float) -> list[MarketTracker]:
        """The markets to run now, marked as running.

        Parameters
        ----------
        now : float
            Seconds of a monotonic clock.
        """
        free = self._at_once - sum(watched.running for watched in self._watched.values())
        chosen: list[MarketTracker] = []
        for market in self._listed.values():
            if len(chosen) >= free:
                break
            watched = self._known(market)
            if watched.running:
                continue
            watched.tracker.listed = market.trades
            if watched.tracker.behind and now >= watched.not_before:
                watched.running = True
                chosen.append(watched.tracker)
        return chosen

    def next_try(self, now: float) -> float | None:
        """When the next market that failed may run again; None where none waits for its time.

        One whose time has come waits for another to finish.
        """
        waiting = [
            watched.not_before
            for watched in self._watched.values()
            if not watched.running and watched.not_before > now and watched.tracker.behind
        ]
        return min(waiting, default=None)

    def finished(self, tracker: MarketTracker) -> None:
        """The market's run came to its end, and its progress is told."""
        watched = self._watched[tracker.market.symbol_id]
        watched.running = False
        watched.not_before = 0.0
        watched.backoff.reset()

    def failed(self, tracker: MarketTracker, now: float, *, rebuild: bool) -> float:
        """The market's run failed: try again later.

        Parameters
        ----------
        now : float
            Seconds of a monotonic clock.
        rebuild : bool
            True where its contexts cannot be trusted: begin again at the first trade.

        Returns
        -------
        float
            Seconds until then.
        """
        watched = self._watched[tracker.market.symbol_id]
        watched.running = False
        if rebuild:
            watched.tracker = self._tracker(tracker.market)
        delay = watched.backoff.seconds()
        watched.not_before = now + delay
        return delay

    def lags(self) -> list[tuple[str, int]]:
        """How many trades each market is behind, by name; may be asked in any thread."""
        trackers = [watched.tracker for watched in list(self._watched.values())]
        return [
            (tracker.market.symbol, max(tracker.listed - tracker.processed, 0))
            for tracker in trackers
            if tracker.live
        ]

    def restore(self, checkpoints: CheckpointLog) -> None:
        """Go on from these; the alerts topic is to be read back from where they need it."""
        ids = {chosen.model.id for chosen in self._models}
        marks = [
            saved.mark
            for pair in checkpoints
            if pair[0] in ids and (saved := checkpoints.newest(pair)) is not None
        ]
        self.checkpoints = checkpoints
        # The topic was as long as the highest mark says: one that is shorter is another one.
        self.ledger = AlertLedger(min(marks, default=0), max(marks, default=0))

    def begin(self) -> None:
        """A session begins, its ledger is read back: nothing runs, pending alerts are checked."""
        for watched in self._watched.values():
            watched.running = False
            watched.tracker.reconcile(self.ledger)

    def forget(self) -> None:
        """Begin again: the alerts topic is a new one, and the checkpoints are revoked."""
        self.ledger = AlertLedger()
        self._watched.clear()

    def unsaved(self) -> list[ModelTracker]:
        """What could be saved now and is not, the longest unsaved stretch first."""
        found = [
            model
            for tracker in self
            for model in tracker.live
            if model.processed > model.saved and not model.pending
        ]
        return sorted(found, key=lambda model: model.saved - model.processed)

    def _known(self, market: MarketInfo) -> _Watched:
        known = self._watched.get(market.symbol_id)
        # Another name, or fewer trades than listed before: the database is not the one it was.
        if known is not None and not known.running and _is_another(known.tracker, market):
            known = None
        if known is None:
            known = _Watched(self._first(market), Backoff(self._chance))
            self._watched[market.symbol_id] = known
        return known

    def _tracker(self, market: Market) -> MarketTracker:
        return MarketTracker(market, self._models, self.ledger, self._metrics)

    def _first(self, market: MarketInfo) -> MarketTracker:
        """A tracker of a market that is new here, from its checkpoints where there are."""
        named = Market(market.exchange_id, market.symbol_id, market.symbol)
        tracker = self._tracker(named)
        for model in tracker.models:
            saved = self.checkpoints.newest(model.pair)
            if saved is not None:
                _restore(model, saved, market)
        return tracker


def _restore(model: ModelTracker, saved: Checkpoint, market: MarketInfo) -> None:
    try:
        if saved.symbol != market.symbol:
            raise StateUnusable(f"it is of market {saved.symbol}")
        sequence = saved.state.get("sequence")
        if isinstance(sequence, int) and sequence > market.trades:
            raise StateUnusable(f"it is of more trades than the {market.trades} that there are")
        model.restore(saved.state)
    except StateUnusable as error:
        _log.warning(
            "%s begins at the first trade of %s: its checkpoint is of no use: %s",
            *(model.chosen.model.name, market.symbol, error),
        )


def _is_another(tracker: MarketTracker, market: MarketInfo) -> bool:
    # Not fewer than processed: a stream has trades that were imported after the list was made.
    return tracker.market.symbol != market.symbol or market.trades < tracker.listed
