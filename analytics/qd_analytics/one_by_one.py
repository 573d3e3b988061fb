"""An array of trades judged one trade at a time, where a model's code raises at the array.

The trades before the one at which it raises have their answers, however they were cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qd_analytics.causal.states import Codes
from qd_analytics.models.protocol import FrameEvaluation, Index, Levels, MarketModel
from qd_schemas.arrays import Rows


@dataclass(frozen=True, slots=True, eq=False)
class OneByOne:
    """What a model says of trades, each evaluated alone; a `FrameEvaluation`."""

    parts: Sequence[FrameEvaluation]

    @property
    def states(self) -> Codes:
        """`State` of each trade."""
        return np.concatenate([np.zeros(0, dtype=np.uint8), *(part.states for part in self.parts)])

    @property
    def starts(self) -> Index:
        """Rows that are the first of a new period."""
        return np.flatnonzero([len(part.starts) for part in self.parts])

    def levels(self, row: int) -> Levels:
        """The levels that a trade was held against."""
        return self.parts[row].levels(0)

    def explain(self, row: int) -> str:
        """One trade in words."""
        return self.parts[row].explain(0)


def one_by_one(
    market: MarketModel, rows: Rows, failure_of: Callable[[Rows, FrameEvaluation], str]
) -> tuple[OneByOne, Exception | str]:
    """Evaluate trades one by one, up to the first without an answer.

    Parameters
    ----------
    failure_of : callable
        Why the model has no answer to trades; empty where it has.

    Returns
    -------
    OneByOne
        Of the trades before it.
    Exception or str
        What was raised there, or why there is no answer; empty where all have one.
    """
    parts: list[FrameEvaluation] = []
    for at in range(len(rows)):
        row = rows[at : at + 1]
        try:
            part = market.evaluate(row)
            failure = failure_of(row, part)
        except Exception as error:  # a model is users' code
            return OneByOne(parts), error
        if failure:
            return OneByOne(parts), failure
        parts.append(part)
    return OneByOne(parts), ""
