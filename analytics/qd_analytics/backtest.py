"""A model over a market's history: arrays of trades in, what it says of each out. No I/O.

The answers are the service's, since both run models through `MarketRun`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from qd_analytics.causal.states import NONE, TRUE
from qd_analytics.errors import ModelFailed
from qd_analytics.market_run import Judged, MarketRun
from qd_analytics.models.loading import Chosen
from qd_schemas.arrays import Rows


def backtest(
    chosen: Chosen, arrays: Iterable[Rows], *, exchange_id: int = 0, symbol_id: int = 0
) -> Iterator[Judged]:
    """Run a model over a market's trades.

    Parameters
    ----------
    chosen : Chosen
        The model, and which of its answers raise an alert.
    arrays : iterable of TRADE arrays
        All trades in order, from the market's first on, cut in any way.
    exchange_id, symbol_id : int
        The market, as alerts name it.

    Yields
    ------
    Judged
        Of each array that is not empty; `Judged.alerts` has its alerts.

    Raises
    ------
    TradesRefused
        For trades out of order, or prices that are not finite.
    ModelFailed
        The model has no answer to a trade; the alerts before it were given.
    """
    run = MarketRun(chosen, exchange_id, symbol_id)
    for rows in arrays:
        if not len(rows):
            continue
        judged = run.evaluate(rows)
        yield judged
        if judged.failure:
            raise ModelFailed(judged.failure)


@dataclass(slots=True)
class Summary:
    """What a backtest came to.

    Attributes
    ----------
    trades, true, not_evaluated : int
        How many, and of how many the model said so.
    rises, falls : int
        How often the signal changed, whether an alert tells of it or not.
    alerts : int
        How many alerts that makes.
    """

    trades: int = 0
    true: int = 0
    not_evaluated: int = 0
    rises: int = 0
    falls: int = 0
    alerts: int = 0

    def add(self, judged: Judged) -> None:
        """Count one array's answers."""
        states = judged.evaluation.states
        self.trades += len(judged.rows)
        self.true += int(np.count_nonzero(states == TRUE))
        self.not_evaluated += int(np.count_nonzero(states == NONE))
        self.rises += len(judged.changes.rises)
        self.falls += len(judged.changes.falls)
        self.alerts += len(judged.alerts)
