"""The exchanges of this program, found by name or id. A new one is added here."""

from __future__ import annotations

from typing import Final

from qd_store.errors import UnknownExchange
from qd_store.exchanges.adapter import ExchangeAdapter
from qd_store.exchanges.binance import BINANCE
from qd_store.exchanges.kraken import KRAKEN

EXCHANGES: Final[tuple[ExchangeAdapter, ...]] = (KRAKEN, BINANCE)


def find_exchange(wanted: int | str) -> ExchangeAdapter:
    """An exchange by its id, or by its name in letters of any size.

    Raises
    ------
    UnknownExchange
        No adapter is known; the message lists those that are.
    """
    for exchange in EXCHANGES:
        if wanted == exchange.exchange_id or str(wanted).lower() == exchange.name:
            return exchange
    known = ", ".join(exchange.name for exchange in EXCHANGES)
    raise UnknownExchange(f"no exchange {wanted!r}; known are: {known}")
