"""Kraken: its pairs' three names, and the columns of its exports.

A pair has an alternative name (``XBTUSD``: exports are named so, and it is our symbol), a
key (``XXBTZUSD``) and a name with a slash (``XBT/USD``). Assets from before 2017 have keys
with X (coins) or Z (money) in front, but only in pairs from that time: bitcoin in dollars is
``XXBTZUSD``, in francs ``XBTCHF``. So those pairs are listed; Kraken adds no more of them.
Bitcoin and dogecoin are XBT and XDG, and BTC and DOGE in its newer interfaces.
"""

from __future__ import annotations

from typing import Final

from qd_schemas.enums import ExchangeId
from qd_store.exchanges.adapter import Pair, split_pair
from qd_store.exchanges.layout import Layout, with_header

_LEGACY_COINS: Final = "ETC ETH ICN LTC MLN NMC REP XBT XDG XLM XMR XRP XVN ZEC"
_LEGACY_MONEY: Final = "AUD CAD EUR GBP JPY KRW USD"
_KEYS: Final = {
    **{coin: f"X{coin}" for coin in _LEGACY_COINS.split()},
    **{money: f"Z{money}" for money in _LEGACY_MONEY.split()},
}
_LEGACY_PAIRS: Final = {
    "ETC": "ETH XBT EUR USD",
    "ETH": "XBT CAD EUR GBP JPY USD",
    "EUR": "USD",
    "GBP": "USD",
    "ICN": "ETH XBT",
    "LTC": "XBT EUR JPY USD",
    "MLN": "ETH XBT EUR USD",
    "REP": "ETH XBT EUR USD",
    "USD": "CAD JPY",
    "USDT": "USD",
    "XBT": "CAD EUR GBP JPY USD",
    "XDG": "XBT",
    "XLM": "XBT AUD EUR GBP USD",
    "XMR": "XBT EUR USD",
    "XRP": "XBT CAD EUR JPY USD",
    "ZEC": "XBT EUR USD",
}
_ALIASES: Final = {"BTC": "XBT", "DOGE": "XDG"}
_NEWER: Final = {asset: newer for newer, asset in _ALIASES.items()}
_QUOTES: Final = "USD EUR GBP CAD JPY AUD CHF XBT ETH USDT USDC DAI DOT"

_SYMBOL_BY_KEY: Final = {
    _KEYS.get(base, base) + _KEYS.get(quote, quote): base + quote
    for base, quotes in (
        *_LEGACY_PAIRS.items(),
        # Keys that Kraken once had, or may write in other places, are understood as well.
        *((asset, " ".join(_KEYS)) for asset in _KEYS),
    )
    for quote in quotes.split()
    if base != quote
}


class Kraken:
    """Kraken's spot markets."""

    exchange_id: Final[int] = ExchangeId.KRAKEN
    name: Final = "kraken"
    layouts: Final = (
        Layout("unix_ts,price,volume", time=0, price=1, volume=2),
        with_header(
            "Price,Volume,Timestamp,Type,OrderType,Misc,TradeID",
            time="Timestamp",
            price="Price",
            volume="Volume",
        ),
        *(
            with_header(name, time=name.split(",")[0], price="price", volume=name.split(",")[2])
            for name in (
                "timestamp,price,volume",
                "timestamp,price,amount",
                "time,price,volume",
                "unix_ts,price,volume",
            )
        ),
    )

    def symbol_of_file(self, stem: str) -> str:
        """The market of a file: exports are named by the pair's alternative name."""
        return self.symbol_of(stem)

    def symbol_of(self, name: str) -> str:
        """The symbol by any of a pair's names: XXBTZUSD, XBT/USD, BTC/USD and BTCUSD are XBTUSD."""
        if name in _SYMBOL_BY_KEY:
            return _SYMBOL_BY_KEY[name]
        base, slash, quote = name.partition("/")
        if not slash:
            parts = split_pair(name, [*_QUOTES.split(), *_ALIASES])
            if parts is None:
                return name
            base, quote = parts
        return _ALIASES.get(base, base) + _ALIASES.get(quote, quote)

    def pair_of(self, symbol: str) -> Pair | None:
        """The names of a pair by its symbol."""
        parts = split_pair(symbol, _QUOTES.split())
        if parts is None:
            return None
        base, quote = parts
        key = symbol
        if quote in _LEGACY_PAIRS.get(base, "").split():
            key = _KEYS.get(base, base) + _KEYS.get(quote, quote)
        newer = _NEWER.get(base, base), _NEWER.get(quote, quote)
        others = () if newer == parts else ("/".join(newer), "".join(newer))
        return Pair(symbol, key, base, quote, others)


KRAKEN: Final = Kraken()
