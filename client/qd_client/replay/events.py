"""What a replay is made of, and what it gives. Only values.

Events are tuples and not dataclasses, because hundreds of thousands are made in a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qd_client.request import resolution_of
from qd_schemas.arrays import Rows
from qd_schemas.bars import bar_ends
from qd_schemas.enums import Resolution

Times: TypeAlias = NDArray[np.int64]
"""Microseconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True)
class Trades:
    """A market's trades: its symbol, or its symbol id."""

    symbol: str | int

    def __str__(self) -> str:
        return f"trades of {self.symbol}"

    def times_of(self, rows: Rows) -> Times:
        """When each row happens: a trade, at its time."""
        return np.ascontiguousarray(rows["time"])


@dataclass(frozen=True, slots=True)
class Bars:
    """A market's bars at a resolution, one of ``1m 5m 15m 30m 1h 1d 1M 1y``."""

    symbol: str | int
    resolution: Resolution | str

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolution", resolution_of(self.resolution))

    def __str__(self) -> str:
        return f"{resolution_of(self.resolution).label} bars of {self.symbol}"

    def times_of(self, rows: Rows) -> Times:
        """When each row happens: a bar, at its close, which is when it is over."""
        return bar_ends(resolution_of(self.resolution), np.ascontiguousarray(rows["time"]))


Market: TypeAlias = Trades | Bars
"""What a replay can be made of."""


class TradeRow(NamedTuple):
    """One trade."""

    sequence: int
    time: int
    price: float
    volume: float


class BarRow(NamedTuple):
    """One bar; its time is that of its start."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Single(NamedTuple):
    """One trade or bar, and when it happens: a bar at its close."""

    market: Market
    time: int
    row: TradeRow | BarRow


class Slice(NamedTuple):
    """Rows of one market that follow each other, with none of another market between them.

    Attributes
    ----------
    market : Trades or Bars
        What they are, as it was asked for.
    rows : ndarray of TRADE or BAR
        At least one.
    times : ndarray of int64
        When each happens, in microseconds since the epoch: bars at their close.
    """

    market: Market
    rows: Rows
    times: Times

    @property
    def time(self) -> int:
        """When the first row happens."""
        return int(self.times[0])

    def singles(self) -> Iterator[Single]:
        """Give the rows one by one."""
        market = self.market
        kind: type[TradeRow] | type[BarRow] = TradeRow if isinstance(market, Trades) else BarRow
        for time, row in zip(self.times.tolist(), self.rows.tolist(), strict=True):
            yield Single(market, time, kind(*row))


class IntervalEnd(NamedTuple):
    """An interval is over: all its trades, and the bars that close with it, were given.

    Attributes
    ----------
    start, end : int
        Microseconds since the epoch; the end is exclusive.
    is_empty : bool
        True where nothing happened. Empty intervals that follow each other are one.
    """

    start: int
    end: int
    is_empty: bool

    @property
    def time(self) -> int:
        """When it is over."""
        return self.end


ReplayEvent: TypeAlias = Slice | IntervalEnd
