"""The directory against a list that is searched from end to end, over random histories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_store import Exchange, Market
from qd_symdb.directory import Change, Directory, Kind

EXCHANGES = [Exchange(1, "kraken"), Exchange(2, "binance"), Exchange(9, "other")]
SYMBOLS = ("XBTUSD", "XBTEUR", "ETHXBT", "SOLUSD", "BTCUSDT", "XDGUSD", "ODD", "Ä")

markets = st.dictionaries(
    st.tuples(st.sampled_from((1, 2, 9)), st.integers(1, 6)),
    st.tuples(st.sampled_from(SYMBOLS), st.integers(1, 3)),
    max_size=8,
)
History = list[tuple[bool, dict[tuple[int, int], tuple[str, int]]]]


def unique(chosen: dict[tuple[int, int], tuple[str, int]]) -> list[Market]:
    """Markets whose symbols are unique on their exchange, as the tables want them."""
    taken: set[tuple[int, str]] = set()
    found = []
    for (exchange_id, symbol_id), (symbol, trades) in sorted(chosen.items()):
        if (exchange_id, symbol) not in taken:
            taken.add((exchange_id, symbol))
            found.append(Market(exchange_id, symbol_id, symbol, trades, 0, trades))
    return found


def names_of(market: Market) -> set[str]:
    known = {
        (1, "XBTUSD"): {"XXBTZUSD", "XBT/USD", "BTC/USD", "BTCUSD"},
        (1, "XBTEUR"): {"XXBTZEUR", "XBT/EUR", "BTC/EUR", "BTCEUR"},
        (1, "ETHXBT"): {"XETHXXBT", "ETH/XBT", "ETH/BTC", "ETHBTC"},
        (1, "SOLUSD"): {"SOL/USD"},
        (1, "XDGUSD"): {"XDG/USD", "DOGE/USD", "DOGEUSD"},
        (2, "BTCUSDT"): {"BTC/USDT"},
        (2, "XBTEUR"): {"XBT/EUR"},
    }
    return {market.symbol, *known.get((market.exchange_id, market.symbol), set())}


def applied(known: dict[tuple[int, int], Market], changes: list[Change]) -> None:
    """Change a list as a watcher would, and check that each change is one."""
    for change in changes:
        key, market = change.entry.key, change.entry.market
        assert (key in known) is (change.kind is not Kind.ADDED)
        if change.kind is Kind.REMOVED:
            assert known.pop(key) == market
        else:
            assert known.get(key) != market
            known[key] = market


def check(directory: Directory, expected: list[Market]) -> None:
    assert len(directory) == len(expected)
    ordered = sorted(expected, key=lambda market: market.key)
    assert [entry.market for entry in directory.entries()] == ordered
    for exchange_id in (1, 2, 9):
        of_one = [market for market in ordered if market.exchange_id == exchange_id]
        assert [entry.market for entry in directory.entries(exchange_id)] == of_one
        later = [market for market in of_one if market.symbol_id > 3]
        assert [entry.market for entry in directory.entries(exchange_id, 3)] == later
    for market in expected:
        for name in names_of(market):
            named = directory.by_name(market.exchange_id, name)
            assert named is not None
            assert named.market == market
        entry = directory.by_name(market.exchange_id, market.symbol)
        assert entry is not None
        assert entry.market == market
        assert entry is directory.by_id(market.exchange_id, market.symbol_id)


@given(st.lists(st.tuples(st.booleans(), markets), max_size=6))
def test_it_is_what_was_last_read(history: History) -> None:
    directory, watched = Directory(), dict[tuple[int, int], Market]()
    for whole, chosen in history:
        expected = unique(chosen)
        directory.search(0, "", None, 1)  # has the names in order made, to be kept in order
        if whole:
            changes = directory.load(EXCHANGES, expected)
        else:
            before = {entry.market.key for entry in directory.entries()}
            told = before | {market.key for market in expected}
            changes = directory.replace(told, expected)
        applied(watched, changes)
        check(directory, expected)
        assert sorted(watched.values(), key=lambda market: market.key) == [
            entry.market for entry in directory.entries()
        ]


@given(
    st.lists(markets, min_size=1, max_size=3),
    st.sampled_from(("", "x", "XB", "xbt/", "btc", "doge/u", "ä", "zz")),
    st.sampled_from((0, 1, 2)),
    st.integers(1, 4),
)
def test_search_page_by_page(
    history: list[dict[tuple[int, int], tuple[str, int]]], prefix: str, exchange: int, size: int
) -> None:
    directory = Directory()
    for chosen in history:
        directory.load(EXCHANGES, unique(chosen))
        directory.search(0, "", None, 1)
    expected = sorted(
        (market.symbol, market.exchange_id)
        for market in unique(history[-1])
        if exchange in (0, market.exchange_id)
        and any(name.casefold().startswith(prefix.casefold()) for name in names_of(market))
    )
    pages, after, more = [], None, True
    while more:
        entries, more = directory.search(exchange, prefix, after, size)
        assert len(entries) <= size
        pages += [(entry.market.symbol, entry.market.exchange_id) for entry in entries]
        after = pages[-1] if pages else None
    assert pages == expected


@pytest.mark.parametrize("count", [3, 500])
def test_many_changes_at_once_as_few(count: int) -> None:
    directory = Directory()
    directory.load(EXCHANGES, [Market(9, 1, "A", 1, 0, 0)])
    directory.search(0, "", None, 1)
    new = [Market(9, number, f"S{number:03}", 1, 0, 0) for number in range(2, count + 2)]
    changes = directory.replace({market.key for market in new}, new)
    assert [change.kind for change in changes] == [Kind.ADDED] * count
    entries, more = directory.search(9, "s", None, count)
    assert ([entry.market for entry in entries], more) == (new, False)


def test_two_markets_that_exchange_their_symbols() -> None:
    directory = Directory()
    directory.load(EXCHANGES, [Market(9, 1, "A", 1, 0, 0), Market(9, 2, "B", 1, 0, 0)])
    directory.load(EXCHANGES, [Market(9, 1, "B", 1, 0, 0), Market(9, 2, "A", 1, 0, 0)])
    for symbol, symbol_id in (("A", 2), ("B", 1)):
        entry = directory.by_name(9, symbol)
        assert entry is not None
        assert entry.market.symbol_id == symbol_id
