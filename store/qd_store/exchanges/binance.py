"""Binance: its spot pairs, and the columns and names of the trade files it publishes.

The files are ``BTCUSDT-trades-2024-01.zip`` (a month) or ``BTCUSDT-trades-2024-01-15.zip``
(a day), each with one CSV. Times are milliseconds, from 2025 on microseconds.
"""

from __future__ import annotations

import re
from typing import Final

from qd_schemas.enums import ExchangeId
from qd_store.exchanges.adapter import Pair, split_pair
from qd_store.exchanges.layout import Layout, TimeUnit

_COLUMNS: Final = "id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch"
_COLUMNS_AS_IN_FUTURES: Final = "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match"
_QUOTES: Final = (
    "AEUR ARS AUD BIDR BNB BRL BTC BUSD BVND COP CZK DAI DOGE DOT ETH EUR EURI FDUSD GBP IDRT "
    "JPY MXN NGN PAX PLN RON RUB SOL TRX TRY TUSD UAH USD1 USDC USDP USDS USDT VAI XRP ZAR"
)
_FILE: Final = re.compile(r"([A-Z0-9]+)(?:-trades-\d{4}-\d{2}(?:-\d{2})?)?")


class Binance:
    """Binance's spot markets."""

    exchange_id: Final[int] = ExchangeId.BINANCE
    name: Final = "binance"
    layouts: Final = tuple(
        Layout(name, time=4, price=1, volume=2, unit=unit, header=header)
        for name, header in ((_COLUMNS, False), (_COLUMNS, True), (_COLUMNS_AS_IN_FUTURES, True))
        for unit in (TimeUnit.MILLISECONDS, TimeUnit.MICROSECONDS)
    )

    def symbol_of_file(self, stem: str) -> str:
        """The market of a file: what stands before ``-trades-``."""
        found = _FILE.fullmatch(stem)
        if found is None:
            raise ValueError(
                "expected a name such as BTCUSDT-trades-2024-01.csv, or BTCUSDT.csv, of spot trades"
            )
        return found[1]

    def symbol_of(self, name: str) -> str:
        """The symbol by any of a pair's names: BTC/USDT and btcusdt are BTCUSDT."""
        return name.replace("/", "").upper()

    def pair_of(self, symbol: str) -> Pair | None:
        """The names of a pair by its symbol, which is its key as well."""
        parts = split_pair(symbol, _QUOTES.split())
        return None if parts is None else Pair(symbol, symbol, *parts)


BINANCE: Final = Binance()
