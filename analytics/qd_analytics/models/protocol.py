"""What a model is to whoever runs it: Protocols only.

The alert service, the backtest and the plot know models by these alone. A `StreamModel` is
the rules; its `market` makes a `MarketModel`, the context of one market that rolls with its
trades; that gives a `FrameEvaluation` for each array of trades. None of them knows where
trades come from or alerts go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.states import Codes, State
from qd_schemas.arrays import Rows

Index = npt.NDArray[np.intp]
Levels = tuple[float, ...]
"""The numbers that a trade is held against, NaN where there are none."""

LEVELS_MAX: Final = 4
"""What an alert has room for."""
MODEL_ID_MAX: Final = 65_534
"""65535 is the null of u16."""
OWN_MODEL_ID_MIN: Final = 1_000
"""Lower ids are kept for the models that come with the system."""
DAILY_BREAKOUT_ID: Final = 3
YEARLY_BREAKOUT_ID: Final = 4
VOLATILITY_ID: Final = 5
"""With `ModelId`, the ids of the models that come with the system."""


class FrameEvaluation(Protocol):
    """What a model says of an array of trades."""

    @property
    def states(self) -> Codes:
        """`State` values of shape (trades,): true, false, not evaluated or error."""
        ...

    @property
    def starts(self) -> Index:
        """Rows that are the first of a new period, for the policy that alerts once in each."""
        ...

    def levels(self, row: int) -> Levels:
        """The levels that a trade was held against, as `StreamModel.level_names` names them."""
        ...

    def explain(self, row: int) -> str:
        """One trade in words: each rule with its numbers, and the rule that failed."""
        ...


class MarketModel(Protocol):
    """A model at work on one market: its context, which rolls with the trades.

    Trades come in order, each once; how they are cut into arrays must not change an answer.
    """

    @property
    def period(self) -> int:
        """Which period the last trade was in; another number for each."""
        ...

    def evaluate(self, rows: Rows) -> FrameEvaluation:
        """Evaluate the next trades (`TRADE`, at least one), and take them into the context.

        Where it raises, the trades are evaluated one by one, from what `to_json` gave before:
        those before the one that makes it raise have their answers.
        """
        ...

    def evaluate_trade(self, sequence: int, time: int, price: float, volume: float) -> State:
        """Evaluate one trade; the same answer as an array of it alone."""
        ...

    def levels(self) -> Levels:
        """The levels that the last trade was held against."""
        ...

    def to_json(self) -> Mapping[str, Any]:
        """All that is needed to go on, as plain data."""
        ...


class StreamModel(Protocol):
    """A model that can watch markets."""

    @property
    def id(self) -> int:
        """Its number in alerts; two models of different answers need different ones."""
        ...

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def version(self) -> int:
        """Counts changes that make saved states useless."""
        ...

    @property
    def level_names(self) -> tuple[str, ...]:
        """What the levels are, at most `LEVELS_MAX`, in the order in which alerts have them."""
        ...

    def market(self, saved: Mapping[str, Any] | None = None) -> MarketModel:
        """Begin with a market, or go on from what `MarketModel.to_json` gave.

        Raises
        ------
        StateUnusable
            The saved data are no state of this model.
        """
        ...

    def explain(self, price: float, levels: Sequence[float]) -> str:
        """A price against levels, in words, without any context."""
        ...

    def needs_from(self, time: int) -> int | None:
        """The first time whose trades can matter to an answer at `time`; None: all of them.

        Both in microseconds since the epoch, UTC.
        """
        ...
