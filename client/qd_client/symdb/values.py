"""What the symbol master says, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class MarketInfo:
    """A symbol on an exchange, and what is stored of it.

    Attributes
    ----------
    exchange_id, symbol_id : int
        What messages call it; the symbol id is the exchange's own.
    symbol : str
        Its name there, such as ``XBTEUR``.
    trades : int
        How many trades are stored, which is also the last sequence number.
    first_time, last_time : int
        Of the first and the last trade, microseconds since the epoch, UTC.
    names : tuple of str
        Other names of it, such as ``XXBTZEUR``, ``XBT/EUR`` and ``BTC/EUR``.
    base, quote : str
        What is traded, and what its price is in; empty where not known.
    """

    exchange_id: int
    symbol_id: int
    symbol: str
    trades: int
    first_time: int
    last_time: int
    names: tuple[str, ...] = ()
    base: str = ""
    quote: str = ""


@dataclass(frozen=True, slots=True)
class ExchangeInfo:
    """An exchange.

    Attributes
    ----------
    exchange_id : int
        Its id.
    name : str
        Its name in small letters.
    symbols, trades : int
        How many of its symbols have trades, and how many trades in all.
    """

    exchange_id: int
    name: str
    symbols: int
    trades: int


class ChangeKind(Enum):
    """What became of a market."""

    ADDED = 1
    CHANGED = 2
    REMOVED = 3


_KINDS = {kind.value: kind for kind in ChangeKind}


@dataclass(frozen=True, slots=True)
class MarketChange:
    """A change of a market.

    Attributes
    ----------
    kind : ChangeKind
        What became of it.
    market : MarketInfo
        As it is now; as it was where it was removed.
    """

    kind: ChangeKind
    market: MarketInfo


def market_of(symbol: Any) -> MarketInfo:
    """The market in a message."""
    return MarketInfo(
        symbol.exchange_id,
        symbol.symbol_id,
        symbol.symbol,
        symbol.trades,
        symbol.first_time,
        symbol.last_time,
        tuple(symbol.names),
        symbol.base,
        symbol.quote,
    )


def exchange_of(exchange: Any) -> ExchangeInfo:
    """The exchange in a message."""
    return ExchangeInfo(exchange.exchange_id, exchange.name, exchange.symbols, exchange.trades)


def change_of(change: Any) -> MarketChange:
    """The change in a message; a kind of a newer service is a change."""
    return MarketChange(
        _KINDS.get(change.kind, ChangeKind.CHANGED),
        market_of(change.symbol),
    )
