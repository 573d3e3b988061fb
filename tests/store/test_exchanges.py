"""Exchanges: the names of their files and pairs, both ways, and their ids."""

from __future__ import annotations

import pytest

from qd_schemas.enums import ExchangeId
from qd_store.errors import UnknownExchange
from qd_store.exchanges import EXCHANGES, ExchangeAdapter, find_exchange
from qd_store.exchanges.binance import BINANCE
from qd_store.exchanges.kraken import KRAKEN

# Symbol, Kraken's key, its name with a slash.
KRAKEN_PAIRS = [
    ("XBTUSD", "XXBTZUSD", "XBT/USD"),
    ("XBTEUR", "XXBTZEUR", "XBT/EUR"),
    ("XBTCHF", "XBTCHF", "XBT/CHF"),
    ("XBTAUD", "XBTAUD", "XBT/AUD"),
    ("XBTUSDT", "XBTUSDT", "XBT/USDT"),
    ("ETHXBT", "XETHXXBT", "ETH/XBT"),
    ("ETHUSDC", "ETHUSDC", "ETH/USDC"),
    ("XDGXBT", "XXDGXXBT", "XDG/XBT"),
    ("XDGEUR", "XDGEUR", "XDG/EUR"),
    ("XLMAUD", "XXLMZAUD", "XLM/AUD"),
    ("XRPAUD", "XRPAUD", "XRP/AUD"),
    ("USDTUSD", "USDTZUSD", "USDT/USD"),
    ("USDCUSD", "USDCUSD", "USDC/USD"),
    ("USDCHF", "USDCHF", "USD/CHF"),
    ("EURUSD", "ZEURZUSD", "EUR/USD"),
    ("USDJPY", "ZUSDZJPY", "USD/JPY"),
    ("BCHEUR", "BCHEUR", "BCH/EUR"),
    ("XTZETH", "XTZETH", "XTZ/ETH"),
    ("TBTCXBT", "TBTCXBT", "TBTC/XBT"),
    ("KSMDOT", "KSMDOT", "KSM/DOT"),
]


@pytest.mark.parametrize(("symbol", "key", "shown"), KRAKEN_PAIRS)
def test_krakens_names_map_both_ways(symbol: str, key: str, shown: str) -> None:
    pair = KRAKEN.pair_of(symbol)
    assert pair is not None
    assert (pair.symbol, pair.key, pair.shown) == (symbol, key, shown)
    assert {KRAKEN.symbol_of(name) for name in (symbol, key, shown)} == {symbol}
    assert KRAKEN.symbol_of_file(symbol) == symbol


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BTC/USD", "XBTUSD"),
        ("BTCUSD", "XBTUSD"),
        ("ETH/BTC", "ETHXBT"),
        ("ETHBTC", "ETHXBT"),
        ("DOGEUSD", "XDGUSD"),
        ("DOGE/BTC", "XDGXBT"),
        ("TBTCBTC", "TBTCXBT"),
        ("WBTC/EUR", "WBTCEUR"),
        ("XZECZJPY", "ZECJPY"),  # no longer traded
        # What is no pair of Kraken's stays what it is.
        ("XBTRUB", "XBTRUB"),
        ("XBTUSDGOX", "XBTUSDGOX"),
        ("XBT", "XBT"),
        ("BTC", "BTC"),
        ("USD", "USD"),
        ("", ""),
    ],
)
def test_krakens_other_names(name: str, symbol: str) -> None:
    assert KRAKEN.symbol_of(name) == symbol
    assert KRAKEN.symbol_of(symbol) == symbol


@pytest.mark.parametrize("symbol", ["XBTUSDGOX", "XBTROCK", "XBT", "USD", ""])
def test_no_names_are_made_up(symbol: str) -> None:
    assert KRAKEN.pair_of(symbol) is None


@pytest.mark.parametrize(
    ("stem", "symbol"),
    [
        ("BTCUSDT-trades-2024-01", "BTCUSDT"),
        ("ETHBTC-trades-2024-01-15", "ETHBTC"),
        ("1000SATSFDUSD-trades-2025-02", "1000SATSFDUSD"),
        ("BTCUSDT", "BTCUSDT"),
    ],
)
def test_binances_files(stem: str, symbol: str) -> None:
    assert BINANCE.symbol_of_file(stem) == symbol


@pytest.mark.parametrize(
    "stem",
    ["BTCUSDT-aggTrades-2024-01", "BTCUSDT-1m-2024-01", "btcusdt", "BTCUSDT-trades-2024", ""],
)
def test_other_files_of_binance_are_refused(stem: str) -> None:
    with pytest.raises(ValueError, match=r"expected a name such as BTCUSDT-trades-2024-01\.csv"):
        BINANCE.symbol_of_file(stem)


@pytest.mark.parametrize(
    ("symbol", "shown"),
    [
        ("BTCUSDT", "BTC/USDT"),
        ("ETHBTC", "ETH/BTC"),
        ("BTCFDUSD", "BTC/FDUSD"),
        ("TUSDUSDT", "TUSD/USDT"),
        ("SUSDT", "S/USDT"),
        ("USDCTUSD", "USDC/TUSD"),
        ("BTCEURI", "BTC/EURI"),
    ],
)
def test_binances_names_map_both_ways(symbol: str, shown: str) -> None:
    pair = BINANCE.pair_of(symbol)
    assert pair is not None
    assert (pair.symbol, pair.key, pair.shown) == (symbol, symbol, shown)
    assert {BINANCE.symbol_of(name) for name in (symbol, shown, symbol.lower())} == {symbol}
    assert BINANCE.pair_of("NOTHING") is None


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_every_exchange_is_found(exchange: ExchangeAdapter) -> None:
    assert ExchangeId(exchange.exchange_id).name.lower() == exchange.name
    for wanted in (exchange.name, exchange.name.upper(), exchange.exchange_id):
        assert find_exchange(wanted) is exchange
    assert exchange.layouts


def test_every_id_has_an_exchange() -> None:
    assert [exchange.exchange_id for exchange in EXCHANGES] == [each for each in ExchangeId if each]


@pytest.mark.parametrize("wanted", ["mtgox", "", 0, 9])
def test_unknown_exchanges(wanted: int | str) -> None:
    with pytest.raises(UnknownExchange, match="known are: kraken, binance"):
        find_exchange(wanted)
