"""Exchanges and markets as the store knows them: values and their queries, no connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qd_store.times import MICROSECONDS

MARKET_SHIFT = 65_536
SYMBOL_ID_MAX = 65_534  # 65535 is SBE's null of a u16


EXCHANGES = "SELECT exchange_id, name FROM exchange ORDER BY exchange_id"

# A symbol without trades is an import that has not finished.
_WITH_TRADES = f"""
SELECT exchange_id, symbol_id, symbol, trades,
    {MICROSECONDS.format("first_time")}, {MICROSECONDS.format("last_time")}
FROM symbol WHERE trades > 0
"""
ALL = f"{_WITH_TRADES} ORDER BY market"
SOME = f"{_WITH_TRADES} AND market = ANY(%s) ORDER BY market"
_MARKETS = f"{_WITH_TRADES} AND exchange_id = %s"
MARKETS = f"{_MARKETS} ORDER BY symbol_id"
MARKET_BY_ID = f"{_MARKETS} AND symbol_id = %s"
MARKET_BY_SYMBOL = f"{_MARKETS} AND symbol = %s"


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange and its u8 id."""

    exchange_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Market:
    """A symbol on an exchange, with what is stored of it.

    Attributes
    ----------
    exchange_id, symbol_id : int
        u8, and u16 within the exchange.
    symbol : str
        The exchange's own name of it, such as ``XBTEUR``.
    trades : int
        How many trades are stored, which is also the last sequence.
    first_time, last_time : int
        Of the first and last trade, microseconds since the epoch, UTC.
    """

    exchange_id: int
    symbol_id: int
    symbol: str
    trades: int
    first_time: int
    last_time: int

    @property
    def key(self) -> int:
        """The market's number in the tables."""
        return market_key(self.exchange_id, self.symbol_id)


def market_key(exchange_id: int, symbol_id: int) -> int:
    """The number of a market in the tables, as the table `symbol` makes it."""
    return exchange_id * MARKET_SHIFT + symbol_id


def market_of(row: Sequence[Any]) -> Market:
    """A market from a row of the queries above."""
    return Market(*row)
