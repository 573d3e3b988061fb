"""What can be read: queries as values, and the dtypes of what they give. No database.

Every query knows its own rest: `after` rows that were delivered, the query of all others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeAlias

import numpy as np

from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.bars import bar_starts
from qd_schemas.enums import Resolution
from qd_store.markets import Market

MARKED_BAR: Final[np.dtype[np.void]] = np.dtype([*BAR.descr, ("final", "?")])
"""A bar, and whether its interval is over."""

_MARKET: Final = ("market", "<i4")


class Unfinished(Enum):
    """What becomes of a market's last bar, while a trade may still fall into its interval.

    An interval is over when a trade at or after its end is stored: times never fall, so
    nothing can be added to it any more. What the clock says does not matter.
    """

    LEFT_OUT = "left out"
    """Only final bars are given."""
    INCLUDED = "included"
    """The last bar is given as it is so far, like any other."""
    MARKED = "marked"
    """The same, and rows are of `MARKED_BAR`, which says which bars are final."""


@dataclass(frozen=True, slots=True)
class TradeQuery:
    """A market's trades, in sequence order, which is time order.

    Attributes
    ----------
    market : Market
        Whose trades.
    start_time, end_time : int or None
        Trades from `start_time` on and before `end_time`, microseconds since the epoch.
    first_sequence : int
        Trades from this sequence on.
    end_sequence : int or None
        Trades before this sequence.
    """

    market: Market
    start_time: int | None = None
    end_time: int | None = None
    first_sequence: int = 1
    end_sequence: int | None = None

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Of the rows."""
        return TRADE

    def after(self, rows: Rows) -> TradeQuery:
        """The query of what follows these rows, the first that it gave."""
        if not len(rows):
            return self
        return replace(self, first_sequence=int(rows["sequence"][-1]) + 1)

    def __str__(self) -> str:
        return f"trades of {self.market.symbol} from sequence {self.first_sequence}"


@dataclass(frozen=True, slots=True)
class BarQuery:
    """A market's bars of one resolution, in time order.

    A bar is made of all trades of its interval, so bars are whole: given are those that
    start within the times. There is none for an interval without trades.

    Attributes
    ----------
    market : Market
        Whose bars.
    resolution : Resolution
        Any but NONE.
    start_time, end_time : int or None
        Bars that start from `start_time` on and before `end_time`, microseconds since the
        epoch.
    first_sequence : int
        Bars from this one on, counted from 1 at `start_time`.
    end_sequence : int or None
        Bars before this one.
    unfinished : Unfinished
        What becomes of the market's last bar.

    Raises
    ------
    ValueError
        The resolution is NONE.
    """

    market: Market
    resolution: Resolution
    start_time: int | None = None
    end_time: int | None = None
    first_sequence: int = 1
    end_sequence: int | None = None
    unfinished: Unfinished = Unfinished.LEFT_OUT

    def __post_init__(self) -> None:
        bar_starts(self.resolution, np.empty(0, np.int64))

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Of the rows."""
        return MARKED_BAR if self.unfinished is Unfinished.MARKED else BAR

    def after(self, rows: Rows) -> BarQuery:
        """The query of what follows these rows, the first that it gave."""
        return replace(self, first_sequence=max(self.first_sequence, 1) + len(rows))

    def __str__(self) -> str:
        label = self.resolution.label
        return f"{label} bars of {self.market.symbol} from number {self.first_sequence}"


@dataclass(frozen=True, slots=True)
class MergedQuery:
    """Trades, or bars, of several markets in one time order.

    Rows of equal time come in the order of `parts`, and within a market in sequence order.
    Rows are those of the parts with a field ``market`` before: `Market.key`.

    Attributes
    ----------
    parts : tuple of TradeQuery or tuple of BarQuery
        One for each market; bars may be of different resolutions.

    Raises
    ------
    ValueError
        No part, a market twice, or rows of different dtypes.
    """

    parts: tuple[TradeQuery, ...] | tuple[BarQuery, ...]

    def __post_init__(self) -> None:
        markets = [part.market.key for part in self.parts]
        if not markets or len(set(markets)) < len(markets):
            raise ValueError(f"{len(markets)} parts; expected one or more, each of its own market")
        if len({part.dtype for part in self.parts}) > 1:
            raise ValueError("the parts give rows of different dtypes; expected all the same")

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Of the rows."""
        return np.dtype([_MARKET, *self.parts[0].dtype.descr])

    def after(self, rows: Rows) -> MergedQuery:
        """The query of what follows these rows, the first that it gave."""
        by_market = rows[np.argsort(rows["market"], kind="stable")]
        markets, starts = np.unique(by_market["market"], return_index=True)
        given = dict(zip(markets.tolist(), np.split(by_market, starts[1:]), strict=True))
        parts = [
            part.after(given[part.market.key]) if part.market.key in given else part
            for part in self.parts
        ]
        return MergedQuery(tuple(parts))  # type: ignore[arg-type]  # each is what it was

    def __str__(self) -> str:
        return f"{len(self.parts)} markets merged: {', '.join(map(str, self.parts))}"


Query: TypeAlias = TradeQuery | BarQuery | MergedQuery
