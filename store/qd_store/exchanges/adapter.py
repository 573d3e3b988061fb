"""What the import must know of an exchange: its id, its files' names and columns, its pairs.

An adapter is values and pure functions: no files, no database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from qd_store.exchanges.layout import Layout


@dataclass(frozen=True, slots=True)
class Pair:
    """The names of a market.

    Attributes
    ----------
    symbol : str
        As files are named and the store knows it, such as ``XBTUSD``.
    key : str
        As the exchange's own API calls it, such as ``XXBTZUSD``.
    base, quote : str
        What is traded, and what its price is in, such as ``XBT`` and ``USD``.
    others : tuple of str
        What else it is called, such as ``BTC/USD`` and ``BTCUSD``.
    """

    symbol: str
    key: str
    base: str
    quote: str
    others: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The pair with a slash, such as ``XBT/USD``."""
        return f"{self.base}/{self.quote}"

    @property
    def names(self) -> tuple[str, ...]:
        """All names but the symbol, each once."""
        found = dict.fromkeys((self.key, self.shown, *self.others))
        return tuple(name for name in found if name != self.symbol)


class ExchangeAdapter(Protocol):
    """An exchange whose files of trades can be imported."""

    @property
    def exchange_id(self) -> int:
        """Its u8 id, for ever; those of `qd_schemas.enums.ExchangeId` where it is in it."""

    @property
    def name(self) -> str:
        """Its name in small letters."""

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The columns that its files may have."""

    def symbol_of_file(self, stem: str) -> str:
        """The market of a file, by its name without folder, ``.csv`` and ``.gz``.

        Raises
        ------
        ValueError
            Files of this exchange are named otherwise; the message says how.
        """

    def symbol_of(self, name: str) -> str:
        """The symbol of a market by any of its names; unknown names are symbols already."""

    def pair_of(self, symbol: str) -> Pair | None:
        """A market's names; None where it is no pair that the exchange is known to have."""


def split_pair(symbol: str, quotes: Iterable[str]) -> tuple[str, str] | None:
    """Split a symbol such as ``XBTUSDT`` by the longest of the known quotes that it ends in."""
    for quote in sorted(quotes, key=len, reverse=True):
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    return None
