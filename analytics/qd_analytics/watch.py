"""Which markets are watched, how far each is, and which is to be run next. No I/O.

The trackers outlive the connections: after a loss each goes on from its next sequence.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from qd_analytics.backoff import Backoff
from qd_analytics.breakout import AlertPolicy
from qd_analytics.ledger import AlertLedger
from qd_analytics.tracker import MarketTracker
from qd_schemas.specs import AnalyticsSettings


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
    settings : AnalyticsSettings
        Which markets, and how many at once.
    chance : random.Random
        Spreads the retries.
    policy, falls
        Which alerts; see `BreakoutEvaluation.alerts`.
    """

    def __init__(
        self,
        settings: AnalyticsSettings,
        chance: random.Random,
        policy: AlertPolicy = AlertPolicy.RISE,
        *,
        falls: bool = False,
    ) -> None:
        self.ledger = AlertLedger()
        self._settings = settings
        self._chance = chance
        self._policy = policy
        self._falls = falls
        self._watched: dict[int, _Watched] = {}

    def due(self, markets: Iterable[MarketInfo], now: float) -> list[MarketTracker]:
        """The markets to run now, marked as running.

        Parameters
        ----------
        markets : iterable of MarketInfo
            All that symdb lists.
        now : float
            Seconds of a monotonic clock.
        """
        free = self._settings.markets_at_once - sum(w.running for w in self._watched.values())
        chosen: list[MarketTracker] = []
        for market in markets:
            if len(chosen) >= free:
                break
            if not self._settings.watches(market.symbol):
                continue
            watched = self._known(market)
            if watched.running:
                continue
            watched.tracker.listed = market.trades
            if watched.tracker.behind and now >= watched.not_before:
                watched.running = True
                chosen.append(watched.tracker)
        return chosen

    def finished(self, tracker: MarketTracker) -> None:
        """The market's run came to its end, and its progress is told."""
        tracker.told = tracker.processed
        watched = self._watched[tracker.symbol_id]
        watched.running = False
        watched.backoff.reset()

    def failed(self, tracker: MarketTracker, now: float, *, rebuild: bool) -> float:
        """The market's run failed: try again later.

        Parameters
        ----------
        now : float
            Seconds of a monotonic clock.
        rebuild : bool
            True where its context cannot be trusted: begin again at the first trade.

        Returns
        -------
        float
            Seconds until then.
        """
        watched = self._watched[tracker.symbol_id]
        watched.running = False
        if rebuild:
            watched.tracker = self._tracker(tracker.exchange_id, tracker.symbol_id, tracker.symbol)
        delay = watched.backoff.seconds()
        watched.not_before = now + delay
        return delay

    def begin(self) -> None:
        """A session begins, its ledger is read back: nothing runs, pending alerts are checked."""
        for watched in self._watched.values():
            watched.running = False
            watched.tracker.reconcile(self.ledger)

    def forget(self) -> None:
        """Begin again with an empty ledger: the topic is a new one."""
        self.ledger = AlertLedger()
        self._watched.clear()

    def _known(self, market: MarketInfo) -> _Watched:
        known = self._watched.get(market.symbol_id)
        # Another name, or fewer trades than listed before: the database is not the one it was.
        if known is not None and not known.running and _is_another(known.tracker, market):
            known = None
        if known is None:
            tracker = self._tracker(market.exchange_id, market.symbol_id, market.symbol)
            known = _Watched(tracker, Backoff(self._chance))
            self._watched[market.symbol_id] = known
        return known

    def _tracker(self, exchange_id: int, symbol_id: int, symbol: str) -> MarketTracker:
        return MarketTracker(
            exchange_id, symbol_id, symbol, self.ledger, self._policy, falls=self._falls
        )


def _is_another(tracker: MarketTracker, market: MarketInfo) -> bool:
    # Not fewer than processed: a stream has trades that were imported after the list was made.
    return tracker.symbol != market.symbol or market.trades < tracker.listed
