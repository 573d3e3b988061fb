"""All exchanges and markets in memory, found by id, by any of their names, or by a prefix.

No connections and no tasks: what was read goes in, what changed comes out.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from qd_schemas.symdb_messages import ListSymbolsReply, Symbol, SymbolResult
from qd_store import Exchange, Market
from qd_store.errors import UnknownExchange
from qd_store.exchanges import ExchangeAdapter, find_exchange

INSERTED_SINGLY_MAX: Final = 100
"""After more changes at a time, the names in order are made anew when they are next needed."""

_Name: TypeAlias = tuple[str, str, int, int]
"""A name in small letters, its symbol, and the market's ids."""


class Entry:
    """A market, its names, and the bytes of the messages that tell of it."""

    __slots__ = ("key", "listed", "market", "result", "sent", "symbol")

    def __init__(self, market: Market) -> None:
        self.market = market
        self.key = (market.exchange_id, market.symbol_id)
        self.symbol = _symbol(market)
        self.sent: bytes = self.symbol.SerializeToString()
        # Replies whose first field lists it alone; such replies add up.
        self.listed: bytes = ListSymbolsReply(symbols=[self.symbol]).SerializeToString()
        self.result = SymbolResult(symbol=self.symbol)

    @property
    def names(self) -> Iterator[_Name]:
        """Its entries among the names in order."""
        for name in dict.fromkeys((self.symbol.symbol, *self.symbol.names)):
            yield (name.casefold(), self.symbol.symbol, *self.key)


class Kind(Enum):
    """What became of a market; the values are those of the message."""

    ADDED = 1
    CHANGED = 2
    REMOVED = 3


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a market."""

    kind: Kind
    entry: Entry


class Directory:
    """What is known of all exchanges and markets."""

    def __init__(self) -> None:
        self.exchanges: dict[int, str] = {}
        self._entries: dict[tuple[int, int], Entry] = {}
        self._by_symbol: dict[tuple[int, str], Entry] = {}
        self._ids: dict[int, list[int]] = {}
        self._names: list[_Name] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, exchanges: Iterable[Exchange], markets: Iterable[Market]) -> list[Change]:
        """Take everything anew.

        Returns
        -------
        list of Change
            What differs from what was known.
        """
        self.exchanges = {exchange.exchange_id: exchange.name for exchange in exchanges}
        found = {(market.exchange_id, market.symbol_id): market for market in markets}
        gone = [key for key in self._entries if key not in found]
        return self._changed(gone, found.values())

    def replace(self, keys: Iterable[int], markets: Iterable[Market]) -> list[Change]:
        """Take some markets anew.

        Parameters
        ----------
        keys : iterable of int
            The markets' numbers in the tables.
        markets : iterable of Market
            Those of them that there are.

        Returns
        -------
        list of Change
            What differs from what was known.
        """
        found = {market.key: market for market in markets}
        gone = [divmod(key, 1 << 16) for key in keys if key not in found]
        return self._changed([key for key in gone if key in self._entries], found.values())

    def by_id(self, exchange_id: int, symbol_id: int) -> Entry | None:
        """A market by its ids."""
        return self._entries.get((exchange_id, symbol_id))

    def by_name(self, exchange_id: int, name: str) -> Entry | None:
        """A market by its symbol, or by another of its names."""
        found = self._by_symbol.get((exchange_id, name))
        adapter = None if found else _adapter(exchange_id)
        if adapter is None:
            return found
        return self._by_symbol.get((exchange_id, adapter.symbol_of(name)))

    def entries(self, exchange_id: int = 0, after: int = 0) -> Iterator[Entry]:
        """The markets of an exchange, or of all (0), by id, from one past `after` on."""
        for exchange in [exchange_id] if exchange_id else sorted(self._ids):
            ids = self._ids.get(exchange, [])
            for symbol_id in ids[bisect.bisect_right(ids, after) :]:
                yield self._entries[exchange, symbol_id]

    def search(
        self, exchange_id: int, prefix: str, after: tuple[str, int] | None, limit: int
    ) -> tuple[list[Entry], bool]:
        """Markets with a name that begins so, by symbol and exchange.

        Parameters
        ----------
        exchange_id : int
            0 means all.
        prefix : str
            In letters of any size.
        after : (str, int) or None
            The symbol and exchange after which to go on.
        limit : int
            How many, at most.

        Returns
        -------
        list of Entry, bool
            The markets, and whether there are more.
        """
        found = {
            (symbol, exchange, symbol_id)
            for _, symbol, exchange, symbol_id in self._names_from(prefix.casefold())
            if exchange_id in (0, exchange) and (after is None or (symbol, exchange) > after)
        }
        chosen = sorted(found)[: limit + 1]
        entries = [self._entries[exchange, symbol_id] for _, exchange, symbol_id in chosen]
        return entries[:limit], len(entries) > limit

    def _names_from(self, prefix: str) -> Iterator[_Name]:
        names = self._in_order()
        for index in range(bisect.bisect_left(names, (prefix,)), len(names)):
            if not names[index][0].startswith(prefix):
                return
            yield names[index]

    def _in_order(self) -> list[_Name]:
        if self._names is None:
            self._names = sorted(name for entry in self._entries.values() for name in entry.names)
        return self._names

    def _changed(self, gone: list[tuple[int, int]], markets: Iterable[Market]) -> list[Change]:
        put = [market for market in markets if self._differs(market)]
        if len(gone) + len(put) > INSERTED_SINGLY_MAX:
            self._names = None
        removed = [Change(Kind.REMOVED, self._drop(key)) for key in gone]
        return removed + [self._put(Entry(market)) for market in put]

    def _differs(self, market: Market) -> bool:
        known = self._entries.get((market.exchange_id, market.symbol_id))
        return known is None or known.market != market

    def _put(self, entry: Entry) -> Change:
        known = self._entries.get(entry.key)
        if known is not None and known.symbol.symbol == entry.symbol.symbol:
            self._entries[entry.key] = entry
            self._by_symbol[entry.key[0], entry.symbol.symbol] = entry
            return Change(Kind.CHANGED, entry)
        if known is not None:
            self._drop(entry.key)
        self._entries[entry.key] = entry
        self._by_symbol[entry.key[0], entry.symbol.symbol] = entry
        bisect.insort(self._ids.setdefault(entry.key[0], []), entry.key[1])
        if self._names is not None:
            for name in entry.names:
                bisect.insort(self._names, name)
        return Change(Kind.ADDED if known is None else Kind.CHANGED, entry)

    def _drop(self, key: tuple[int, int]) -> Entry:
        entry = self._entries.pop(key)
        # Two markets may have exchanged their symbols: then this one is another's already.
        if self._by_symbol.get((key[0], entry.symbol.symbol)) is entry:
            del self._by_symbol[key[0], entry.symbol.symbol]
        self._ids[key[0]].remove(key[1])
        if self._names is not None:
            for name in entry.names:
                del self._names[bisect.bisect_left(self._names, name)]
        return entry


def _adapter(exchange_id: int) -> ExchangeAdapter | None:
    try:
        return find_exchange(exchange_id)
    except UnknownExchange:
        return None


def _symbol(market: Market) -> Any:
    symbol = Symbol(
        exchange_id=market.exchange_id,
        symbol_id=market.symbol_id,
        symbol=market.symbol,
        trades=market.trades,
        first_time=market.first_time,
        last_time=market.last_time,
    )
    adapter = _adapter(market.exchange_id)
    pair = adapter.pair_of(market.symbol) if adapter else None
    if adapter and pair:
        symbol.base, symbol.quote = pair.base, pair.quote
        # Only those by which it is found: a name may mean another market.
        symbol.names[:] = [n for n in pair.names if adapter.symbol_of(n) == market.symbol]
    return symbol
