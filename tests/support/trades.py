"""Arrays of trades for tests: from lists, from CSVs, from the reference's own trades."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from qd_schemas.arrays import TRADE, Rows
from support.reference import Trade, trades_of


def trade_rows(times: Sequence[str | int], prices: Sequence[float], first: int = 1) -> Rows:
    """Trades at given times (dates, or microseconds) and prices, sequences from `first`."""
    rows = np.zeros(len(prices), dtype=TRADE)
    rows["sequence"] = np.arange(first, first + len(prices))
    rows["time"] = np.array(list(times), dtype="datetime64[us]").astype(np.int64)
    rows["price"] = prices
    rows["volume"] = 1.0
    return rows


def rows_of(path: Path) -> Rows:
    """A CSV's trades in stable time order."""
    return as_rows(trades_of(path)[0])


def as_rows(trades: Iterable[Trade]) -> Rows:
    """The reference's trades as an array."""
    return np.array([(t.sequence, t.time_us, t.price, t.volume) for t in trades], dtype=TRADE)


def as_trades(rows: Rows) -> list[Trade]:
    """An array as the reference's trades."""
    return [Trade(*row) for row in rows.tolist()]
