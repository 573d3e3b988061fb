"""Generated trades for tests of the way out, and what their fixtures are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import numpy as np
from numpy.typing import ArrayLike

from qd_schemas.arrays import TRADE, Rows
from qd_store import Market

START_US = 1_388_534_390_000_000  # ten seconds before the year 2014
Write = Callable[[str, Rows], Awaitable[Market]]
Statement = Callable[..., list[tuple[object, ...]]]


def trades_of(gaps_us: ArrayLike, start_us: int = START_US) -> Rows:
    """Trades that are so far apart; prices and volumes that sums are inexact of."""
    times = start_us + np.cumsum(gaps_us)
    random = np.random.default_rng(len(times))
    rows = np.empty(len(times), TRADE)
    rows["sequence"] = np.arange(1, len(rows) + 1)
    rows["time"] = times
    rows["price"] = np.round(100 + np.cumsum(random.normal(0, 0.3, len(rows))), 2)
    rows["volume"] = np.round(random.exponential(1, len(rows)), 8)
    return rows
